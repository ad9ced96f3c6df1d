package agent

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"os"
	"sync"
	"time"

	"rsm/runtime/bus"
	"rsm/schema"
)

// Agent samples one host. Run may be called once.
type Agent struct {
	Role schema.AgentRole
	// Version is that of rsm, and Digest names the settings: they are told on the
	// bus.
	Version, Digest string
	// Log hears of trouble, once each time it begins.
	Log *slog.Logger
	// Ready is called once when the agent runs, nil for nobody.
	Ready func()
	// Rest is called, by one goroutine, whenever a sample is through or a scrape
	// answered, and nothing is to be done until the next one; nil for nobody.
	Rest func()

	collectors collectors
	mounts     *mounts
	nextMounts time.Time
	ids        bus.IDs
	out        *outbox
	seen       seen
	started    time.Time
	stirred    chan struct{} // something was done that deliver does not see
	// redis is used instead of Sentinels.
	redis schema.Addr
}

const (
	// collectLimit is how long a sample waits for a collector, and mountsEvery how
	// often the list of mounts is read.
	collectLimit, mountsEvery = 2 * time.Second, 30 * time.Second
	// outboxBytes bounds the memory of an agent whose Redis is away.
	outboxBytes = 1 << 20
	// outboxEvents is the default of Agent.Outbox.
	outboxEvents = 1000
	// keepEvents bounds the stream when no dispatcher does.
	keepEvents = 1_000_000
)

// Run samples and publishes until ctx ends; then it sends what the outbox holds,
// for at most two seconds, and returns nil. That no Redis answers is no error, but
// a port for metrics that is taken is.
func (a *Agent) Run(ctx context.Context) error {
	if a.Role.Agent.Interval < 100*time.Millisecond {
		return fmt.Errorf("run agent %s: an interval of %s is less than 100ms", a.Role.Agent.Name, a.Role.Agent.Interval)
	}
	client, err := bus.Connect(a.Role.Access, bus.Options{
		Name: "rsm-agent-" + a.Role.Agent.Name, Addr: a.redis,
		Unwatched: true, PoolSize: 1, Buffer: 4 << 10, Timeout: sendLimit,
	})
	if err != nil {
		return fmt.Errorf("run agent %s: %w", a.Role.Agent.Name, err)
	}
	defer client.Close()
	metrics, err := a.listen()
	if err != nil {
		return fmt.Errorf("run agent %s: %w", a.Role.Agent.Name, err)
	}
	a.prepare()
	var work sync.WaitGroup
	for _, node := range a.Role.Agent.Nodes {
		work.Go(func() { a.ask(ctx, node) })
	}
	if a.Role.Agent.Graphite != nil {
		work.Go(func() { a.pushGraphite(ctx) })
	}
	if metrics != nil {
		work.Go(func() { a.serveMetrics(ctx, metrics) })
	}
	work.Go(func() { a.sample(ctx) })
	if a.Ready != nil {
		a.Ready()
	}
	ended := make(chan struct{})
	go func() { work.Wait(); close(ended) }()
	a.deliver(ctx, client, ended)
	return nil
}

// Once returns one sample as JSON, of the interval from now on. It needs no Redis.
func (a *Agent) Once(ctx context.Context) ([]byte, error) {
	a.prepare()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(cmp.Or(a.Role.Agent.Interval, time.Second)):
	}
	a.take(ctx, time.Now())
	events, _ := a.out.peek(1)
	if len(events) == 0 {
		return nil, errors.New("sample: it is too large")
	}
	return events[0], nil
}

// prepare reads what counts from now on.
func (a *Agent) prepare() {
	a.started, a.stirred = time.Now(), make(chan struct{}, 1)
	a.out = newOutbox(cmp.Or(a.Role.Agent.Outbox, outboxEvents), outboxBytes)
	a.seen.nodes = map[string]nodeInfo{}
	a.collectors.limit = min(collectLimit, cmp.Or(a.Role.Agent.Interval, time.Second)/2)
	a.collectors.trouble = a.trouble
	if len(a.collectors.guards) == 0 {
		for _, one := range host(time.Now) {
			a.collectors.add(one)
		}
	}
	if a.mounts == nil {
		a.mounts = hostMounts(choice{a.Role.Agent.Mounts, a.Role.Agent.IgnoreMounts})
	}
}

func (a *Agent) trouble(name, text string) {
	if text == "" {
		a.Log.Info("it is read again", "what", name)
	} else {
		a.Log.Warn("cannot read a part of the host", "what", name, "error", text)
	}
}

// sample takes one sample per interval until ctx ends.
func (a *Agent) sample(ctx context.Context) {
	wait := firstWait(time.Now(), a.Role.Agent.Interval, a.Role.Agent.Host)
	select {
	case <-ctx.Done():
		return
	case <-time.After(wait):
	}
	ticker := time.NewTicker(a.Role.Agent.Interval)
	defer ticker.Stop()
	for {
		a.take(ctx, time.Now())
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// firstWait spreads the agents over the interval, each host always at the same
// place of it. At least half of an interval passes, so that rates have something
// to count.
func firstWait(now time.Time, interval time.Duration, host string) time.Duration {
	sum := fnv.New64a()
	_, _ = sum.Write([]byte(host))
	place := time.Duration(sum.Sum64() % uint64(interval))
	wait := place - now.Sub(now.Truncate(interval))
	for wait < interval/2 {
		wait += interval
	}
	return wait
}

// take puts one sample into the outbox.
func (a *Agent) take(ctx context.Context, now time.Time) {
	if !now.Before(a.nextMounts) {
		if err := a.mounts.update(&a.collectors); err != nil {
			a.trouble("mounts", err.Error())
		}
		a.nextMounts = now.Add(mountsEvery)
	}
	role := &a.Role.Agent
	s := Sample{
		V: 1, ID: a.ids.New(), Type: "monitoring", Agent: role.Name, Host: role.Host, Zone: role.Zone,
		TS: now.UnixMilli(), Interval: role.Interval.Milliseconds(), Tags: role.Tags, Dropped: a.out.lost(),
	}
	a.collectors.fill(ctx, &s, now)
	event, err := json.Marshal(&s)
	if err != nil {
		a.trouble("sample", err.Error())
		return
	}
	a.out.add(event)
	a.seen.setSample(&s)
}

// presence is what the agent tells of itself.
func (a *Agent) presence() bus.Presence {
	role := &a.Role.Agent
	return bus.Presence{
		Kind: "agent", Name: role.Name, Host: role.Host, Address: role.Address, PID: os.Getpid(),
		Version: a.Version, Digest: a.Digest, Started: a.started, Every: presenceEvery,
		Stats: map[string]int64{"dropped": a.out.lost(), "waiting": int64(a.out.size())},
	}
}
