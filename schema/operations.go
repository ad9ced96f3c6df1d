package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

// Access is how a role of rsm reaches the master of a cluster: through Sentinel.
type Access struct {
	// Cluster is the master name that the Sentinels know.
	Cluster   string
	Sentinels []Addr
	Auth      Auth
}

// Agent is a process that samples its host and publishes what it sees.
type Agent struct {
	Name string
	// Cluster is the name of the cluster that it publishes to.
	Cluster string
	// Host is the machine it runs on and samples, Address and Zone those of it.
	Host, Address, Zone string
	// Interval is the time between two samples, 100 ms or more.
	Interval time.Duration
	// Tags are added to every sample as its field "tags".
	Tags map[string]string `json:",omitempty"`
	// Mounts are the mount points that count, by path; empty means those of real
	// disks. IgnoreMounts are left out, and may end in "*".
	Mounts, IgnoreMounts []string `json:",omitempty"`
	// Outbox is how many samples are kept while no master takes them.
	Outbox int
	// Metrics is where Prometheus reads, empty for nowhere.
	Metrics Addr `json:",omitempty"`
	// Graphite is where the same is pushed in the plaintext protocol, nil for
	// nowhere.
	Graphite *Graphite `json:",omitempty"`
	// Nodes are the redis-servers and Sentinels of its host, whose INFO it reads.
	Nodes []AgentNode `json:",omitempty"`
}

// Graphite is a server that takes the plaintext protocol.
type Graphite struct {
	// Addr is "host:port", and the host may be a name.
	Addr string
	// Prefix comes before each key: "<prefix>.<cluster>.<node>.<Section>.<field>".
	Prefix string
	// Interval is the time between two pushes.
	Interval time.Duration
}

// AgentNode is a server that an agent asks for INFO.
type AgentNode struct {
	Cluster, Name string
	Addr          Addr
	Sentinel      bool `json:",omitempty"`
	// Password is what it logs in with, nil for nothing.
	Password *Secret `json:",omitempty"`
}

// AgentRole is everything that the process of one agent is told.
type AgentRole struct {
	Agent  Agent
	Access Access
}

// Dispatcher is a process that hands each event to the handlers that it is for,
// and turns events into alerts by the rules. Any number may run.
type Dispatcher struct {
	Name, Cluster string
	Host, Address string
	// Metrics is where Prometheus reads, empty for nowhere.
	Metrics Addr `json:",omitempty"`
	// Keep bounds the stream of events: how many, about, and for how long.
	KeepEvents int64
	KeepFor    time.Duration
	// Silent is after how many of its intervals without a sample an agent counts as
	// silent, and Grace what is added to that.
	Silent int
	Grace  time.Duration
}

// DispatcherRole is everything that the process of one dispatcher is told. Rules
// and handlers it reads from Redis, see Operations.
type DispatcherRole struct {
	Dispatcher Dispatcher
	Access     Access
}

// Worker is a process that runs tasks.
type Worker struct {
	Name, Cluster string
	Host, Address string
	// Queues it takes tasks from. Those named first come first, when Strict; else
	// each gets its turn.
	Queues []string
	Strict bool `json:",omitempty"`
	// Labels are what tasks may ask for.
	Labels map[string]string `json:",omitempty"`
	// Concurrency is how many tasks run at once, Prefetch how many more may be
	// reserved.
	Concurrency, Prefetch int
	// Grace is how long running tasks get to end when the worker is stopped.
	Grace time.Duration
	// Spool is the directory of reports, mails and log files that handlers write;
	// empty means "spool" beside its configuration file.
	Spool string `json:",omitempty"`
	// Metrics is where Prometheus reads, empty for nowhere.
	Metrics Addr `json:",omitempty"`
}

// WorkerRole is everything that the process of one worker is told. Queues and
// handlers it reads from Redis, see Operations.
type WorkerRole struct {
	Worker Worker
	Access Access
	// Trusted are the digests of the handlers and commands that it may run, sorted, see
	// Handler.Digest: Redis, where it reads what they are, may be written by others.
	Trusted []string `json:",omitempty"`
	// Env are the environment variables that handlers and commands of its queues
	// refer to, sorted; a process gets them when it starts.
	Env []string `json:",omitempty"`
}

// Operations is what dispatchers and workers of one cluster read from Redis and
// follow while they run: a change of it needs no restart.
type Operations struct {
	// Queues, Handlers, Rules are sorted by name.
	Queues   []Queue   `json:",omitempty"`
	Handlers []Handler `json:",omitempty"`
	Rules    []Rule    `json:",omitempty"`
}

// Queue is a list of tasks, and how they are run.
type Queue struct {
	Name    string
	Cluster string `json:"-"`
	// Lease is for how long a task belongs to a worker that gives no sign of life.
	Lease time.Duration
	// Timeout is how long one run may take; 0 means no limit.
	Timeout time.Duration
	// Attempts is how often a task that fails is run in all, Crashes how often one
	// whose worker dies meanwhile; then it is dead.
	Attempts, Crashes int
	// Backoff is the wait before the second run; it doubles up to BackoffMax, and a
	// random part of it is taken.
	Backoff, BackoffMax time.Duration
	// Rate (tasks started per second) and Concurrency (tasks that run at once) are
	// limits for all workers together; 0 means none.
	Rate, Concurrency int
	// Durable adds a task only once a replica has it, too; DurableTimeout is how
	// long to wait for that.
	Durable        bool
	DurableTimeout time.Duration
	// Results are kept for Retention after the task is done, dead tasks for
	// DeadRetention.
	Retention, DeadRetention time.Duration
	// Reassign is after how long a task that is allocated to a worker that is gone
	// goes to any other; 0 means never.
	Reassign time.Duration
	// Max is how many tasks may wait; more are refused. 0 means no limit.
	Max int64
	// Tasks are the commands that run tasks of a type, sorted by name.
	Tasks []TaskType `json:",omitempty"`
	// Cron are the tasks that come by themselves, sorted by name.
	Cron []CronTask `json:",omitempty"`
}

// TaskType is a command that runs the tasks of one type.
type TaskType struct {
	Name string
	// Command is what is run. The task is JSON on its standard input.
	Command Exec
	// Timeout is how long one run may take; 0 means that of the queue.
	Timeout time.Duration
}

// Exec is a command: no shell, one argument each.
type Exec struct {
	// Argv[0] is an absolute path or a name that is looked up in PATH.
	Argv []string
	// Dir is where it runs, "" for the spool directory.
	Dir string `json:",omitempty"`
	// Env maps variables to values, and Secrets to where those are.
	Env     map[string]string `json:",omitempty"`
	Secrets map[string]Secret `json:",omitempty"`
}

// CronTask is a task that comes by itself.
type CronTask struct {
	Name string
	// Cron has five fields, in the time zone.
	Cron, Zone string
	Type       string
	Payload    json.RawMessage `json:",omitempty"`
}

// Handler is something that is done with an event or an alert. Exactly one of the
// pointers is set.
type Handler struct {
	Name string
	// Queue is where its tasks wait.
	Queue string
	// Types are the event types that it gets; default: its own name. A handler that
	// a rule names gets that rule's alerts besides.
	Types []string
	// When is a CEL expression on the fields of an event; empty means always.
	When string `json:",omitempty"`
	// Attempts and Timeout are those of the queue when 0.
	Attempts int           `json:",omitempty"`
	Timeout  time.Duration `json:",omitempty"`
	// Rate is how many notifications it gets in a minute; what is more comes later,
	// as one. 0 means no limit.
	Rate int `json:",omitempty"`

	Email   *Email    `json:",omitempty"`
	Webhook *Webhook  `json:",omitempty"`
	Slack   *Slack    `json:",omitempty"`
	Exec    *Exec     `json:",omitempty"`
	Log     *Log      `json:",omitempty"`
	Report  *Report   `json:",omitempty"`
	Rsm     *AskServe `json:",omitempty"`
}

// Email sends mail.
type Email struct {
	// Server is "host:port" of the mail server, TLS "implicit", "starttls" or
	// "none". CA is a PEM file of who signed its certificate, "" for the system's.
	Server, TLS string
	CA          string `json:",omitempty"`
	Username    string `json:",omitempty"`
	Password    *Secret
	From        string
	To          []string
	// Envelope is the sender for bounces; "" means From.
	Envelope string `json:",omitempty"`
	// Subject and Text are text templates, HTML an HTML template; "" means rsm's
	// own.
	Subject string `json:",omitempty"`
	Text    string `json:",omitempty"`
	HTML    string `json:",omitempty"`
	// Timeout bounds each step of the conversation.
	Timeout time.Duration
}

// Webhook posts JSON.
type Webhook struct {
	URL    *Secret `json:",omitempty"` // when the address itself is a secret
	To     string  `json:",omitempty"` // else
	Method string
	// Headers are added; HeaderSecrets say where their values are.
	Headers       map[string]string `json:",omitempty"`
	HeaderSecrets map[string]Secret `json:",omitempty"`
	// Secret signs the body: X-Rsm-Signature: sha256=<hex HMAC>.
	Secret *Secret `json:",omitempty"`
	// Body is a text template; "" means the whole payload as JSON.
	Body    string `json:",omitempty"`
	CA      string `json:",omitempty"`
	Timeout time.Duration
}

// Slack posts to an incoming webhook of Slack, or of what understands the same.
type Slack struct {
	URL     Secret
	Channel string `json:",omitempty"`
	Text    string `json:",omitempty"`
	Timeout time.Duration
}

// Log appends a line of JSON for each event or alert to a file of the spool
// directory, or to the worker's own log when File is empty.
type Log struct {
	File string `json:",omitempty"`
	// MaxSize is after how many bytes the file is renamed to <file>.1; 0 means
	// never.
	MaxSize int64 `json:",omitempty"`
}

// Report writes a report on the fleet.
type Report struct {
	// Window is how far back it looks from the moment it was asked for.
	Window time.Duration
	// Cron and Zone say when it comes by itself; empty means only when an event of
	// its type asks for it.
	Cron, Zone string `json:",omitempty"`
	Title      string
	// Keep is how many reports stay in the spool directory; 0 means all.
	Keep int
	// Mail names an email handler that it is sent with; "" means none.
	Mail string `json:",omitempty"`
	// Top is how many hosts are in its lists of the busiest.
	Top int
}

// AskServe asks a running `rsm serve` to reconcile now.
type AskServe struct {
	URL     string
	Token   *Secret `json:",omitempty"`
	CA      string  `json:",omitempty"`
	Timeout time.Duration
}

// Rule turns events into alerts.
type Rule struct {
	Name string
	// Type is the type of the events that it looks at.
	Type string
	// Expr is a CEL expression: an alert is raised while it is true. Clear is one
	// that ends it; "" means that Expr is false.
	Expr  string
	Clear string `json:",omitempty"`
	// For is how long Expr must hold before the alert fires, KeepFor how long it
	// stays after it ended.
	For, KeepFor time.Duration
	// By are the fields that tell one alert of the rule from another.
	By       []string
	Severity string
	Labels   map[string]string `json:",omitempty"`
	// Summary and Description are text templates.
	Summary     string
	Description string `json:",omitempty"`
	// Receivers are the handlers that are notified; Resolved says whether they hear
	// of the end, too.
	Receivers []string
	Resolved  bool
	// GroupBy are the labels that alerts of one notification share; GroupWait and
	// GroupInterval are the waits before its first and before a changed one, Repeat
	// before the same again.
	GroupBy                          []string
	GroupWait, GroupInterval, Repeat time.Duration
	// Escalate tells others when it goes on.
	Escalate []Escalation `json:",omitempty"`
	// InhibitedBy are rules whose firing alerts with equal labels mute this one.
	InhibitedBy []Inhibition `json:",omitempty"`
	// Mute are windows without notifications.
	Mute []Window `json:",omitempty"`
	// Stale is the age after which an alert whose events no longer come
	// ends by itself; 0 means never.
	Stale time.Duration `json:",omitempty"`
}

// Escalation tells more handlers after a time.
type Escalation struct {
	After     time.Duration
	Receivers []string
}

// Inhibition names a rule that mutes another, for alerts whose labels are equal.
type Inhibition struct {
	Rule  string
	Equal []string
}

// Encode writes any role of rsm as its configuration file holds it: JSON without
// any secret, only where they are. The same role gives the same bytes.
func Encode(role any) ([]byte, error) {
	content, err := json.MarshalIndent(role, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode role: %w", err)
	}
	return append(content, '\n'), nil
}

// Decode reads what Encode wrote into role. A field that it does not know is an
// error, as a setting that is not followed is worse than a role that does not
// start.
func Decode(content []byte, role any) error {
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(role); err != nil {
		return fmt.Errorf("decode role: %w", err)
	}
	return nil
}
