package reconcile

import (
	"context"
	"time"
)

// Loop looks again and again. It is level-based: whatever asks it to look, a
// timer, a signal, an event, carries no facts; each pass starts from what is seen.
type Loop struct {
	// Interval is the time between the end of a pass and the next one.
	Interval time.Duration
	// Pass does one pass. It handles its own errors: a bad pass ends nothing.
	Pass func(ctx context.Context)

	ask chan struct{}
}

// NewLoop returns a loop that waits for Run.
func NewLoop(interval time.Duration, pass func(context.Context)) *Loop {
	return &Loop{Interval: interval, Pass: pass, ask: make(chan struct{}, 1)}
}

// Ask makes the loop look at once, or right after the pass under way. Many asks
// during one pass are one.
func (l *Loop) Ask() {
	select {
	case l.ask <- struct{}{}:
	default:
	}
}

// Run passes until the context ends, and returns nil then.
func (l *Loop) Run(ctx context.Context) error {
	timer := time.NewTimer(l.Interval)
	defer timer.Stop()
	for ctx.Err() == nil {
		l.Pass(ctx)
		timer.Reset(l.Interval)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-l.ask:
		}
	}
	return nil
}
