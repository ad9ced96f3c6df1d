// Package controller keeps deployments equal to a branch of a git repository, for
// as long as it runs.
//
// It has one feed, which knows the newest commit that may be applied, and a worker
// for each cluster, which chooses the commit that its cluster follows (choose),
// looks at the servers, and heals what differs. Everything that asks them to look,
// a timer, a webhook, a signal, carries no facts. What they must remember is in
// the ledger; killed at any moment, a controller goes on from there and from what
// it sees.
package controller

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"rsm/reconcile"
	"rsm/runtime/controller/ledger"
	"rsm/schema"
)

// Lease says whether this service may touch a cluster.
type Lease interface {
	// Run keeps it until ctx ends.
	Run(ctx context.Context) error
	// Held is nil while this service has it, and else says who has.
	Held(ctx context.Context) error
}

// Config is what a controller works with. Every field without "nil" or "0" in its
// comment has to be set.
type Config struct {
	// Name is that of the source, for people: URL and branch without secrets.
	Name   string
	Source Source
	// Git is how others reach the source; nil when they cannot.
	Git *schema.GitSource
	// Evaluate makes a spec of files.
	Evaluate func(context.Context, schema.Tree) (*schema.Spec, schema.Problems)
	// Applier returns what observes and changes a cluster.
	Applier func(*schema.Cluster) *reconcile.Applier
	// Lease returns the lease of a cluster; nil means that nobody else is there.
	Lease func(*schema.Cluster) Lease
	// Lock takes the state directory of this machine.
	Lock   func(context.Context) (release func(), err error)
	Ledger *ledger.Ledger
	// Poll is the time between two questions to the source, Interval that between
	// two looks at a cluster.
	Poll, Interval time.Duration
	// Budget is how many disruptive steps may be done in an interval; 0 means any.
	Budget int
	// Heal repairs drift from the commit in force; without it drift is only told.
	Heal bool
	// Window says whether changes may be made now, and if not why; nil means always.
	Window func(*schema.Cluster, time.Time) (closed string)
	// Expiring names keys that stop to verify within a time; nil means that none do.
	Expiring func(now time.Time, within time.Duration) ([]string, error)
	// Tell hears every event; nil means that only the ledger does.
	Tell func(ledger.Event)
	Log  *slog.Logger
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Controller is the service.
type Controller struct {
	Config
	feed   *feed
	poll   *reconcile.Loop
	gate   gate
	budget budget
	counters

	mu      sync.Mutex
	pruned  time.Time // used by look alone
	keysAt  time.Time // the same
	again   bool      // the next look at the source checks what was refused, too
	workers map[string]*worker
	running sync.WaitGroup

	followers atomic.Int32 // of events, over HTTP
}

// New returns a controller that Run starts.
func New(config Config) *Controller {
	if config.Now == nil {
		config.Now = time.Now
	}
	c := &Controller{Config: config, workers: map[string]*worker{}, counters: newCounters()}
	c.feed = &feed{Controller: c}
	c.gate.take = config.Lock
	c.budget = budget{limit: config.Budget, interval: config.Interval}
	c.poll = reconcile.NewLoop(config.Poll, c.look)
	return c
}

// Ask makes it look at the source at once. Many asks are one.
func (c *Controller) Ask() { c.poll.Ask() }

// Reload is Ask, checks again what was refused, and looks at every cluster.
func (c *Controller) Reload() {
	c.mu.Lock()
	c.again = true
	c.mu.Unlock()
	c.Ask()
	c.askAll()
}

// Alive reports whether it still asks the source, as it should.
func (c *Controller) Alive() bool {
	c.feed.mu.Lock()
	defer c.feed.mu.Unlock()
	return c.feed.looked.IsZero() || c.Now().Sub(c.feed.looked) < c.Poll+aliveTime
}

// aliveTime is longer than a question to the source, a fetch and an evaluation may
// take together.
const aliveTime = 5 * time.Minute

// Run works until ctx ends, and returns nil then. Servers keep running.
func (c *Controller) Run(ctx context.Context) error {
	control, err := c.Ledger.Read()
	if err != nil {
		return err
	}
	if err := c.Ledger.Interrupted(); err != nil {
		return err
	}
	c.tell(ledger.Event{Type: "service.start", Message: "follows " + c.Name})
	c.feed.restore(ctx, control.Source)
	c.assign(ctx)
	err = c.poll.Run(ctx)
	c.running.Wait()
	c.tell(ledger.Event{Type: "service.end", Message: "the servers keep running"})
	return err
}

// look asks the source, and lets the clusters know.
func (c *Controller) look(ctx context.Context) {
	c.checkKeys()
	c.mu.Lock()
	again := c.again
	c.again = false
	c.mu.Unlock()
	if !c.feed.refresh(ctx, again) {
		return
	}
	c.assign(ctx)
	c.askAll()
	if now := c.Now(); now.Sub(c.pruned) > pruneTime {
		c.pruned = now
		if err := c.Ledger.Prune(); err != nil {
			c.Log.Error("prune ledger", "error", err)
		}
	}
}

// pruneTime is how often the ledger forgets specs: that reads every attempt.
const pruneTime = time.Hour

// askAll makes every worker look.
func (c *Controller) askAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range c.workers {
		w.ask()
	}
}

// tell writes an event down and passes it on.
func (c *Controller) tell(e ledger.Event) {
	e.Time = c.Now().UTC()
	if e.Level == "" {
		e.Level = "info"
	}
	if err := c.Ledger.Tell(e); err != nil {
		c.Log.Error("write event", "error", err)
	}
	if c.Config.Tell != nil {
		c.Config.Tell(e)
	}
}
