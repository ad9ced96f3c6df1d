package follow

import (
	"slices"
	"time"

	"rsm/schema"
)

// Status is what a Follower knows, for people.
type Status struct {
	Target    Target
	Sentinels []Sentinel
	Nodes     []Node
	// Switches are the last ones, oldest first.
	Switches []Switch
}

// Sentinel is what is known of one.
type Sentinel struct {
	Addr schema.Addr
	// Reachable tells whether it answered when it was asked last, Since since when
	// that is so, and Error why not.
	Reachable bool
	Since     time.Time
	Error     string
	// Subscribed tells whether its events are heard, EarError why not.
	Subscribed bool
	EarError   string
	// Event is the last one, with its words; EventAt is when it came.
	Event   string
	EventAt time.Time
	// Master is whom it named at the config epoch Epoch when it last answered, at
	// Asked. Flags are those that it gives that master ("master,o_down").
	Master schema.Addr
	Epoch  uint64
	Flags  string
	Asked  time.Time
}

// Node is what is known of one redis node.
type Node struct {
	Addr schema.Addr
	// Role is "master" or "replica", empty when it never answered.
	Role   string
	Master schema.Addr // of a replica
	LinkUp bool        // of a replica
	Offset int64
	RunID  string
	Asked  time.Time // when it said so
	Error  string    // why it does not answer or serve
}

// Switch is a change of the master, its restart, or the end of a time without one.
type Switch struct {
	// Since is when the one before was lost or held, At when the next was published.
	Since, At time.Time
	// From and To are the masters; the same when it came back.
	From, To schema.Addr
	Epoch    uint64
}

const maxSwitches = 16

// Status tells what is known now. It may be called at any time.
func (f *Follower) Status() Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := Status{Target: *f.target.Load(), Switches: slices.Clone(f.history)}
	for i, v := range f.world.views {
		e := f.world.ears[i]
		s.Sentinels = append(s.Sentinels, Sentinel{
			Addr: e.addr, Reachable: v.err == "" && !v.asked.IsZero(), Since: v.since, Error: v.err,
			Subscribed: e.err == "" && !e.since.IsZero(), EarError: e.err, Event: e.event, EventAt: e.heard,
			Master: v.named, Epoch: v.epoch, Flags: v.flags, Asked: v.asked,
		})
	}
	for _, addr := range f.world.order {
		n := f.world.nodes[addr]
		role, problem := n.role, n.err
		if role == "slave" {
			role = "replica"
		}
		if problem == "" {
			problem = n.refuse
		}
		s.Nodes = append(s.Nodes, Node{
			Addr: addr, Role: role, Master: n.of, LinkUp: n.linked, Offset: n.offset, RunID: n.runID, Asked: n.asked, Error: problem,
		})
	}
	return s
}

// note keeps the history: next is about to be published, and is another route.
func (f *Follower) note(next *Target, now time.Time) {
	if next.Master == "" || next.Hold {
		if f.lost.IsZero() {
			f.lost = now
		}
		return
	}
	if next.Master != f.last.Master || next.RunID != f.last.RunID || !f.lost.IsZero() {
		since := f.lost
		if since.IsZero() {
			since = now
		}
		f.history = append(f.history, Switch{Since: since, At: now, From: f.last.Master, To: next.Master, Epoch: next.Epoch})
		if len(f.history) > maxSwitches {
			f.history = slices.Delete(f.history, 0, 1)
		}
	}
	f.last, f.lost = next, time.Time{}
}
