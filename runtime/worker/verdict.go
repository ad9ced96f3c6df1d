package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rsm/runtime/worker/queue"
	"rsm/schema"
)

// Why the context of a task may end, see context.Cause.
var (
	// ErrCancelled: somebody cancelled the task.
	ErrCancelled = errors.New("the task was cancelled")
	// ErrLost: the lease has ended, and another worker may run it.
	ErrLost = errors.New("the task was lost to another worker")
	// ErrStopped: the worker stops, and its grace is over.
	ErrStopped = errors.New("the worker stops")
)

// unknownWait is when a task comes again that nobody knows how to run.
const unknownWait = 30 * time.Second

// judge says what becomes of a task that ended with err. random is in [0, 1).
func judge(l queue.Lease, set schema.Queue, err error, random float64) queue.Failure {
	f := queue.Failure{ID: l.ID, Token: l.Token, Verdict: queue.Retry, Why: err.Error(), Attempts: set.Attempts}
	if l.Attempts > 0 {
		f.Attempts = l.Attempts
	}
	var final interface{ Permanent() bool }
	var later interface{ RetryAfter() (time.Duration, bool) }
	var snooze interface{ Snooze() time.Duration }
	switch {
	case errors.Is(err, ErrUnknownType), errors.Is(err, ErrUntrusted):
		f.Verdict, f.Delay = queue.Later, jitter(unknownWait, random)
	case errors.As(err, &snooze):
		f.Verdict, f.Delay = queue.Later, snooze.Snooze()
	case errors.As(err, &final) && final.Permanent():
		f.Verdict = queue.Bury
	default:
		f.Delay = backoff(set.Backoff, set.BackoffMax, l.Failures, random)
		if errors.As(err, &later) {
			if wait, ok := later.RetryAfter(); ok {
				f.Delay = max(f.Delay, wait)
			}
		}
	}
	return f
}

// backoff is a random part of base doubled for each failure before, up to most.
func backoff(base, most time.Duration, failures int, random float64) time.Duration {
	if most <= 0 {
		most = 24 * time.Hour
	}
	d := base
	for range failures {
		if d >= most {
			break
		}
		d *= 2
	}
	return time.Duration(float64(min(d, most)) * random)
}

// jitter is d, give or take a quarter.
func jitter(d time.Duration, random float64) time.Duration {
	return time.Duration(float64(d) * (0.75 + random/2))
}

// ended makes the error of a run whose context ended say why.
func ended(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil {
		return err
	}
	cause := context.Cause(ctx)
	if errors.Is(err, cause) {
		return err
	}
	return fmt.Errorf("%w (%w)", err, cause)
}
