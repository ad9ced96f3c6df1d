package queue

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Removed says where a task was that was cancelled or deleted; "" when the queue
// does not have it, "no" when it is where this does not reach.
type Removed string

// Cancel takes tasks out that wait or run. A worker that runs one is told to stop,
// and what it says of it afterwards counts for nothing.
func (q *Queue) Cancel(ctx context.Context, ids ...string) ([]Removed, error) {
	return q.remove(ctx, "cancel", ids)
}

// Delete takes tasks out that wait, are dead, or whose result is kept.
func (q *Queue) Delete(ctx context.Context, ids ...string) ([]Removed, error) {
	return q.remove(ctx, "delete", ids)
}

func (q *Queue) remove(ctx context.Context, how string, ids []string) ([]Removed, error) {
	var out []Removed
	err := q.inBatches(ids, func(batch []any) error {
		said, err := removeScript.Run(ctx, q.rdb, nil, append([]any{q.set.Name, how}, batch...)...).StringSlice()
		for _, word := range said {
			out = append(out, Removed(word))
		}
		return err
	})
	return out, wrap(how+" tasks of queue "+q.set.Name, err)
}

// inBatches calls run with at most 500 ids at a time.
func (q *Queue) inBatches(ids []string, run func([]any) error) error {
	for len(ids) > 0 {
		n := min(len(ids), 500)
		batch := make([]any, n)
		for i, id := range ids[:n] {
			batch[i] = id
		}
		if err := run(batch); err != nil {
			return err
		}
		ids = ids[n:]
	}
	return nil
}

// Retry makes dead and scheduled tasks wait to be run now, with all their attempts.
// It returns how many; the others are not there, or another task holds their unique
// key.
func (q *Queue) Retry(ctx context.Context, ids ...string) (int, error) {
	n := 0
	err := q.inBatches(ids, func(batch []any) error {
		said, err := requeueScript.Run(ctx, q.rdb, nil, append([]any{q.set.Name}, batch...)...).StringSlice()
		for _, word := range said {
			if word == "requeued" {
				n++
			}
		}
		return err
	})
	return n, wrap("retry tasks of queue "+q.set.Name, err)
}

// RetryDead is Retry for all dead tasks whose type begins with prefix.
func (q *Queue) RetryDead(ctx context.Context, prefix string) (int, error) {
	ids, err := q.dead(ctx, prefix)
	if err != nil {
		return 0, err
	}
	return q.Retry(ctx, ids...)
}

// DeleteDead is Delete for all dead tasks whose type begins with prefix.
func (q *Queue) DeleteDead(ctx context.Context, prefix string) (int, error) {
	ids, err := q.dead(ctx, prefix)
	if err != nil {
		return 0, err
	}
	removed, err := q.Delete(ctx, ids...)
	n := 0
	for _, where := range removed {
		if where == Removed(Dead) {
			n++
		}
	}
	return n, err
}

func (q *Queue) dead(ctx context.Context, prefix string) (ids []string, err error) {
	for page := (Page{Limit: mostPage}); ; page.Offset += mostPage {
		list, total, err := q.List(ctx, Dead, page)
		if err != nil {
			return nil, err
		}
		for _, info := range list {
			if strings.HasPrefix(info.Type, prefix) {
				ids = append(ids, info.ID)
			}
		}
		if page.Offset+mostPage >= total {
			return ids, nil
		}
	}
}

// Mode says what a queue does.
type Mode string

// The modes.
const (
	Running Mode = ""
	// Stopped by Pause: tasks are taken in, and none is started.
	Stopped Mode = "pause"
	// Drained by Drain: no task is taken in, and those that wait are run. What a
	// program pushes by itself is taken in all the same.
	Drained Mode = "drain"
)

// Pause stops workers from starting tasks. Those that run go on.
func (q *Queue) Pause(ctx context.Context) error { return q.mode(ctx, Stopped) }

// Drain refuses new tasks, and lets workers run what waits.
func (q *Queue) Drain(ctx context.Context) error { return q.mode(ctx, Drained) }

// Resume ends Pause and Drain.
func (q *Queue) Resume(ctx context.Context) error { return q.mode(ctx, Running) }

func (q *Queue) mode(ctx context.Context, mode Mode) error {
	return wrap("pause, drain or resume queue "+q.set.Name, modeScript.Run(ctx, q.rdb, nil, q.set.Name, string(mode)).Err())
}

// WaitIdle waits until no task waits or runs, and none is scheduled.
func (q *Queue) WaitIdle(ctx context.Context) error {
	for {
		s, err := q.Stats(ctx)
		if err != nil {
			return err
		}
		left := s.Pending + s.Active + s.Scheduled
		if left == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for queue %s: %d tasks are left: %w", q.set.Name, left, ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}
