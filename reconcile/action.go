package reconcile

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"rsm/schema"
)

// Action is one thing to do, as data: it holds no client and no closure. The
// planner makes actions, the printer prints them, the journal stores them, an
// Executor performs them. The set is sealed; actions.json names are in encode.go.
type Action interface {
	// Subject is the name of the role that is acted upon.
	Subject() string
	// Impact is what clients may notice.
	Impact() Impact
	// Commands are what is sent over the wire, in order; empty for actions that
	// only touch the host or only wait.
	Commands() []Command
	// Done reports whether the state already is as the action would make it.
	Done(*State) bool
	// String says the action in one line, without the subject.
	String() string

	apply(*State) // the model: what the action does to a state
}

// Command is one wire command. It is printed and sent from the same value.
type Command struct {
	Addr     schema.Addr
	Sentinel bool // the server is a Sentinel: authenticate with its password
	Args     []string
	// Secret, when set, is read right before sending and appended to Args.
	Secret *schema.Secret
}

// String shows the command as redis-cli would prompt for it.
func (c Command) String() string {
	words := make([]string, 0, len(c.Args)+1)
	for _, arg := range c.Args {
		if arg == "" || strings.ContainsAny(arg, " \t\"") {
			arg = strconv.Quote(arg)
		}
		words = append(words, arg)
	}
	if c.Secret != nil {
		words = append(words, "<"+c.Secret.String()+">")
	}
	return string(c.Addr) + "> " + strings.Join(words, " ")
}

// RoleRef names a role of a cluster, with what is needed to find its process.
type RoleRef struct {
	Cluster string      `json:"cluster"`
	Name    string      `json:"name"`
	Kind    Kind        `json:"kind"`
	Addr    schema.Addr `json:"addr"`
}

// StartRole writes a role's configuration and starts its process.
type StartRole struct {
	Role RoleRef `json:"role"`
	// Follow is the master that a redis-server starts as a replica of; empty
	// starts it as a master. Always empty for a Sentinel.
	Follow schema.Addr `json:"follow,omitempty"`
	// Config are the directives of the spec, without those that rsm owns (port,
	// bind, dir, passwords …).
	Config map[string]string `json:"config,omitempty"`
	Auth   schema.Auth       `json:"auth"`
}

// StopRole stops a role's process gracefully. Its data stays.
type StopRole struct {
	Role   RoleRef `json:"role"`
	Reason string  `json:"reason"`
	Risk   Impact  `json:"impact"`
	// NoSave ends a redis-server without writing its data set to disk, so that an
	// empty data set does not replace a good file.
	NoSave bool `json:"no_save,omitempty"`
}

// ConfigSet changes one live directive and has the server persist it.
type ConfigSet struct {
	Node  string      `json:"node"`
	Addr  schema.Addr `json:"addr"`
	Key   string      `json:"key"`
	Value string      `json:"value"`
	Have  string      `json:"have"`
}

// Replicate points a redis-server at a master.
type Replicate struct {
	Node   string      `json:"node"`
	Addr   schema.Addr `json:"addr"`
	Master schema.Addr `json:"master"`
	Risk   Impact      `json:"impact"`
}

// Promote ends replication on a node so that it becomes the master. It is only
// planned where no Sentinel knows any master.
type Promote struct {
	Node string      `json:"node"`
	Addr schema.Addr `json:"addr"`
}

// Snapshot keeps an RDB copy of a data set that a later step drops.
type Snapshot struct {
	Role   RoleRef `json:"role"`
	ReplID string  `json:"replid"`
	Offset int64   `json:"offset"`
}

// WaitSync waits until a replica's link to the master is up.
type WaitSync struct {
	Node   string      `json:"node"`
	Master schema.Addr `json:"master"`
}

// WaitFailover waits until Sentinel has elected a master other than a lost one.
type WaitFailover struct {
	Lost    schema.Addr   `json:"lost"`
	Timeout time.Duration `json:"timeout"`
	// Predicted is who Sentinel would choose by its own rules (priority, offset,
	// run id); for the preview only.
	Predicted schema.Addr `json:"predicted,omitempty"`
}

// WaitGossip waits until a Sentinel learns the master's address from its peers.
type WaitGossip struct {
	Sentinel string      `json:"sentinel"`
	Master   schema.Addr `json:"master"`
}

// WaitKnown waits until a Sentinel has found the replicas and peers that it needs
// for a failover.
type WaitKnown struct {
	Sentinel string        `json:"sentinel"`
	Replicas []schema.Addr `json:"replicas"`
	Peers    []schema.Addr `json:"peers"`
}

// Monitor makes a Sentinel watch the master, with every setting of the spec.
type Monitor struct {
	Sentinel        string         `json:"sentinel"`
	Addr            schema.Addr    `json:"addr"`
	Cluster         string         `json:"cluster"`
	Master          schema.Addr    `json:"master"`
	Quorum          int            `json:"quorum"`
	DownAfter       time.Duration  `json:"down_after"`
	FailoverTimeout time.Duration  `json:"failover_timeout"`
	ParallelSyncs   int            `json:"parallel_syncs"`
	Password        *schema.Secret `json:"password,omitempty"`
	// Replace removes what the Sentinel monitors under the name before.
	Replace bool `json:"replace,omitempty"`
}

// SetSentinel changes one setting of a monitored master on one Sentinel.
type SetSentinel struct {
	Sentinel string      `json:"sentinel"`
	Addr     schema.Addr `json:"addr"`
	Cluster  string      `json:"cluster"`
	Option   string      `json:"option"`
	Value    string      `json:"value"`
	Have     string      `json:"have"`
}

// ResetSentinel makes one Sentinel forget the replicas and peers it knows and
// learn them again, which is the only way to forget a stale one.
type ResetSentinel struct {
	Sentinel string        `json:"sentinel"`
	Addr     schema.Addr   `json:"addr"`
	Cluster  string        `json:"cluster"`
	Replicas []schema.Addr `json:"replicas"` // those it must know again
	Peers    []schema.Addr `json:"peers"`
}

// Publish writes the registration of the cluster.
type Publish struct {
	Registration Registration `json:"registration"`
}

// The names of actions' subjects.

func (a StartRole) Subject() string     { return a.Role.Name }
func (a StopRole) Subject() string      { return a.Role.Name }
func (a ConfigSet) Subject() string     { return a.Node }
func (a Replicate) Subject() string     { return a.Node }
func (a Promote) Subject() string       { return a.Node }
func (a Snapshot) Subject() string      { return a.Role.Name }
func (a WaitSync) Subject() string      { return a.Node }
func (a WaitFailover) Subject() string  { return "sentinels" }
func (a WaitGossip) Subject() string    { return a.Sentinel }
func (a WaitKnown) Subject() string     { return a.Sentinel }
func (a Monitor) Subject() string       { return a.Sentinel }
func (a SetSentinel) Subject() string   { return a.Sentinel }
func (a ResetSentinel) Subject() string { return a.Sentinel }
func (a Publish) Subject() string       { return a.Registration.Cluster }

// What clients may notice.

func (a StartRole) Impact() Impact     { return ImpactNone }
func (a StopRole) Impact() Impact      { return a.Risk }
func (a ConfigSet) Impact() Impact     { return ImpactNone }
func (a Replicate) Impact() Impact     { return a.Risk }
func (a Promote) Impact() Impact       { return ImpactFailover }
func (a Snapshot) Impact() Impact      { return ImpactNone }
func (a WaitSync) Impact() Impact      { return ImpactNone }
func (a WaitFailover) Impact() Impact  { return ImpactNone }
func (a WaitGossip) Impact() Impact    { return ImpactNone }
func (a WaitKnown) Impact() Impact     { return ImpactNone }
func (a Monitor) Impact() Impact       { return ImpactNone }
func (a SetSentinel) Impact() Impact   { return ImpactNone }
func (a ResetSentinel) Impact() Impact { return ImpactNone }
func (a Publish) Impact() Impact       { return ImpactNone }

// What is sent.

func (a StartRole) Commands() []Command    { return nil }
func (a StopRole) Commands() []Command     { return nil }
func (a Snapshot) Commands() []Command     { return nil }
func (a WaitSync) Commands() []Command     { return nil }
func (a WaitFailover) Commands() []Command { return nil }
func (a WaitGossip) Commands() []Command   { return nil }
func (a WaitKnown) Commands() []Command    { return nil }
func (a Publish) Commands() []Command      { return nil }

// Commands sends CONFIG SET, then CONFIG REWRITE so that a restart keeps it.
func (a ConfigSet) Commands() []Command {
	return []Command{
		{Addr: a.Addr, Args: []string{"CONFIG", "SET", a.Key, a.Value}},
		{Addr: a.Addr, Args: []string{"CONFIG", "REWRITE"}},
	}
}

// Commands sends REPLICAOF, then CONFIG REWRITE.
func (a Replicate) Commands() []Command {
	host, port := a.Master.Split()
	return []Command{
		{Addr: a.Addr, Args: []string{"REPLICAOF", host, port}},
		{Addr: a.Addr, Args: []string{"CONFIG", "REWRITE"}},
	}
}

// Commands sends REPLICAOF NO ONE, then CONFIG REWRITE.
func (a Promote) Commands() []Command {
	return []Command{
		{Addr: a.Addr, Args: []string{"REPLICAOF", "NO", "ONE"}},
		{Addr: a.Addr, Args: []string{"CONFIG", "REWRITE"}},
	}
}

// Commands registers the master first, then the password before any setting, so
// that the Sentinel can talk to the master as early as possible. Each setting is
// a call of its own: one bad option in a call leaves the others half applied.
func (a Monitor) Commands() []Command {
	call := func(args ...string) Command {
		return Command{Addr: a.Addr, Sentinel: true, Args: append([]string{"SENTINEL"}, args...)}
	}
	var cmds []Command
	if a.Replace {
		cmds = append(cmds, call("REMOVE", a.Cluster))
	}
	host, port := a.Master.Split()
	cmds = append(cmds, call("MONITOR", a.Cluster, host, port, strconv.Itoa(a.Quorum)))
	if a.Password != nil {
		pass := call("SET", a.Cluster, "auth-pass")
		pass.Secret = a.Password
		cmds = append(cmds, pass)
	}
	return append(cmds,
		call("SET", a.Cluster, "down-after-milliseconds", millis(a.DownAfter)),
		call("SET", a.Cluster, "failover-timeout", millis(a.FailoverTimeout)),
		call("SET", a.Cluster, "parallel-syncs", strconv.Itoa(a.ParallelSyncs)),
	)
}

// Commands sends one SENTINEL SET.
func (a SetSentinel) Commands() []Command {
	return []Command{{Addr: a.Addr, Sentinel: true, Args: []string{"SENTINEL", "SET", a.Cluster, a.Option, a.Value}}}
}

// Commands sends SENTINEL RESET for exactly this master name.
func (a ResetSentinel) Commands() []Command {
	return []Command{{Addr: a.Addr, Sentinel: true, Args: []string{"SENTINEL", "RESET", a.Cluster}}}
}

func millis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// How an action reads in a plan.

func (a StartRole) String() string {
	switch {
	case a.Role.Kind == KindSentinel:
		return fmt.Sprintf("start sentinel on %s", a.Role.Addr)
	case a.Follow == "":
		return fmt.Sprintf("start redis on %s as master", a.Role.Addr)
	}
	return fmt.Sprintf("start redis on %s as replica of %s", a.Role.Addr, a.Follow)
}
func (a StopRole) String() string {
	return fmt.Sprintf("stop %s on %s: %s", a.Role.Kind, a.Role.Addr, a.Reason)
}
func (a ConfigSet) String() string { return fmt.Sprintf("set %s: %q -> %q", a.Key, a.Have, a.Value) }
func (a Replicate) String() string { return "replicate from " + string(a.Master) }
func (a Promote) String() string   { return "make it the master" }
func (a Snapshot) String() string  { return "keep an RDB copy of its data set" }
func (a WaitSync) String() string  { return "wait until it is in sync with " + string(a.Master) }
func (a WaitFailover) String() string {
	text := fmt.Sprintf("wait until Sentinel replaces %s as master", a.Lost)
	if a.Predicted != "" {
		text += fmt.Sprintf(" (expected: %s)", a.Predicted)
	}
	return text
}
func (a WaitGossip) String() string {
	return fmt.Sprintf("wait until it learns from its peers that %s is master", a.Master)
}
func (a WaitKnown) String() string {
	return fmt.Sprintf("wait until it knows %d replicas and %d peers", len(a.Replicas), len(a.Peers))
}
func (a Monitor) String() string {
	if a.Replace {
		return fmt.Sprintf("monitor %s instead, quorum %d", a.Master, a.Quorum)
	}
	return fmt.Sprintf("monitor %s, quorum %d", a.Master, a.Quorum)
}
func (a SetSentinel) String() string {
	return fmt.Sprintf("set %s: %s -> %s", a.Option, a.Have, a.Value)
}
func (a ResetSentinel) String() string { return "forget stale entries and learn the cluster again" }
func (a Publish) String() string {
	return fmt.Sprintf("publish master %s, %d replicas, %d sentinels", a.Registration.Master,
		len(a.Registration.Replicas), len(a.Registration.Sentinels))
}

// Whether there is nothing left to do.

func (a StartRole) Done(s *State) bool {
	if a.Role.Kind == KindSentinel {
		return s.Sentinels[a.Role.Name] != nil && s.Sentinels[a.Role.Name].Reach == Up
	}
	r := s.Redis[a.Role.Name]
	return r != nil && r.Reach == Up
}
func (a StopRole) Done(s *State) bool {
	if r := s.Redis[a.Role.Name]; r != nil {
		return r.Reach == Down
	}
	if r := s.Sentinels[a.Role.Name]; r != nil {
		return r.Reach == Down
	}
	return !slices.ContainsFunc(s.Surplus, func(r SurplusRole) bool { return r.Name == a.Role.Name && r.Running })
}
func (a ConfigSet) Done(s *State) bool {
	r := s.Redis[a.Node]
	return r != nil && SameValue(a.Key, r.Config[a.Key], a.Value)
}
func (a Replicate) Done(s *State) bool {
	r := s.Redis[a.Node]
	return r != nil && r.Reach == Up && r.Role == Replica && r.Master == a.Master
}
func (a Promote) Done(s *State) bool {
	r := s.Redis[a.Node]
	return r != nil && r.Reach == Up && r.Role == Master
}
func (a Snapshot) Done(s *State) bool {
	r := s.Redis[a.Role.Name]
	return r != nil && r.Copied
}
func (a WaitSync) Done(s *State) bool {
	r := s.Redis[a.Node]
	return r != nil && r.Reach == Up && r.Role == Replica && r.Master == a.Master && r.LinkUp && !r.Syncing && !r.Loading
}
func (a WaitGossip) Done(s *State) bool {
	r := s.Sentinels[a.Sentinel]
	return r != nil && r.Master == a.Master
}
func (a WaitKnown) Done(s *State) bool {
	r := s.Sentinels[a.Sentinel]
	return r != nil && r.knowsAll(a.Replicas, a.Peers)
}
func (a WaitFailover) Done(s *State) bool { return !s.FailoverInProgress() && s.Authority() != nil }
func (a ResetSentinel) Done(s *State) bool {
	r := s.Sentinels[a.Sentinel]
	return r != nil && r.knowsAll(a.Replicas, a.Peers) && len(r.Replicas) == len(a.Replicas) && len(r.Peers) == len(a.Peers)
}
func (a Monitor) Done(s *State) bool {
	r := s.Sentinels[a.Sentinel]
	return r != nil && r.Reach == Up && r.Master == a.Master
}
func (a SetSentinel) Done(s *State) bool {
	r := s.Sentinels[a.Sentinel]
	return r != nil && r.option(a.Option) == a.Value
}
func (a Publish) Done(s *State) bool {
	return s.Record != nil && s.Record.equal(a.Registration)
}
