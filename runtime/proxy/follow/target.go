package follow

import (
	"time"

	"rsm/schema"
)

// Target is where requests go, as far as it is proven. It is never changed
// after it was published; a new one replaces it.
type Target struct {
	// Master takes everything. Empty while nobody provably is the master:
	// connections to any earlier one are cut then.
	Master schema.Addr
	// Hold means: send nothing new to Master. What it was sent before may still be
	// answered. It is set while a failover is about to choose another one.
	Hold bool
	// Why says in words why Master is empty or held.
	Why string
	// Epoch is the Sentinel configuration epoch at which Master was named.
	Epoch uint64
	// RunID is Master's run id.
	RunID string
	// Proof is when Master last proved to be one: its ROLE said so, and the Sentinels
	// did not name another one. It has a monotonic reading.
	Proof time.Time
	// Replicas are those whose link to Master is up, in no order.
	Replicas []Replica
}

// Replica can answer reads.
type Replica struct {
	Addr schema.Addr
	// FreshAsOf is a time at which Master had nothing that this replica does not
	// have by now. Zero means not known yet; so it is while Config.Lag is not set.
	FreshAsOf time.Time
	// Offset is the replication offset that it had applied when last asked.
	Offset int64
}

// SameRoute tells whether requests go the same way under both: what differs, if
// anything, is how fresh the evidence is.
func (t *Target) SameRoute(u *Target) bool {
	if t.Master != u.Master || t.Hold != u.Hold || t.RunID != u.RunID || len(t.Replicas) != len(u.Replicas) {
		return false
	}
	for i := range t.Replicas { // decide keeps them in the order of the spec
		if t.Replicas[i].Addr != u.Replicas[i].Addr {
			return false
		}
	}
	return true
}

// same tells whether u says nothing that t does not say.
func (t *Target) same(u *Target) bool {
	if !t.SameRoute(u) || t.Why != u.Why || t.Epoch != u.Epoch || !t.Proof.Equal(u.Proof) {
		return false
	}
	for i := range t.Replicas {
		if t.Replicas[i].Offset != u.Replicas[i].Offset || !t.Replicas[i].FreshAsOf.Equal(u.Replicas[i].FreshAsOf) {
			return false
		}
	}
	return true
}
