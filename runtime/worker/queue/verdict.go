package queue

import "time"

// Permanent marks an error that would come again: the task is dead at once.
func Permanent(err error) error { return &permanent{err} }

// RetryAfter marks an error of somebody who said when to come again: the wait before
// the next run is at least this.
func RetryAfter(err error, wait time.Duration) error { return &retryAfter{err, wait} }

// Snooze is the error of a task that is to be run later, and did not fail.
func Snooze(wait time.Duration) error { return &snooze{wait} }

type permanent struct{ error }

func (e *permanent) Unwrap() error { return e.error }

// Permanent is what a Worker asks errors for.
func (e *permanent) Permanent() bool { return true }

type retryAfter struct {
	error
	wait time.Duration
}

func (e *retryAfter) Unwrap() error { return e.error }

// RetryAfter is what a Worker asks errors for.
func (e *retryAfter) RetryAfter() (time.Duration, bool) { return e.wait, true }

type snooze struct{ wait time.Duration }

func (e *snooze) Error() string { return "run again in " + e.wait.String() }

// Snooze is what a Worker asks errors for.
func (e *snooze) Snooze() time.Duration { return e.wait }
