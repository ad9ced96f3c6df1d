package worker

import (
	"context"
	"slices"
	"time"

	"rsm/runtime/worker/queue"
)

// ackBatch is how many outcomes are told in one step.
const ackBatch = 512

// acker tells Redis what ended: all that is ready at once, and nobody waits for
// more. It ends when r.ended is closed, or at an outcome without a job.
func (r *run) acker(ctx context.Context) {
	batches := map[*line]*batch{}
	for open := true; open; {
		o, ok := <-r.ended
		if open = ok && o.job != nil; !open {
			return
		}
		n := 0
		for more := true; more; {
			batchOf(batches, o.job.line).add(o)
			if n++; n == ackBatch {
				break
			}
			select {
			case o, ok = <-r.ended:
				open = ok && o.job != nil
				more = open
			default:
				more = false
			}
		}
		for l, b := range batches {
			r.tell(ctx, l, b)
			b.reset()
		}
	}
}

// batch are outcomes of one queue.
type batch struct {
	jobs   []*job
	done   []queue.Done
	failed []queue.Failure
}

func batchOf(all map[*line]*batch, l *line) *batch {
	if all[l] == nil {
		all[l] = new(batch)
	}
	return all[l]
}

func (b *batch) add(o outcome) {
	b.jobs = append(b.jobs, o.job)
	if o.failure != nil {
		b.failed = append(b.failed, *o.failure)
	} else {
		b.done = append(b.done, o.done)
	}
}

func (b *batch) reset() { b.jobs, b.done, b.failed = b.jobs[:0], b.done[:0], b.failed[:0] }

// tell tries until it is told: meanwhile no more than a batch waits, and the worker
// stands still.
func (r *run) tell(ctx context.Context, l *line, b *batch) {
	if len(b.done) > 0 {
		r.insist(ctx, l, func() ([]string, error) { return l.Ack(ctx, r.Name, b.done) })
	}
	if len(b.failed) > 0 {
		r.insist(ctx, l, func() ([]string, error) { return l.Nack(ctx, r.Name, b.failed) })
		if slices.ContainsFunc(b.failed, func(f queue.Failure) bool { return f.Delay < tickEvery }) {
			poke(l.sooner)
		}
	}
	r.drop(b.jobs...)
}

func (r *run) insist(ctx context.Context, l *line, do func() ([]string, error)) {
	for try := 0; ; try++ {
		lost, err := do()
		if err == nil {
			// The answer to an earlier try may be what was lost.
			if len(lost) > 0 && try == 0 {
				r.Log.Warn("tasks were lost to other workers or cancelled before they ended", "queue", l.name, "tasks", len(lost), "first", lost[0])
			}
			return
		}
		if try == 0 {
			r.Log.Warn("cannot tell what ended, try again", "error", err)
		}
		if !sleep(ctx, min(time.Second, 50*time.Millisecond<<min(try, 5))) {
			return
		}
	}
}
