package follow

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"rsm/schema"
)

// Config says whom to follow.
type Config struct {
	// Cluster is the master's name in the Sentinels.
	Cluster string
	// Sentinels are all that the spec declares; a majority of them decides.
	Sentinels []schema.Addr
	// Nodes are the redis nodes of the spec. Nobody else becomes Target.Master.
	Nodes []schema.Addr
	// Password and SentinelPassword are read for each new connection, so that one
	// that was changed works; nil or an empty password means none.
	Password, SentinelPassword func() (string, error)
	// DownAfter is Sentinel's down-after-milliseconds: a master that has hung for
	// that long is one no more. It must be positive, as Fence.
	DownAfter time.Duration
	// Fence is for how long a master counts as one after it last proved it.
	Fence time.Duration
	// Lag measures how fresh replicas are, ten times a second.
	Lag bool
	// Dial connects to a server; nil means plain TCP. It must return when ctx ends.
	Dial func(ctx context.Context, addr schema.Addr) (net.Conn, error)
	// Changed is called after each publication that is not SameRoute as the one
	// before, in order, by one goroutine. It must not block. It may be nil.
	Changed func(*Target)
	// Log is told of switches and of servers that come and go; nil means nobody is.
	Log *slog.Logger
	// Now is the clock, with a monotonic reading; nil means time.Now.
	Now func() time.Time
}

const (
	// idle is between two questions to a server while all is well, sampling with Lag.
	idle     = time.Second
	sampling = 100 * time.Millisecond
	// hurry is while there is no master, for at most hurrying; later it is slow.
	hurry    = 20 * time.Millisecond
	hurrying = 30 * time.Second
	slow     = 200 * time.Millisecond
	// urgent is for the replica that is being promoted.
	urgent = 5 * time.Millisecond
	// tick is how late a deadline is noticed.
	tick = 50 * time.Millisecond
	// sentinelLimit is how long a Sentinel may take to answer.
	sentinelLimit = 500 * time.Millisecond
)

// Follower finds the master and keeps looking. Make one with New.
type Follower struct {
	config    Config
	target    atomic.Pointer[Target]
	asks      chan string
	facts     chan fact
	sentinels []*pace
	nodes     map[schema.Addr]*pace
	jitter    func(time.Duration) time.Duration

	mu      sync.Mutex // of what follows; Run's goroutine alone writes it
	world   world
	history []Switch
	lost    time.Time // since when there is no master, or it is held; zero: there is one
	last    *Target   // the last one with a master and no hold
}

// New prepares a Follower. It does nothing until Run.
func New(config Config) *Follower {
	if config.Dial == nil {
		config.Dial = dialTCP
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	f := &Follower{
		config: config, asks: make(chan string, 1), facts: make(chan fact, 64), nodes: map[schema.Addr]*pace{},
		jitter: func(d time.Duration) time.Duration { return d - d/10 + rand.N(d/5+1) },
		world: world{
			fence: config.Fence, downAfter: config.DownAfter, majority: len(config.Sentinels)/2 + 1,
			views: make([]view, len(config.Sentinels)), nodes: map[schema.Addr]node{}, order: slices.Clone(config.Nodes),
		},
		lost: config.Now(), last: &Target{},
	}
	for _, addr := range config.Sentinels {
		f.sentinels = append(f.sentinels, newPace(f.idle()))
		f.world.ears = append(f.world.ears, ear{addr: addr})
	}
	for _, addr := range config.Nodes {
		f.nodes[addr] = newPace(f.idle())
		f.world.nodes[addr] = node{}
	}
	f.target.Store(f.world.decide(config.Now()))
	return f
}

// Target is the newest one, never nil. It costs one atomic load.
func (f *Follower) Target() *Target { return f.target.Load() }

// Ask makes everybody be asked again now: a connection to the master broke, or it
// said -READONLY. It never blocks, and many calls cost as much as a few.
func (f *Follower) Ask(why string) {
	select {
	case f.asks <- why:
	default:
	}
}

// Run follows until ctx ends, and returns nil when every goroutine and connection
// of it has ended, within a second.
func (f *Follower) Run(ctx context.Context) error {
	var work sync.WaitGroup
	defer work.Wait()
	for i := range f.config.Sentinels {
		work.Go(func() { f.watchSentinel(ctx, i) })
		work.Go(func() { f.askSentinel(ctx, i) })
	}
	for _, addr := range f.config.Nodes {
		work.Go(func() { f.askNode(ctx, addr) })
	}
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case learnt := <-f.facts:
			f.update(learnt)
			if _, heard := learnt.(event); heard {
				f.everyone()
			}
		case why := <-f.asks:
			f.config.Log.Debug("look again", "cluster", f.config.Cluster, "why", why)
			f.everyone()
		case <-ticker.C:
			f.update(passed(f.config.Now()))
		}
	}
}

// learn hands a fact to Run, false when that has ended.
func (f *Follower) learn(ctx context.Context, learnt fact) bool {
	select {
	case <-ctx.Done():
		return false
	case f.facts <- learnt:
		return true
	}
}

// remark logs that a server began or ceased to answer.
func (f *Follower) remark(what string, addr schema.Addr, before, err string) {
	switch {
	case before == "" && err != "":
		f.config.Log.Warn(what+" does not answer", "cluster", f.config.Cluster, "addr", addr, "why", err)
	case before != "" && err == "":
		f.config.Log.Info(what+" answers again", "cluster", f.config.Cluster, "addr", addr)
	}
}

// everyone asks all servers now.
func (f *Follower) everyone() {
	for _, p := range f.sentinels {
		p.now()
	}
	for _, p := range f.nodes {
		p.now()
	}
}

// update takes a fact in and publishes what follows.
func (f *Follower) update(learnt fact) {
	now := f.config.Now()
	f.mu.Lock()
	learnt.tell(&f.world)
	next, before := f.world.decide(now), f.target.Load()
	changed := !next.SameRoute(before)
	if changed {
		f.note(next, now)
	}
	f.hurry(next, now)
	f.mu.Unlock()
	if !next.same(before) {
		f.target.Store(next)
	}
	if !changed {
		return
	}
	f.config.Log.Info("target changed", "cluster", f.config.Cluster, "master", next.Master, "hold", next.Hold,
		"epoch", next.Epoch, "replicas", len(next.Replicas), "why", next.Why)
	if f.config.Changed != nil {
		f.config.Changed(next)
	}
}

// hurry sets how often everybody is asked, given what is published.
func (f *Follower) hurry(t *Target, now time.Time) {
	all, nodes := f.idle(), f.idle()
	if f.config.Lag {
		nodes = min(nodes, sampling)
	}
	switch {
	case t.Master == "" && now.Sub(f.lost) < hurrying, t.Master != "" && !f.world.nodes[t.Master].silent.IsZero(),
		slices.ContainsFunc(f.world.views, view.failing):
		all, nodes = hurry, hurry
	case t.Master == "":
		all, nodes = slow, min(nodes, slow)
	}
	for _, p := range f.sentinels {
		p.set(all)
	}
	for addr, p := range f.nodes {
		if c := f.world.choice; c != nil && c.addr == addr && c.promoted.IsZero() {
			p.set(urgent)
			continue
		}
		p.set(nodes)
	}
}

// idle is short enough that a proof never gets as old as the fence by itself.
func (f *Follower) idle() time.Duration {
	return min(idle, max(f.config.Fence/4, hurry))
}
