package reconcile

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"rsm/schema"
)

// Monitor makes a Sentinel watch the master, with every setting of the spec.
type Monitor struct {
	noImpact

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

// Subject is the Sentinel.
func (a Monitor) Subject() string { return a.Sentinel }

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

// Done looks at the address that it monitors.
func (a Monitor) Done(s *State) bool {
	r := s.Sentinels[a.Sentinel]
	return r != nil && r.Reach == Up && r.Master == a.Master
}

// String is the line in a plan.
func (a Monitor) String() string {
	if a.Replace {
		return fmt.Sprintf("monitor %s instead, quorum %d", a.Master, a.Quorum)
	}
	return fmt.Sprintf("monitor %s, quorum %d", a.Master, a.Quorum)
}

// MonitorAll turns every Sentinel to another master. All forget the old one before
// any learns the new one: the epoch starts at 0 again, so a Sentinel that still
// knew the old one would win the others back by its higher epoch within seconds
// (measured with Redis 7.0).
type MonitorAll struct {
	noImpact

	Monitors []Monitor `json:"monitors"`
}

// Subject is all of them.
func (a MonitorAll) Subject() string { return "sentinels" }

// Commands removes everywhere, then registers everywhere.
func (a MonitorAll) Commands() []Command {
	var removals, rest []Command
	for _, each := range a.Monitors {
		cmds := each.Commands()
		if each.Replace {
			removals, cmds = append(removals, cmds[0]), cmds[1:]
		}
		rest = append(rest, cmds...)
	}
	return append(removals, rest...)
}

// Done tells whether all of them monitor the new master.
func (a MonitorAll) Done(s *State) bool {
	return !slices.ContainsFunc(a.Monitors, func(each Monitor) bool { return !each.Done(s) })
}

// String is the line in a plan.
func (a MonitorAll) String() string {
	return fmt.Sprintf("all monitor %s instead, quorum %d", a.Monitors[0].Master, a.Monitors[0].Quorum)
}

// SetSentinel changes one setting of a monitored master on one Sentinel.
type SetSentinel struct {
	noImpact

	Sentinel string      `json:"sentinel"`
	Addr     schema.Addr `json:"addr"`
	Cluster  string      `json:"cluster"`
	Option   string      `json:"option"`
	Value    string      `json:"value"`
	Have     string      `json:"have"`
}

// Subject is the Sentinel.
func (a SetSentinel) Subject() string { return a.Sentinel }

// Commands sends one SENTINEL SET.
func (a SetSentinel) Commands() []Command {
	return []Command{{Addr: a.Addr, Sentinel: true, Args: []string{"SENTINEL", "SET", a.Cluster, a.Option, a.Value}}}
}

// Done looks at the live setting.
func (a SetSentinel) Done(s *State) bool {
	r := s.Sentinels[a.Sentinel]
	return r != nil && r.option(a.Option) == a.Value
}

// String is the line in a plan.
func (a SetSentinel) String() string {
	return fmt.Sprintf("set %s: %s -> %s", a.Option, a.Have, a.Value)
}

// ResetSentinel makes one Sentinel forget the replicas and peers it knows and
// learn them again, which is the only way to forget a stale one.
type ResetSentinel struct {
	noImpact

	Sentinel string        `json:"sentinel"`
	Addr     schema.Addr   `json:"addr"`
	Cluster  string        `json:"cluster"`
	Replicas []schema.Addr `json:"replicas"` // those it must know again
	Peers    []schema.Addr `json:"peers"`
}

// Subject is the Sentinel.
func (a ResetSentinel) Subject() string { return a.Sentinel }

// Commands sends SENTINEL RESET for exactly this master name.
func (a ResetSentinel) Commands() []Command {
	return []Command{{Addr: a.Addr, Sentinel: true, Args: []string{"SENTINEL", "RESET", a.Cluster}}}
}

// Done tells whether it knows all that it must, and nothing else.
func (a ResetSentinel) Done(s *State) bool {
	r := s.Sentinels[a.Sentinel]
	return r != nil && r.knowsAll(a.Replicas, a.Peers) && len(r.Replicas) == len(a.Replicas) && len(r.Peers) == len(a.Peers)
}

// String is the line in a plan.
func (a ResetSentinel) String() string { return "forget stale entries and learn the cluster again" }
