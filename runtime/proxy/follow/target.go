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
	// have by now.
	FreshAsOf time.Time
}
