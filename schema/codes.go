package schema

// Code is the stable name of one kind of problem. A code never changes its
// meaning, and a retired one is not used again.
type Code string

// The codes. Their meaning is in the table of Codes.
const (
	CodePath         Code = "RSM001"
	CodeEmpty        Code = "RSM002"
	CodeSyntax       Code = "RSM003"
	CodePackages     Code = "RSM004"
	CodeIgnored      Code = "RSM005"
	CodeImport       Code = "RSM006"
	CodeEmbed        Code = "RSM007"
	CodeTooBig       Code = "RSM008"
	CodeLimit        Code = "RSM009"
	CodeCrash        Code = "RSM010"
	CodeEvaluate     Code = "RSM011"
	CodeUnknown      Code = "RSM020"
	CodeValue        Code = "RSM021"
	CodeMissing      Code = "RSM022"
	CodeIncomplete   Code = "RSM023"
	CodeName         Code = "RSM024"
	CodeReserved     Code = "RSM025"
	CodeNoCluster    Code = "RSM026"
	CodeHost         Code = "RSM030"
	CodeWhichHost    Code = "RSM031"
	CodeAddress      Code = "RSM032"
	CodePortTwice    Code = "RSM033"
	CodeLoopback     Code = "RSM034"
	CodeSeed         Code = "RSM040"
	CodeRoleName     Code = "RSM041"
	CodeNoNode       Code = "RSM042"
	CodeVersion      Code = "RSM043"
	CodeNoReplica    Code = "RSM044"
	CodeNoCandidate  Code = "RSM045"
	CodeQuorumHigh   Code = "RSM050"
	CodeQuorumLow    Code = "RSM051"
	CodeSentinels    Code = "RSM052"
	CodeDuration     Code = "RSM053"
	CodeImpatient    Code = "RSM054"
	CodeDirective    Code = "RSM060"
	CodeDirectiveTwo Code = "RSM061"
	CodeLineBreak    Code = "RSM062"
	CodeSecret       Code = "RSM070"
	CodeSecretWhere  Code = "RSM071"
	CodeRelative     Code = "RSM072"
	CodeCluster      Code = "RSM080"
	CodeWhichCluster Code = "RSM081"
	CodeListener     Code = "RSM082"
	CodeSocket       Code = "RSM083"
	CodeSize         Code = "RSM084"
	CodeRules        Code = "RSM085"
	CodeFence        Code = "RSM086"
	CodeLateFence    Code = "RSM087"
	CodeDepends      Code = "RSM090"
	CodeDependsSelf  Code = "RSM091"
	CodeDependsCycle Code = "RSM092"
	CodeCron         Code = "RSM093"
	CodeZone         Code = "RSM094"
	CodeEvent        Code = "RSM095"
	CodeService      Code = "RSM096"
	CodeOperations   Code = "RSM100"
	CodeQueue        Code = "RSM101"
	CodeHandler      Code = "RSM102"
	CodeRule         Code = "RSM103"
	CodeExpression   Code = "RSM104"
	CodeTemplate     Code = "RSM105"
	CodeInhibits     Code = "RSM106"
	CodeNoDispatcher Code = "RSM107"
	CodeNoWorker     Code = "RSM108"
	CodeField        Code = "RSM109"
	CodeEvicts       Code = "RSM110"
	CodeVolatile     Code = "RSM111"
	CodeUneven       Code = "RSM112"
	CodeAlone        Code = "RSM113"
)

// CodeInfo explains a code.
type CodeInfo struct {
	Code     Code
	Severity Severity
	// Means says what is wrong, in one sentence.
	Means string
	// Do says what to do about it.
	Do string
}

// Codes returns every code with its meaning, in order.
func Codes() []CodeInfo {
	return []CodeInfo{
		{CodePath, SeverityError, "The path does not exist or cannot be read.", "Give a directory of CUE files, or one .cue file."},
		{CodeEmpty, SeverityError, "The directory holds no CUE file.", "Write one, or let `rsm init DIR` write a starter spec."},
		{CodeSyntax, SeverityError, "The file is not CUE.", "Fix the syntax at the place shown."},
		{CodePackages, SeverityError, "The files of the directory are not all of one package.", "Give every file the same package clause."},
		{CodeIgnored, SeverityWarning, "A file lies beside the spec but is not read, as CUE itself would not read it.", "Rename it to *.cue, or move it elsewhere."},
		{CodeImport, SeverityError, "An import cannot be resolved. rsm asks no registry.", "Import CUE's own packages, rsm.dev/schema, packages of the same module, or vendor under cue.mod/pkg."},
		{CodeEmbed, SeverityError, "The file uses @extern or @if, which rsm does not allow.", "Write the value in CUE."},
		{CodeTooBig, SeverityError, "A file is too large, or there are too many.", "Split the file (1 MiB each) or the directory (10,000 files)."},
		{CodeLimit, SeverityError, "The evaluation took too long or too much memory and was stopped.", "Look for a large list.Range or nested for loops."},
		{CodeCrash, SeverityError, "The evaluation ended unexpectedly.", "Report it with the spec; nothing was changed."},
		{CodeEvaluate, SeverityError, "CUE finds the values contradictory, or a reference leads nowhere.", "Fix the value at the place shown."},
		{CodeUnknown, SeverityError, "The field does not exist.", "Correct its name, or turn a helper into a hidden field (_name)."},
		{CodeValue, SeverityError, "The value has the wrong type or is out of range.", "Give a value of the kind shown."},
		{CodeMissing, SeverityError, "A required field is missing.", "Add it."},
		{CodeIncomplete, SeverityError, "The field has a constraint but no value.", "Give it a value."},
		{CodeName, SeverityError, "The name has characters that rsm cannot use.", "Use lower-case letters, digits and hyphens, starting with a letter."},
		{CodeReserved, SeverityWarning, "The field is reserved and not acted upon by this version.", "Leave it out until it is."},
		{CodeNoCluster, SeverityWarning, "The spec declares no cluster.", "Declare one under clusters."},
		{CodeHost, SeverityError, "A role names a host that is not declared.", "Declare it under hosts, or correct the name."},
		{CodeWhichHost, SeverityError, "A role does not say on which of several hosts it runs.", "Add host."},
		{CodeAddress, SeverityError, "The host address is not an IP address that others can connect to.", "Write the IP address."},
		{CodePortTwice, SeverityError, "Two roles use the same address and port.", "Give each its own port."},
		{CodeLoopback, SeverityWarning, "A host of several has a loopback address, which the others cannot reach.", "Give the address in the common network."},
		{CodeSeed, SeverityError, "The seed is not a node of the cluster.", "Name one of redis.nodes."},
		{CodeRoleName, SeverityError, "Two roles of one cluster have the same name: redis nodes, Sentinels, proxies, agents, dispatchers, workers.", "Rename one of them."},
		{CodeNoNode, SeverityError, "The cluster has no redis node, or no Sentinel.", "Declare at least one; two and three are the useful minimum."},
		{CodeVersion, SeverityError, "The version constraint cannot be understood or excludes everything.", "Write comparisons such as \">=7.0 <8\"."},
		{CodeNoReplica, SeverityWarning, "The cluster has one redis node, so that no failover is possible.", "Add a second node."},
		{CodeNoCandidate, SeverityWarning, "Fewer than two redis nodes have a priority above 0, so that after one failure Sentinel can promote none.", "Give two nodes or more a priority above 0."},
		{CodeQuorumHigh, SeverityError, "The quorum is above the number of Sentinels, so that no failover can ever start.", "Lower it, or add Sentinels."},
		{CodeQuorumLow, SeverityError, "The quorum is below the majority, so that a minority can declare the master down.", "Raise it, or leave it out."},
		{CodeSentinels, SeverityWarning, "The number of Sentinels is even, or just one.", "Use three or five."},
		{CodeDuration, SeverityError, "The duration cannot be understood or is out of range.", "Write for example \"5s\"."},
		{CodeImpatient, SeverityWarning, "downAfter is so short that a pause of the machine looks like a dead master.", "Use 2s or more."},
		{CodeDirective, SeverityError, "The redis.conf directive is not for config.", "Use what the message names instead."},
		{CodeDirectiveTwo, SeverityError, "The same directive is given twice in different spelling.", "Keep one."},
		{CodeLineBreak, SeverityError, "The directive's value has a line break or NUL byte, which redis.conf cannot hold.", "Remove it."},
		{CodeSecret, SeverityError, "A secret is written in the spec.", "Give {env: \"NAME\"} or {file: \"PATH\"} - and change the secret, as it is in git now."},
		{CodeSecretWhere, SeverityError, "A secret needs either env or file.", "Give exactly one."},
		{CodeRelative, SeverityError, "A file of the machine is named by a relative path in a spec that comes from git.", "Give an absolute path, or env for a secret."},
		{CodeCluster, SeverityError, "Something names a cluster that is not declared.", "Declare it under clusters, or correct the name."},
		{CodeWhichCluster, SeverityError, "A proxy, agent, dispatcher, worker or queue does not say which of several clusters it belongs to.", "Add cluster."},
		{CodeListener, SeverityError, "The proxy has no listener, or a listener has not exactly one of port and socket.", "Give each listener a port or a socket."},
		{CodeSocket, SeverityError, "The socket cannot be used: its path is longer than 107 bytes, or another listener has it.", "Give a path of its own, a short one."},
		{CodeSize, SeverityError, "The size cannot be understood or is out of range.", "Write for example \"64mb\"."},
		{CodeRules, SeverityError, "Two settings of a proxy contradict each other, or one has no effect without another.", "Remove one, or add the other."},
		{CodeFence, SeverityError, "The fence is not longer than the second between two looks at the master.", "Use 2s or more, or leave it out."},
		{CodeLateFence, SeverityWarning, "The fence is longer than downAfter, so that an old master may take writes after a new one was elected.", "Leave it out, or shorten it."},
		{CodeDepends, SeverityError, "dependsOn names a cluster that is not declared.", "Declare it under clusters, or correct the name."},
		{CodeDependsSelf, SeverityError, "A cluster depends on itself.", "Remove its own name from dependsOn."},
		{CodeDependsCycle, SeverityError, "Clusters depend on each other in a circle, so that none could be changed.", "Remove one of the names in the circle from its dependsOn."},
		{CodeCron, SeverityError, "The cron expression cannot be understood, or never comes.", "Write minute, hour, day, month and weekday, such as \"0 2 * * 6\" for Saturdays at 2:00."},
		{CodeZone, SeverityError, "There is no such time zone.", "Write a name of the IANA database, such as \"Europe/Berlin\"."},
		{CodeEvent, SeverityError, "There is no such event.", "Correct its name, or leave events out for all of them."},
		{CodeService, SeverityError, "Two settings of the service contradict each other, or one needs another that is missing.", "Remove one, or add the other."},
		{CodeOperations, SeverityError, "Two settings of an agent, dispatcher, worker, queue, handler or rule contradict each other, or one needs another that is missing.", "Remove one, or add the other."},
		{CodeQueue, SeverityError, "Something names a queue that is not declared.", "Declare it under queues, or correct the name."},
		{CodeHandler, SeverityError, "Something names a handler that is not declared.", "Declare it under handlers, or correct the name."},
		{CodeRule, SeverityError, "A rule names another that is not declared.", "Declare it under rules, or correct the name."},
		{CodeExpression, SeverityError, "The expression cannot be understood, or is neither true nor false.", "Write a comparison of fields, such as \"cpu_usage > 90 && host != 'build'\"."},
		{CodeTemplate, SeverityError, "The template cannot be understood.", "Correct it at the line shown; `{{.Host}}` is a field, and functions are those of Go and of rsm."},
		{CodeInhibits, SeverityError, "Rules keep themselves or each other quiet, so that nobody would be told.", "Remove one of them from inhibitedBy."},
		{CodeNoDispatcher, SeverityWarning, "The cluster has rules or handlers, but no dispatcher.", "Declare two under dispatchers, on different hosts."},
		{CodeNoWorker, SeverityWarning, "The queue has tasks, but no worker takes them.", "Name the queue in a worker."},
		{CodeField, SeverityWarning, "A rule or handler looks at a field or type of events that looks like one of rsm's own, and is none.", "Correct its name, or write `event[\"name\"]` for a field of your own."},
		{CodeEvicts, SeverityWarning, "The Redis of queues deletes keys when memory is full, so that tasks vanish.", "Set maxmemory-policy to noeviction, or use another cluster."},
		{CodeVolatile, SeverityWarning, "The Redis of queues writes nothing to disk, so that tasks do not survive a restart.", "Set appendonly: true in redis.config."},
		{CodeUneven, SeverityWarning, "Nodes of a cluster with queues differ in a directive on memory or durability.", "Set it in redis.config, for all nodes."},
		{CodeAlone, SeverityWarning, "A queue waits for a replica, but its master goes on when it has none.", "Set \"min-replicas-to-write\": 1 in redis.config."},
	}
}

// severity returns the severity of a code.
func (c Code) severity() Severity {
	for _, info := range Codes() {
		if info.Code == c {
			return info.Severity
		}
	}
	return SeverityError
}
