package reconcile

import (
	"fmt"
	"strconv"
	"time"

	"rsm/schema"
)

// Handover makes a replica the master without losing a write: writes are paused
// until the replica has all of them, Sentinel promotes it, the old master follows
// it, and only then do the paused clients hear -READONLY, which proves that their
// writes were not executed. What each method returns is sent in the order of
// Commands; between them the executor looks at roles and offsets (measured with
// Redis 7.0: writes stall for some 200 ms, most of it Sentinel's own steps).
type Handover struct {
	Cluster string `json:"cluster"`
	// From leads now.
	From RoleRef `json:"from"`
	// To takes over. Unless Exact, it is only expected to, and Sentinel may choose a
	// rival that is as good.
	To    RoleRef `json:"to"`
	Exact bool    `json:"exact,omitempty"`
	// Rivals are the other replicas that Sentinel may promote.
	Rivals []Rival `json:"rivals,omitempty"`
	// Sentinel is the one that is asked to fail over. It chooses alone.
	Sentinel RoleRef `json:"sentinel"`
	// Pause is how long writes may wait for the promotion. It stays below
	// down-after: a master that is paused does not answer Sentinel's hello.
	Pause time.Duration `json:"pause"`
	// Timeout is Sentinel's own limit for a failover.
	Timeout time.Duration `json:"timeout"`
}

// Rival is a replica that Sentinel may promote. It has to have every write before,
// or is held back: its replica-priority is 0 meanwhile, which means "never".
type Rival struct {
	Name     string      `json:"name"`
	Addr     schema.Addr `json:"addr"`
	Priority int         `json:"priority"`
	HeldBack bool        `json:"held_back,omitempty"`
}

// stayPaused replaces Handover.Pause once Sentinel has begun: should rsm die now,
// the old master must not take writes that the new one never gets before the
// clients have heard of the new one.
const stayPaused = 10 * time.Second

// Subject is the node that leads now.
func (a Handover) Subject() string { return a.From.Name }

// Impact is that of a failover: clients get a new master.
func (a Handover) Impact() Impact { return ImpactFailover }

// String is the line in a plan.
func (a Handover) String() string {
	if a.Exact || len(a.Rivals) == 0 {
		return fmt.Sprintf("hand over to %s %s", a.To.Name, a.To.Addr)
	}
	return fmt.Sprintf("hand over to whom Sentinel prefers (expected: %s %s)", a.To.Name, a.To.Addr)
}

// Commands are all commands of a handover that goes well.
func (a Handover) Commands() []Command {
	cmds := append(a.HoldBack(), a.PauseWrites(), a.Failover(), a.KeepPaused())
	cmds = append(cmds, a.Demote(a.To.Addr)...)
	cmds = append(cmds, a.Persist(), a.Disconnect())
	return append(cmds, a.Restore()...)
}

// HoldBack takes the rivals out of Sentinel's choice. It is not persisted: a rival
// that restarts has its own priority again.
func (a Handover) HoldBack() []Command {
	var cmds []Command
	for _, rival := range a.Rivals {
		if rival.HeldBack {
			cmds = append(cmds, Command{Addr: rival.Addr, Args: []string{"CONFIG", "SET", "replica-priority", "0"}})
		}
	}
	return cmds
}

// Restore gives the rivals their priority back. Sentinel makes them rewrite their
// configuration when it points them at the new master, so they do so again.
func (a Handover) Restore() []Command {
	var cmds []Command
	for _, rival := range a.Rivals {
		if rival.HeldBack {
			cmds = append(cmds,
				Command{Addr: rival.Addr, Args: []string{"CONFIG", "SET", "replica-priority", strconv.Itoa(rival.Priority)}},
				Command{Addr: rival.Addr, Args: []string{"CONFIG", "REWRITE"}})
		}
	}
	return cmds
}

// PauseWrites makes writes wait. It ends by itself.
func (a Handover) PauseWrites() Command { return a.pause(a.Pause) }

// KeepPaused prolongs the pause once Sentinel has begun. It, too, ends by itself.
func (a Handover) KeepPaused() Command { return a.pause(max(stayPaused, 2*a.Pause)) }

func (a Handover) pause(d time.Duration) Command {
	return Command{Addr: a.From.Addr, Args: []string{"CLIENT", "PAUSE", millis(d), "WRITE"}}
}

// Unpause lets the old master's clients go on, as Redis 6.2 and later can.
func (a Handover) Unpause() Command {
	return Command{Addr: a.From.Addr, Args: []string{"CLIENT", "UNPAUSE"}}
}

// Failover asks Sentinel to promote somebody. It does so without a vote.
func (a Handover) Failover() Command {
	return Command{Addr: a.Sentinel.Addr, Sentinel: true, Args: []string{"SENTINEL", "FAILOVER", a.Cluster}}
}

// Demote makes the old master a replica of the new one before its clients go on:
// the writes that waited are refused then, not executed and lost.
func (a Handover) Demote(master schema.Addr) []Command {
	host, port := master.Split()
	return []Command{{Addr: a.From.Addr, Args: []string{"REPLICAOF", host, port}}, a.Unpause()}
}

// Persist keeps the old master a replica when it restarts.
func (a Handover) Persist() Command {
	return Command{Addr: a.From.Addr, Args: []string{"CONFIG", "REWRITE"}}
}

// Disconnect closes the connections of the old master's clients, so that those
// that stay connected to one address look for the new master.
func (a Handover) Disconnect() Command {
	return Command{Addr: a.From.Addr, Args: []string{"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"}}
}

// Done tells whether the new master leads, every Sentinel that knows one names it,
// and the old one follows it and is in sync.
func (a Handover) Done(s *State) bool {
	leader, from := s.Authority(), s.Redis[a.From.Name]
	switch {
	case leader == nil || from == nil || s.FailoverInProgress():
		return false
	case a.Exact && leader.Addr != a.To.Addr || leader == from:
		return false
	}
	if s.countSentinels(func(r *SentinelState) bool { return r.Knows() && r.Master != leader.Addr }) > 0 {
		return false
	}
	return WaitSync{Node: from.Name, Master: leader.Addr}.Done(s)
}

// apply is a failover with a known winner.
func (a Handover) apply(s *State) { WaitFailover{Predicted: a.To.Addr}.apply(s) }
