package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"rsm/runtime/worker/queue"
)

// Task is a task as its handler sees it.
type Task struct {
	queue.Task
	// Queue is where it came from, Worker who runs it.
	Queue, Worker string
	// Attempt is 1 the first time. Crashes is how often its worker died.
	Attempt, Crashes int
}

// Handler runs tasks. What it returns is JSON, kept when the task has a retention.
// An error runs the task again after a while, up to its attempts; see
// queue.Permanent, queue.RetryAfter and queue.Snooze for other ends. ctx ends when
// the time is over, the task is cancelled, its lease is lost, or the worker stops;
// context.Cause says which. A panic is an error.
type Handler interface {
	Run(ctx context.Context, t Task) (json.RawMessage, error)
}

// HandlerFunc is a function as a Handler.
type HandlerFunc func(ctx context.Context, t Task) (json.RawMessage, error)

// Run calls f.
func (f HandlerFunc) Run(ctx context.Context, t Task) (json.RawMessage, error) { return f(ctx, t) }

// ErrUnknownType is the error of a task that nobody here knows how to run: another
// worker may, or this one when it is newer, so it comes again and no attempt counts.
var ErrUnknownType = errors.New("no handler for this type")

// ErrUntrusted is the error of a task whose handler or command is not what the worker
// was told that it may run: it comes again, and no attempt counts, as the worker may
// be told soon.
var ErrUntrusted = errors.New("this worker has not been told by rsm apply that it may run this; has somebody else written it?")

// Trust says whether a worker may run a handler or a command, by its Digest (see
// schema.Handler.Digest). Nil trusts everything.
type Trust func(digest string) bool

// TrustOnly trusts what is in the list.
func TrustOnly(digests []string) Trust {
	return func(digest string) bool { return slices.Contains(digests, digest) }
}

func (t Trust) refuses(digest string) bool { return t != nil && !t(digest) }

// Middleware is what happens around a Handler.
type Middleware func(Handler) Handler

// Mux gives tasks to handlers by type. It is filled before it is used.
type Mux struct {
	routes []route
	around []Middleware
}

type route struct {
	pattern string
	handler Handler
}

// Handle sets the handler of the types that are pattern, or begin with it when it
// ends in "/" or is empty. The longest pattern counts.
func (m *Mux) Handle(pattern string, h Handler) {
	m.routes = append(m.routes, route{pattern, h})
	slices.SortStableFunc(m.routes, func(a, b route) int { return len(b.pattern) - len(a.pattern) })
}

// HandleFunc is Handle of a function.
func (m *Mux) HandleFunc(pattern string, f func(context.Context, Task) (json.RawMessage, error)) {
	m.Handle(pattern, HandlerFunc(f))
}

// Use puts middleware around every handler; what was given first is outermost.
func (m *Mux) Use(around ...Middleware) { m.around = append(m.around, around...) }

// Run runs the task by the handler of its type, or returns ErrUnknownType.
func (m *Mux) Run(ctx context.Context, t Task) (json.RawMessage, error) {
	for _, r := range m.routes {
		if !r.takes(t.Type) {
			continue
		}
		h := r.handler
		for _, around := range slices.Backward(m.around) {
			h = around(h)
		}
		return h.Run(ctx, t)
	}
	return nil, fmt.Errorf("%w: %q", ErrUnknownType, t.Type)
}

func (r route) takes(kind string) bool {
	if r.pattern == "" || strings.HasSuffix(r.pattern, "/") {
		return strings.HasPrefix(kind, r.pattern)
	}
	return kind == r.pattern
}
