package worker

import (
	"context"
	"fmt"
	"strings"
	"time"

	"rsm/runtime/worker/queue"
)

// resync is how often the fetcher looks at all queues, should a wake have been lost
// with a master.
const resync = 5 * time.Second

// fetch reserves tasks whenever there are slots for them and a queue may have some.
func (r *run) fetch(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for turn := 0; ctx.Err() == nil; turn++ {
		if n := r.room(); n == 0 {
			select {
			case <-ctx.Done():
			case <-r.freed:
			}
			continue
		}
		if r.round(ctx, turn) {
			continue
		}
		timer.Reset(r.idle())
		select {
		case <-ctx.Done():
		case <-r.look:
		case <-timer.C:
		}
	}
}

// room is how many tasks may be reserved; 0 also while enough wait to be started.
func (r *run) room() int {
	if len(r.jobs) > r.Prefetch/2 {
		return 0
	}
	return max(0, r.Concurrency+r.Prefetch-int(r.open.Load()))
}

// round reserves from the queues that may have tasks, and reports whether there were
// any.
func (r *run) round(ctx context.Context, turn int) (some bool) {
	lines := r.hot()
	if !r.Strict && len(lines) > 1 {
		first := turn % len(lines)
		lines = append(append(make([]*line, 0, len(lines)), lines[first:]...), lines[:first]...)
	}
	for i, l := range lines {
		n := r.room()
		if !r.Strict {
			n = (n + len(lines) - i - 1) / (len(lines) - i)
		}
		if n == 0 || ctx.Err() != nil {
			break
		}
		some = r.reserve(ctx, l, n) > 0 || some
		if some && r.Strict {
			break // this one may have more, and comes first
		}
	}
	return some
}

// hot are the queues that may have tasks.
func (r *run) hot() (hot []*line) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	for _, l := range r.lines {
		if l.hot.Load() && !now.Before(l.until) {
			hot = append(hot, l)
		}
	}
	return hot
}

// idle is how long to wait when no queue gave a task.
func (r *run) idle() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	wait := jitter(resync, r.Random())
	if time.Since(r.looked) >= resync {
		r.looked = time.Now()
		for _, l := range r.lines {
			l.hot.Store(true)
		}
	}
	for _, l := range r.lines {
		if l.hot.Load() {
			wait = min(wait, max(time.Millisecond, time.Until(l.until)))
		}
	}
	return wait
}

// reserve takes up to n tasks from a queue and hands them to the slots.
func (r *run) reserve(ctx context.Context, l *line, n int) int {
	r.serial++
	l.hot.Store(false) // a wake from now on makes it hot again
	// Not cut short by the end of ctx: what it took would wait for the end of its lease.
	leases, why, wait, err := l.Reserve(context.WithoutCancel(ctx), queue.Demand{Worker: r.Name, Labels: r.labels, Tasks: n,
		Token: fmt.Sprintf("%s/%s%d", r.Name, r.id, r.serial)})
	if err != nil {
		l.hot.Store(true)
		l.until = time.Now().Add(jitter(l.trouble.next(), r.Random()))
		if l.trouble.first() {
			r.Log.Warn("cannot reserve tasks, try again", "error", err)
		}
		return 0
	}
	for _, lease := range leases {
		j := &job{lease: lease, line: l}
		r.take(j)
		r.jobs <- j // has room for all that are open
	}
	if l.trouble.over() { // after take: what this one took is not lost
		r.Log.Info("reserve tasks again", "queue", l.name)
		r.regain(ctx, l)
	}
	switch {
	case why == queue.TooFast:
		l.hot.Store(true)
		l.until = time.Now().Add(wait)
	case len(leases) == n:
		l.hot.Store(true)
	case why == queue.Empty:
		poke(l.arm)
	}
	return len(leases)
}

// hear does what others ask this worker for.
func (r *run) hear(ctx context.Context) {
	var bad trouble
	for ctx.Err() == nil {
		word, ok, err := queue.Hear(ctx, r.Client.Client, r.Name, 5*time.Second)
		if err != nil {
			sleep(ctx, bad.next())
			continue
		}
		bad = trouble{}
		if !ok {
			continue
		}
		if words := strings.SplitN(word, " ", 4); words[0] == "cancel" && len(words) == 4 {
			r.lose(words[1], queue.Holding{ID: words[3], Token: words[2]}, ErrCancelled)
			continue
		}
		r.wakeAll()
	}
}

func (r *run) wakeAll() {
	r.mu.Lock()
	for _, l := range r.lines {
		l.hot.Store(true)
	}
	r.mu.Unlock()
	poke(r.look)
}

// regain gives back what a reserve took whose answer was lost: nobody here runs it.
func (r *run) regain(ctx context.Context, l *line) {
	holdings, err := l.HeldBy(ctx, r.Name)
	if err != nil {
		return // the leases end by themselves
	}
	var lost []queue.Failure
	r.mu.Lock()
	for _, h := range holdings {
		if strings.HasPrefix(h.Token, r.Name+"/"+r.id) && r.held[place{l.name, h.ID}] == nil {
			lost = append(lost, queue.Failure{ID: h.ID, Token: h.Token, Verdict: queue.Back})
		}
	}
	r.mu.Unlock()
	if len(lost) > 0 {
		_, _ = l.Nack(ctx, r.Name, lost)
	}
}

// trouble spaces out tries.
type trouble struct{ tries int }

func (t *trouble) next() time.Duration {
	t.tries++
	return min(time.Second, 25*time.Millisecond<<min(t.tries, 6))
}

func (t *trouble) first() bool { return t.tries == 1 }

// over reports whether there was any, and forgets it.
func (t *trouble) over() bool {
	was := t.tries > 0
	t.tries = 0
	return was
}
