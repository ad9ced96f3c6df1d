package dispatch

import (
	"context"
	"log/slog"
	"time"
)

// trouble is what a loop has while Redis does not do what it is asked: it pauses for
// longer each time, up to a second, and tells of it when it begins, now and then, and
// when it is over.
type trouble struct {
	log         *slog.Logger
	what        string
	pause       time.Duration
	since, told time.Time
}

// again is how often trouble that goes on is told.
const again = 30 * time.Second

func (t *trouble) wait(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	now := time.Now()
	if t.since.IsZero() {
		t.since = now
	}
	if now.Sub(t.told) > again {
		t.told = now
		t.log.Warn(t.what, "error", err)
	}
	t.pause = min(max(2*t.pause, 20*time.Millisecond), time.Second)
	pause(ctx, around(t.pause))
}

func (t *trouble) over() {
	if t.pause = 0; t.since.IsZero() {
		return
	}
	t.log.Info(t.what+" again", "after", time.Since(t.since).Round(time.Millisecond))
	t.since, t.told = time.Time{}, time.Time{}
}
