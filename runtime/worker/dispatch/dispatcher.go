package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"rsm/runtime/bus"
	"rsm/schema"
)

// Dispatcher is one of the dispatchers of a cluster. Role is needed.
type Dispatcher struct {
	Role schema.DispatcherRole
	// Version is what it says that it is, Digest names its settings.
	Version, Digest string
	// Log is where it tells what happens; nil means nowhere.
	Log *slog.Logger
	// Ready is called once, when the dispatcher runs; nil means nobody wants to know.
	Ready func()
	// Redis are options of its client; Name is set by Run.
	Redis bus.Options

	client *bus.Client
	clock  clock
	plan   atomic.Pointer[plan] // nil until operations were read
	// refusal says why newer operations are not followed, nil when they are.
	refusal atomic.Pointer[string]
	// hurry asks for a look at what is due.
	hurry chan struct{}
	ready chan struct{} // closed with the first plan
	meter *meter
}

// How often it tells that it is there.
const presenceEvery = 5 * time.Second

// Run dispatches until ctx ends; what it has begun it finishes then, for up to three
// seconds. While no master answers it goes on asking. An error means that it cannot
// work at all.
func (d *Dispatcher) Run(ctx context.Context) error {
	name := d.Role.Dispatcher.Name
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	options := d.Redis
	options.Name = "rsm-dispatcher-" + name
	client, err := bus.Connect(d.Role.Access, options)
	if err != nil {
		return fmt.Errorf("dispatch: %w", err)
	}
	defer client.Close()
	d.client, d.hurry, d.ready, d.meter = client, make(chan struct{}, 1), make(chan struct{}), newMeter()
	stopMetrics, err := d.serveMetrics()
	if err != nil {
		return fmt.Errorf("dispatch: %w", err)
	}
	defer stopMetrics()
	var loops sync.WaitGroup
	watch := bus.WatchOperations{Client: client, Changed: d.follow}
	b := newBridge(client, d.meter, d.Log)
	for _, run := range []func(context.Context) error{watch.Run, b.listen, b.carry, d.consume, d.watchTime, d.upkeep, d.announce} {
		loops.Go(func() { _ = run(ctx) })
	}
	if d.Ready != nil {
		d.Ready()
	}
	loops.Wait()
	return d.leave()
}

// follow takes a new set of operations, or keeps what it has.
func (d *Dispatcher) follow(ops schema.Operations, digest string, err error) {
	var p *plan
	if err == nil {
		p, err = compile(ops, digest)
	}
	if err != nil {
		why := strings.Join(strings.Fields(err.Error()), " ")
		d.refusal.Store(&why)
		d.Log.Error("keep the rules and handlers", "error", why)
		return
	}
	d.refusal.Store(nil)
	if d.plan.Swap(p) == nil {
		close(d.ready)
	}
	d.Log.Info("follow rules and handlers", "digest", digest, "rules", len(ops.Rules), "handlers", len(ops.Handlers))
	d.soon()
}

// soon makes it look at what is due now.
func (d *Dispatcher) soon() {
	select {
	case d.hurry <- struct{}{}:
	default:
	}
}

// presence is what it tells of itself.
func (d *Dispatcher) presence() bus.Presence {
	of := d.Role.Dispatcher
	host := of.Host
	if host == "" {
		host, _ = os.Hostname()
	}
	p := bus.Presence{Kind: "dispatcher", Name: of.Name, Host: host, Address: of.Address, PID: os.Getpid(), Version: d.Version,
		Digest: d.Digest, Started: d.meter.started, Every: presenceEvery, Stats: d.meter.stats()}
	if plan := d.plan.Load(); plan != nil {
		p.Operations = plan.digest
	}
	if why := d.refusal.Load(); why != nil {
		p.Refusal = *why
	}
	return p
}

// announce tells that it is there.
func (d *Dispatcher) announce(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := bus.Announce(ctx, d.client, d.presence()); err != nil && ctx.Err() == nil {
			d.Log.Warn("announce", "error", err)
		}
		pause(ctx, presenceEvery)
	}
	return nil
}

// leave takes back what tells that it is there.
func (d *Dispatcher) leave() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := bus.Withdraw(ctx, d.client, d.presence()); err != nil {
		d.Log.Warn("withdraw", "error", err)
	}
	return nil
}

func (d *Dispatcher) serveMetrics() (stop func(), err error) {
	addr := d.Role.Dispatcher.Metrics
	if addr == "" {
		return func() {}, nil
	}
	listener, err := net.Listen("tcp", string(addr))
	if err != nil {
		return nil, fmt.Errorf("serve metrics: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", d.meter.handler())
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(d.Log.Handler(), slog.LevelWarn)}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			d.Log.Error("serve metrics", "error", err)
		}
	}()
	return func() { _ = server.Close() }, nil
}

// clock is that of Redis.
type clock struct{ ahead atomic.Int64 }

// Now is the time of Redis, to the milliseconds that an answer takes.
func (c *clock) Now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

func (c *clock) set(now time.Time) { c.ahead.Store(int64(time.Until(now))) }

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// around is a duration give or take a fifth, so that dispatchers do not all ask at
// the same moment.
func around(d time.Duration) time.Duration {
	return d*4/5 + rand.N(d*2/5)
}
