package handler

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Failure is every error of Run. Its text holds no secrets. A worker recognises it
// by its methods.
type Failure struct {
	text      string
	cause     error
	permanent bool
	after     time.Duration
	timed     bool
}

// Error says what failed and why.
func (f *Failure) Error() string { return f.text }

// Unwrap is the end of the context when that is why; else nothing, as what a
// receiver said may hold secrets.
func (f *Failure) Unwrap() error { return f.cause }

// Permanent reports whether another try would fail the same way.
func (f *Failure) Permanent() bool { return f.permanent }

// RetryAfter is how long to wait before the next try; ok is false when the back-off
// of the queue decides.
func (f *Failure) RetryAfter() (wait time.Duration, ok bool) { return f.after, f.timed }

// verdict marks an error on its way to Run.
type verdict struct {
	error
	permanent bool
	after     time.Duration
	timed     bool
}

// Unwrap is the error without the mark.
func (v *verdict) Unwrap() error { return v.error }

// permanent marks an error as one that another try does not mend.
func permanent(format string, args ...any) error {
	return &verdict{error: fmt.Errorf(format, args...), permanent: true}
}

// failure makes the error of Run of any error.
func failure(err error, redact func(string) string) *Failure {
	f := &Failure{text: redact(err.Error())}
	var v *verdict
	if errors.As(err, &v) {
		f.permanent, f.after, f.timed = v.permanent, v.after, v.timed
	}
	for _, end := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, end) {
			f.cause = end
		}
	}
	return f
}
