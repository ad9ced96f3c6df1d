package reconcile

import (
	"fmt"
	"time"

	"rsm/schema"
)

// WaitSync waits until a replica's link to the master is up.
type WaitSync struct {
	noImpact
	noCommands

	Node   string      `json:"node"`
	Master schema.Addr `json:"master"`
}

// Subject is the node.
func (a WaitSync) Subject() string { return a.Node }

// Done looks at the link.
func (a WaitSync) Done(s *State) bool {
	r := s.Redis[a.Node]
	return r != nil && r.Reach == Up && r.Role == Replica && r.Master == a.Master && r.LinkUp && !r.Syncing && !r.Loading
}

// String is the line in a plan.
func (a WaitSync) String() string { return "wait until it is in sync with " + string(a.Master) }

// WaitFailover waits until Sentinel has elected a master other than a lost one.
type WaitFailover struct {
	noImpact
	noCommands

	Lost    schema.Addr   `json:"lost"`
	Timeout time.Duration `json:"timeout"`
	// Predicted is who Sentinel would choose by its own rules (priority, offset,
	// run id); for the preview only.
	Predicted schema.Addr `json:"predicted,omitempty"`
}

// Subject is the group that decides.
func (a WaitFailover) Subject() string { return "sentinels" }

// Done tells whether there is an authority and no failover goes on.
func (a WaitFailover) Done(s *State) bool { return !s.FailoverInProgress() && s.Authority() != nil }

// String is the line in a plan.
func (a WaitFailover) String() string {
	text := fmt.Sprintf("wait until Sentinel replaces %s as master", a.Lost)
	if a.Predicted != "" {
		text += fmt.Sprintf(" (expected: %s)", a.Predicted)
	}
	return text
}

// WaitGossip waits until a Sentinel learns the master's address from its peers.
type WaitGossip struct {
	noImpact
	noCommands

	Sentinel string      `json:"sentinel"`
	Master   schema.Addr `json:"master"`
}

// Subject is the Sentinel.
func (a WaitGossip) Subject() string { return a.Sentinel }

// Done looks at the address that it monitors.
func (a WaitGossip) Done(s *State) bool {
	r := s.Sentinels[a.Sentinel]
	return r != nil && r.Master == a.Master
}

// String is the line in a plan.
func (a WaitGossip) String() string {
	return fmt.Sprintf("wait until it learns from its peers that %s is master", a.Master)
}

// WaitKnown waits until a Sentinel has found the replicas and peers that it needs
// for a failover.
type WaitKnown struct {
	noImpact
	noCommands

	Sentinel string        `json:"sentinel"`
	Replicas []schema.Addr `json:"replicas"`
	Peers    []schema.Addr `json:"peers"`
}

// Subject is the Sentinel.
func (a WaitKnown) Subject() string { return a.Sentinel }

// Done tells whether it knows all that it must.
func (a WaitKnown) Done(s *State) bool {
	r := s.Sentinels[a.Sentinel]
	return r != nil && r.knowsAll(a.Replicas, a.Peers)
}

// String is the line in a plan.
func (a WaitKnown) String() string {
	return fmt.Sprintf("wait until it knows %s and %s", count(len(a.Replicas), "replica"), count(len(a.Peers), "peer"))
}
