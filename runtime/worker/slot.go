package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"rsm/runtime/worker/queue"
)

// job is a task that this worker has reserved.
type job struct {
	lease queue.Lease
	line  *line
	// cancel ends its context; before it starts, why is kept. Both under run.mu.
	cancel context.CancelCauseFunc
	why    error
}

// outcome is how a job ended: well, unless failure is set.
type outcome struct {
	job     *job
	done    queue.Done
	failure *queue.Failure
}

// slot runs one job after the other.
func (r *run) slot(tasks context.Context) {
	for j := range r.jobs {
		r.running.Add(1)
		if o, tell := r.work(tasks, j); tell {
			r.ended <- o
		} else {
			r.drop(j)
		}
		r.running.Add(-1)
		r.open.Add(-1)
		if len(r.jobs) <= r.Prefetch/2 {
			poke(r.freed)
		}
	}
}

// work runs a job. tell is false when it is not this worker's any more.
func (r *run) work(tasks context.Context, j *job) (o outcome, tell bool) {
	ctx, cancel := context.WithCancelCause(tasks)
	defer cancel(nil)
	r.mu.Lock()
	why := j.why
	j.cancel = cancel
	r.mu.Unlock()
	if why != nil {
		return o, false
	}
	if limit := r.limit(j); limit > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeoutCause(ctx, limit, overtime(limit))
		defer stop()
	}
	began := r.Now()
	result, err := r.handle(ctx, j)
	cause := context.Cause(ctx)
	switch {
	case errors.Is(cause, ErrCancelled) || errors.Is(cause, ErrLost):
		r.Log.Warn("a task ended for nothing", "queue", j.line.name, "task", j.lease.ID, "why", cause)
		return o, false
	case err == nil:
		r.done.Add(1)
		return outcome{job: j, done: r.result(j, result, r.Now().Sub(began))}, true
	case errors.Is(cause, ErrStopped):
		return outcome{job: j, failure: &queue.Failure{ID: j.lease.ID, Token: j.lease.Token, Verdict: queue.Back}}, true
	}
	r.failed.Add(1)
	failure := judge(j.lease, j.line.Settings(), ended(ctx, err), r.Random())
	r.Log.Info("a task failed", "queue", j.line.name, "task", j.lease.ID, "type", j.lease.Type, "verdict", failure.Verdict, "error", failure.Why)
	return outcome{job: j, failure: &failure}, true
}

// overtime is why the context of a task ends that took too long.
type overtime time.Duration

func (o overtime) Error() string { return "it took longer than " + time.Duration(o).String() }

// limit is how long a job may take, 0 for any time.
func (r *run) limit(j *job) time.Duration {
	if j.lease.Timeout != 0 {
		return max(0, j.lease.Timeout)
	}
	if t, ok := j.line.types[j.lease.Type]; ok && t.Timeout > 0 {
		return t.Timeout
	}
	return j.line.Settings().Timeout
}

// handle finds the handler and calls it; a panic is an error.
func (r *run) handle(ctx context.Context, j *job) (result json.RawMessage, err error) {
	defer func() {
		if p := recover(); p != nil {
			r.Log.Error("a handler panicked", "type", j.lease.Type, "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	if j.lease.Broken != nil {
		return nil, queue.Permanent(fmt.Errorf("the task cannot be read: %w", j.lease.Broken))
	}
	t := Task{Task: j.lease.Task, Queue: j.line.name, Worker: r.Name, Attempt: j.lease.Failures + 1, Crashes: j.lease.Crashes}
	h := r.find(j)
	if h == nil {
		return nil, fmt.Errorf("%w: %q", ErrUnknownType, t.Type)
	}
	return h.Run(ctx, t)
}

// find returns the handler of a job, nil when there is none.
func (r *run) find(j *job) Handler {
	if name, ok := strings.CutPrefix(j.lease.Type, "handle/"); ok && r.Handlers != nil {
		if h, ok := r.Handlers(name); ok {
			return h
		}
	}
	if h, ok := j.line.commands[j.lease.Type]; ok {
		return h
	}
	return r.Handler
}

// mostResult is how many bytes of a result are kept.
const mostResult = 64 << 10

// result is what Redis keeps of a task that ended well.
func (r *run) result(j *job, output json.RawMessage, took time.Duration) queue.Done {
	d := queue.Done{ID: j.lease.ID, Token: j.lease.Token, Keep: j.line.Settings().Retention}
	if j.lease.Retention != 0 {
		d.Keep = max(0, j.lease.Retention)
	}
	if d.Keep <= 0 {
		return d
	}
	kept := Result{Type: j.lease.Type, Worker: r.Name, Attempt: j.lease.Failures + 1, Took: took, Output: output}
	if len(output) > mostResult {
		kept.Output, kept.Note = nil, fmt.Sprintf("the output of %d bytes is not kept: at most %d are", len(output), mostResult)
	}
	content, err := json.Marshal(kept)
	if err != nil {
		kept.Output, kept.Note = nil, "the output is not JSON: "+err.Error()
		content, _ = json.Marshal(kept) // has nothing that could fail
	}
	d.Result = content
	return d
}

// Result is what is kept of a task that was run well, see queue.Info.
type Result struct {
	Type    string          `json:"type"`
	Worker  string          `json:"worker"`
	Attempt int             `json:"attempt"`
	Took    time.Duration   `json:"took"` // nanoseconds
	Output  json.RawMessage `json:"output,omitempty"`
	// Note says why there is no output.
	Note string `json:"note,omitempty"`
}

// take notes that the worker has a job.
func (r *run) take(j *job) {
	r.open.Add(1)
	r.mu.Lock()
	r.held[place{j.line.name, j.lease.ID}] = j
	r.mu.Unlock()
}

// drop forgets a job, unless it was reserved anew since.
func (r *run) drop(jobs ...*job) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, j := range jobs {
		if at := (place{j.line.name, j.lease.ID}); r.held[at] == j {
			delete(r.held, at)
		}
	}
}

// lose ends a job that is not this worker's any more, unless it was reserved anew
// since.
func (r *run) lose(name string, h queue.Holding, why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	j := r.held[place{name, h.ID}]
	if j == nil || j.lease.Token != h.Token {
		return
	}
	j.why = why
	if j.cancel != nil {
		j.cancel(why)
	}
}
