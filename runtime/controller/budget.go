package controller

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"rsm/reconcile"
	"rsm/schema"
)

// errBudget interrupts an apply, which goes on with a later pass.
var errBudget = errors.New("the budget of disruptive steps is spent; it goes on with the next pass")

// budget bounds how much clients may notice at a time, over all clusters: so many
// steps that restart, fail over or copy a data set in each interval.
type budget struct {
	limit    int // 0 means that there is none
	interval time.Duration

	mu    sync.Mutex
	since time.Time
	spent int
}

// take is an error when a step must wait.
func (b *budget) take(now time.Time, impact reconcile.Impact) error {
	if b.limit == 0 || impact == reconcile.ImpactNone {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if now.Sub(b.since) >= b.interval {
		b.since, b.spent = now, 0
	}
	if b.spent >= b.limit {
		return errBudget
	}
	b.spent++
	return nil
}

// gate is the lock of this machine's state directory, which the clusters of one
// service share.
type gate struct {
	take func(context.Context) (release func(), err error)

	mu      sync.Mutex
	holders int
	release func()
}

// enter takes the lock for one more; leave must follow.
func (g *gate) enter(ctx context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.holders == 0 {
		release, err := g.take(ctx)
		if err != nil {
			return fmt.Errorf("lock state directory: %w", err)
		}
		g.release = release
	}
	g.holders++
	return nil
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.holders--; g.holders == 0 {
		g.release()
	}
}

// permit is asked before each step.
func (c *Controller) permit(lease Lease) func(context.Context, *schema.Cluster, reconcile.Step) error {
	return func(ctx context.Context, cluster *schema.Cluster, step reconcile.Step) error {
		if lease != nil {
			if err := lease.Held(ctx); err != nil {
				return fmt.Errorf("%w: %w", errLease, err)
			}
		}
		if control, err := c.Ledger.Read(); err == nil && control.Cluster(cluster.Name).Suspended.Active(c.Now()) {
			return errSuspended
		}
		return c.budget.take(c.Now(), step.Action.Impact())
	}
}

// The reasons why an apply ends between two steps.
var (
	errLease     = errors.New("another service has the lease")
	errSuspended = errors.New("the cluster was suspended")
)
