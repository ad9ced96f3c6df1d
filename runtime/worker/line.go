package worker

import (
	"context"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"rsm/runtime/bus"
	"rsm/runtime/worker/queue"
	"rsm/schema"
)

// line is a queue that the worker takes tasks from, with the settings of now.
type line struct {
	*queue.Queue
	name     string
	types    map[string]schema.TaskType
	commands map[string]Handler
	// hot: it may have tasks. arm asks the watcher to tell when it has.
	hot atomic.Bool
	arm chan struct{}
	// sooner asks for a tick, as something is due before the next one.
	sooner chan struct{}
	// The fetcher's: when to reserve next, and what keeps it from that.
	until   time.Time
	trouble trouble

	end  context.CancelFunc
	work sync.WaitGroup
}

// follow keeps the lines as the settings say until ctx ends.
func (r *run) follow(ctx context.Context) {
	defer r.setLines(ctx, nil)
	if r.Ready != nil {
		r.Ready()
	}
	if r.Settings != nil {
		r.setLines(ctx, r.Settings)
		<-ctx.Done()
		return
	}
	watch := bus.WatchOperations{Client: r.Client, Changed: func(ops schema.Operations, digest string, err error) {
		r.operations(ctx, ops, digest, err)
	}}
	if err := watch.Run(ctx); err != nil {
		r.Log.Error("follow operations", "error", err)
	}
}

// operations takes what reconcile has published. What cannot be read leaves all as
// it is.
func (r *run) operations(ctx context.Context, ops schema.Operations, digest string, err error) {
	defer poke(r.renewed)
	if err != nil {
		r.refusal.Store(err.Error())
		r.Log.Error("keep the operations", "error", err)
		return
	}
	r.refusal.Store("")
	r.follows.Store(digest)
	if r.Changed != nil {
		r.Changed(ops)
	}
	r.setLines(ctx, withReports(ops))
	r.Log.Info("follow queues and handlers", "digest", digest, "queues", len(ops.Queues), "handlers", len(ops.Handlers))
}

// setLines starts and ends lines, so that they are those of the queues that the
// worker takes from. Lines whose settings stay go on.
func (r *run) setLines(ctx context.Context, queues []schema.Queue) {
	var lines, old []*line
	r.mu.Lock()
	before := r.lines
	r.mu.Unlock()
	for _, name := range r.Queues {
		i := slices.IndexFunc(queues, func(q schema.Queue) bool { return q.Name == name })
		if i < 0 {
			if ctx.Err() == nil {
				r.Log.Warn("no settings for a queue: take no tasks from it", "queue", name)
			}
			continue
		}
		at := slices.IndexFunc(before, func(l *line) bool { return l.name == name && reflect.DeepEqual(l.Settings(), queues[i]) })
		if at >= 0 {
			lines = append(lines, before[at])
		} else {
			lines = append(lines, r.newLine(ctx, queues[i]))
		}
	}
	for _, l := range before {
		if !slices.Contains(lines, l) {
			old = append(old, l)
		}
	}
	r.mu.Lock()
	r.lines = lines
	r.mu.Unlock()
	poke(r.look)
	poke(r.relined)
	for _, l := range old {
		l.end()
		l.work.Wait()
	}
}

// newLine starts what a line needs besides the fetcher.
func (r *run) newLine(ctx context.Context, set schema.Queue) *line {
	ctx, cancel := context.WithCancel(ctx)
	l := &line{Queue: queue.New(r.Client.Client, set), name: set.Name, arm: make(chan struct{}, 1), sooner: make(chan struct{}, 1), end: cancel,
		types: map[string]schema.TaskType{}, commands: map[string]Handler{}}
	for _, t := range set.Tasks {
		l.types[t.Name] = t
		if r.Command != nil {
			l.commands[t.Name] = r.Command(t)
		}
	}
	l.hot.Store(true)
	l.work.Go(func() { r.watch(ctx, l) })
	l.work.Go(func() { r.tick(ctx, l) })
	l.work.Go(func() { r.cron(ctx, l) })
	r.Log.Info("take tasks", "queue", set.Name, "lease", set.Lease)
	return l
}

// watch tells the fetcher when the shared list of a queue has tasks, each time the
// fetcher found it empty.
func (r *run) watch(ctx context.Context, l *line) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.arm:
		}
		var bad trouble
		for some := false; !some && ctx.Err() == nil; {
			var err error
			if some, err = l.Peek(ctx, 5*time.Second); err != nil {
				sleep(ctx, bad.next())
			}
		}
		l.hot.Store(true)
		poke(r.look)
	}
}

// tickEvery is the longest time, about, between two ticks of a worker.
const tickEvery = time.Second

// tick moves what is due in a queue. Every worker does, and knows when the next is.
func (r *run) tick(ctx context.Context, l *line) {
	var bad trouble
	for ctx.Err() == nil {
		next, err := l.Tick(ctx)
		wait := jitter(tickEvery, r.Random())
		switch {
		case err != nil && ctx.Err() == nil:
			if bad.next(); bad.first() {
				r.Log.Warn("cannot move what is due, try again", "error", err)
			}
		case err == nil && next >= 0:
			// The millisecond that Redis counts in may not be over yet.
			wait = min(wait, max(next, time.Millisecond))
			bad = trouble{}
		}
		select {
		case <-ctx.Done():
		case <-l.sooner:
		case <-time.After(wait):
		}
	}
}

// extend keeps the leases of what the worker has.
func (r *run) extend(ctx context.Context) {
	last := map[string]time.Time{}
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			return
		case <-r.relined: // with another lease, perhaps
			continue
		case <-time.After(r.extendEvery()):
		}
		held := r.holdings()
		for l, list := range held {
			for len(list) > 0 && ctx.Err() == nil {
				n := min(len(list), 1000)
				r.extendSome(ctx, l, list[:n], last)
				list = list[n:]
			}
		}
	}
}

func (r *run) extendSome(ctx context.Context, l *line, list []queue.Holding, last map[string]time.Time) {
	lost, cancelled, err := l.Extend(ctx, list)
	if err != nil {
		if time.Since(last[l.name]) > l.Settings().Lease {
			r.Log.Warn("cannot extend leases: other workers may run the same tasks", "error", err)
			last[l.name] = time.Now()
		}
		return
	}
	tokens := make(map[string]string, len(list))
	for _, h := range list {
		tokens[h.ID] = h.Token
	}
	for _, id := range lost {
		r.lose(l.name, queue.Holding{ID: id, Token: tokens[id]}, ErrLost)
	}
	for _, id := range cancelled {
		r.lose(l.name, queue.Holding{ID: id, Token: tokens[id]}, ErrCancelled)
	}
}

// extendEvery is a third of the shortest lease.
func (r *run) extendEvery() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	every := 10 * time.Second
	for _, l := range r.lines {
		every = min(every, l.Settings().Lease/3)
	}
	for _, j := range r.held {
		every = min(every, j.line.Settings().Lease/3)
	}
	return max(every, 10*time.Millisecond)
}

func (r *run) holdings() map[*line][]queue.Holding {
	r.mu.Lock()
	defer r.mu.Unlock()
	held := map[*line][]queue.Holding{}
	for _, j := range r.held {
		if j.why == nil {
			held[j.line] = append(held[j.line], queue.Holding{ID: j.lease.ID, Token: j.lease.Token})
		}
	}
	return held
}
