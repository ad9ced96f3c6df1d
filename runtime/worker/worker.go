package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"rsm/runtime/bus"
	"rsm/runtime/worker/queue"
	"rsm/schema"
)

// Worker runs tasks. Client and Worker.Name have to be set.
type Worker struct {
	// Client is closed by whoever made it. It needs connections for each queue and
	// five more.
	Client *bus.Client
	schema.Worker
	// Settings are those of queues; nil means that it follows what reconcile has
	// published, see bus.WatchOperations.
	Settings []schema.Queue
	// Handler runs the tasks that no command of the queue's settings runs; nil runs
	// none.
	Handler Handler
	// Handlers finds what runs the tasks of type "handle/<name>"; nil finds nothing.
	Handlers func(name string) (Handler, bool)
	// Command runs the commands of a queue's settings; nil refuses them.
	Command func(schema.TaskType) Handler
	// Changed hears the operations that it follows from now on; may be nil.
	Changed func(schema.Operations)
	// Ready is called once it takes tasks; may be nil.
	Ready func()
	// Log, Version and Digest (see bus.Presence) may be empty.
	Log             *slog.Logger
	Version, Digest string
	// Random is in [0, 1), Now the time of this machine; nil means real ones.
	Random func() float64
	Now    func() time.Time
}

// run is one Run of a Worker.
type run struct {
	*Worker
	id      string // differs in each run, so that tokens do
	started time.Time
	labels  []string
	jobs    chan *job    // reserved, not yet started
	ended   chan outcome // to the acker
	freed   chan struct{}
	look    chan struct{}
	relined chan struct{} // the lines are others
	renewed chan struct{} // what the worker tells of itself is another
	serial  int64         // of the fetcher's tokens
	looked  time.Time     // when the fetcher last looked at all queues

	open             atomic.Int64 // reserved, and not ended
	running          atomic.Int64
	done, failed     atomic.Int64
	ahead            atomic.Int64 // of the server's clock, nanoseconds
	refusal, follows atomic.Value // strings: of bus.Presence

	mu    sync.Mutex
	lines []*line // as the worker names them
	held  map[place]*job
}

// place names a task among all queues.
type place struct{ queue, id string }

// Run takes and runs tasks until ctx ends. Then it takes no more, gives back what it
// has not started, waits up to Worker.Grace for what runs, and gives the rest back.
// An error means that it cannot work at all; while no master answers, it goes on
// trying.
func (w *Worker) Run(ctx context.Context) error {
	labels, err := queue.LabelPairs(w.Labels)
	switch {
	case w.Client == nil || w.Name == "":
		return errors.New("run worker: it has no client or no name")
	case err != nil:
		return fmt.Errorf("run worker %s: %w", w.Name, err)
	}
	metrics, err := w.listen()
	if err != nil {
		return fmt.Errorf("run worker %s: %w", w.Name, err)
	}
	r := newRun(w, labels)
	tasks, stopTasks := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stopTasks(nil)
	// What keeps leases goes on until all is told, what takes tasks ends with ctx.
	keep, stopKeeping := context.WithCancel(context.WithoutCancel(ctx))
	defer stopKeeping()
	var slots, keepers, takers sync.WaitGroup
	for range r.Concurrency {
		slots.Go(func() { r.slot(tasks) })
	}
	acked := make(chan struct{})
	go func() { defer close(acked); r.acker(keep) }()
	keepers.Go(func() { r.extend(keep) })
	keepers.Go(func() { r.announce(keep) })
	if metrics != nil {
		keepers.Go(func() { r.serveMetrics(keep, metrics) })
	}
	for _, take := range []func(context.Context){r.follow, r.hear, r.fetch} {
		takers.Go(func() { take(ctx) })
	}
	takers.Wait()
	r.Log.Info("stop", "running", r.running.Load(), "grace", r.Grace)
	r.stop(&slots, stopTasks)
	select {
	case <-acked:
	case <-time.After(5 * time.Second): // no master answers: the leases end by themselves
	}
	stopKeeping()
	keepers.Wait()
	r.withdraw(ctx)
	return nil
}

func newRun(w *Worker, labels []string) *run {
	copied := *w
	r := &run{Worker: &copied, id: queue.NewID()[16:], started: time.Now(), labels: labels, held: map[place]*job{}}
	r.Concurrency = max(1, r.Concurrency)
	r.Prefetch = max(0, r.Prefetch)
	if r.Log == nil {
		r.Log = slog.New(slog.DiscardHandler)
	}
	if r.Random == nil {
		r.Random = rand.Float64
	}
	if r.Now == nil {
		r.Now = time.Now
	}
	if len(r.Queues) == 0 { // all that there are settings of
		for _, q := range r.Settings {
			r.Queues = append(r.Queues, q.Name)
		}
	}
	all := r.Concurrency + r.Prefetch
	r.jobs, r.ended = make(chan *job, all), make(chan outcome, max(all, ackBatch))
	r.freed, r.look, r.relined = make(chan struct{}, 1), make(chan struct{}, 1), make(chan struct{}, 1)
	r.renewed = make(chan struct{}, 1)
	r.refusal.Store("")
	r.follows.Store("")
	return r
}

// stop ends the slots: what has not started is given back at once, what runs gets
// the grace.
func (r *run) stop(slots *sync.WaitGroup, stopTasks context.CancelCauseFunc) {
	for drained := false; !drained; {
		select {
		case j := <-r.jobs:
			r.giveBack(j)
		default:
			drained = true
		}
	}
	close(r.jobs)
	idle := make(chan struct{})
	go func() { slots.Wait(); close(idle) }()
	select {
	case <-idle:
		close(r.ended)
		return
	case <-time.After(r.Grace):
	}
	stopTasks(ErrStopped)
	select {
	case <-idle:
		close(r.ended)
	case <-time.After(2 * time.Second): // handlers that do not heed their context
		r.abandon()
	}
}

// abandon gives back what its handler does not let go of.
func (r *run) abandon() {
	r.mu.Lock()
	var left []*job
	for _, j := range r.held {
		left = append(left, j)
	}
	r.mu.Unlock()
	for _, j := range left {
		r.Log.Warn("leave a task whose handler goes on", "queue", j.line.name, "task", j.lease.ID)
		r.giveBack(j)
	}
	r.ended <- outcome{} // the last one, see acker
}

// giveBack makes a task the next to be run, by any worker.
func (r *run) giveBack(j *job) {
	r.ended <- outcome{job: j, failure: &queue.Failure{ID: j.lease.ID, Token: j.lease.Token, Verdict: queue.Back}}
}

// sleep waits, and reports whether ctx goes on.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// poke asks for something, once for all that ask before it is done.
func poke(asked chan struct{}) {
	select {
	case asked <- struct{}{}:
	default:
	}
}
