package reconcile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"rsm/schema"
)

// Observer reads the live state of one cluster.
type Observer interface {
	// Observe asks every server of the cluster, all at once, each with a deadline
	// of its own. A server that cannot be reached is part of the state and no
	// error; errors are about what makes any state impossible, such as an
	// unreadable password.
	Observe(ctx context.Context, c *schema.Cluster) (*State, error)
}

// Executor performs one action. It does not wait for the effect: the Applier
// observes that.
type Executor interface {
	Do(ctx context.Context, action Action) error
}

// The reasons why an apply ends early.
var (
	// ErrStale means that the deployment moved away from what was planned, and
	// that the new plan weighs more than the one that was approved.
	ErrStale = errors.New("the deployment changed while the plan was applied")
	// ErrNoEffect means that an action was sent, but its effect did not show.
	ErrNoEffect = errors.New("no effect seen in time")

	errMoved = errors.New("the deployment moved")
)

// Applier performs plans. All of its effects go through its two interfaces.
type Applier struct {
	Observer Observer
	Executor Executor
	Allow    Allow
	// Now and Sleep are the clock; nil means the real one. Sleep ends early with
	// the context's error.
	Now   func() time.Time
	Sleep func(context.Context, time.Duration) error
	// Notify, if set, hears what happens while it happens.
	Notify func(Event)
	// Permit, if set, is asked right before each step that is about to be done.
	// Its error ends the apply: a lease was lost, a window has closed, the budget
	// of disruptive steps is spent.
	Permit func(context.Context, *schema.Cluster, Step) error
}

// Event is one thing that happened during an apply.
type Event struct {
	Time    time.Time
	Cluster string
	// Type is one of start, waiting, done, skipped, failed, replanned, held.
	Type    string
	Text    string // of held: what is waited for between two passes
	Step    Step
	Index   int // of the step, from 1
	Total   int
	Elapsed time.Duration
	Err     error
}

// maxReplans bounds how often one apply may change its mind; a deployment that
// moves faster than that is left to the next pass.
const maxReplans = 10

// Apply performs the plan step by step. Before each step it looks at the live
// state: a step that is no longer needed is skipped; when the master or the epoch
// moved, or the step is no longer safe, the plan is made anew. It goes on with a
// new plan only when that weighs no more than the approved one. It stops at the
// first failure, unless that is of a role of rsm, on which no other step depends.
func (a *Applier) Apply(ctx context.Context, c *schema.Cluster, plan *Plan) *Report {
	run := &run{Applier: a, c: c, plan: plan, limit: plan.Impact(), report: &Report{Cluster: c.Name}}
	started := a.now()
	if err := run.steps(ctx); err != nil {
		run.report.Err = err
		run.report.Error = err.Error()
	}
	run.finish(ctx)
	run.report.Duration = a.now().Sub(started)
	return run.report
}

// stepTimeout bounds one action, without the wait for its effect. Snapshots take
// longest.
const stepTimeout = 10 * time.Minute

// run is one apply under way.
type run struct {
	*Applier
	c      *schema.Cluster
	plan   *Plan
	limit  Impact
	state  *State
	report *Report
	next   int // index of the step that comes next
}

func (r *run) steps(ctx context.Context) error {
	var failed error
	for r.next < len(r.plan.Steps) {
		if r.state == nil {
			if err := r.look(ctx); err != nil {
				return cmp.Or(failed, err)
			}
		}
		step := r.plan.Steps[r.next]
		if !r.plan.Destroy && stale(step, r.state) {
			if err := r.replan(); err != nil || failed != nil { // a new plan would try again what failed
				return cmp.Or(failed, err)
			}
			continue
		}
		err := r.step(ctx, step)
		if errors.Is(err, errMoved) {
			if err := r.replan(); err != nil || failed != nil {
				return cmp.Or(failed, err)
			}
			continue
		}
		if err != nil {
			failed = cmp.Or(failed, fmt.Errorf("%s %s: %w", step.Action.Subject(), step.Action, err))
			if !r.report.failed(step) || !standsAlone(step.Action) || ctx.Err() != nil {
				return failed
			}
			r.state = nil // it may have done a part of it
		}
		r.next++
	}
	return failed
}

// standsAlone tells steps that no other step needs: a dispatcher that does not start
// keeps no worker from it.
func standsAlone(action Action) bool {
	_, stops := action.(StopRole)
	return aboutRole(action) && !stops
}

func (r *run) look(ctx context.Context) error {
	state, err := r.Observer.Observe(ctx, r.c)
	if err != nil {
		return fmt.Errorf("observe %s: %w", r.c.Name, err)
	}
	r.state = state
	return ctx.Err()
}

// stale compares who leads with what the simulation expected at this step.
func stale(step Step, s *State) bool { return step.Master != masterOf(s) || step.Epoch != s.Epoch() }

func (r *run) replan() error {
	plan := r.planAgain()
	r.report.Replans++
	if plan.Impact() > r.limit || r.report.Replans > maxReplans {
		return ErrStale
	}
	r.plan, r.next = plan, 0
	r.notify(Event{Type: "replanned", Total: len(plan.Steps)})
	return nil
}

func (r *run) step(ctx context.Context, step Step) error {
	started := r.now()
	event := Event{Step: step, Index: r.next + 1, Total: len(r.plan.Steps)}
	end := func(kind string, err error) error {
		event.Type, event.Err, event.Elapsed = kind, err, r.now().Sub(started)
		r.notify(event)
		r.report.add(step, kind, event.Elapsed, err)
		return err
	}
	if step.Action.Done(r.state) {
		return end("skipped", nil)
	}
	if Guard(r.state, step.Action) != nil && !r.plan.Destroy {
		return errMoved // a plan made now holds the step, with the reason
	}
	if r.Permit != nil {
		if err := r.Permit(ctx, r.c, step); err != nil {
			return err // nothing was tried: the step is not started
		}
	}
	event.Type = "start"
	r.notify(event)
	do := ctx
	if !cleansUp(step.Action) {
		do = context.WithoutCancel(ctx) // an interrupt ends the apply between two steps
	}
	do, cancel := context.WithTimeout(do, stepTimeout)
	defer cancel()
	if err := r.Executor.Do(do, step.Action); err != nil && hopeful(step.Action) {
		return end("skipped", nil)
	} else if err != nil {
		return end("failed", err)
	}
	err := r.await(ctx, event, started)
	if err != nil && hopeful(step.Action) && errors.Is(err, ErrNoEffect) {
		return end("skipped", nil) // the step behind it does it by force
	}
	switch {
	case errors.Is(err, errMoved):
		return err // the new plan says what becomes of the step
	case err != nil:
		return end("failed", err)
	}
	return end("done", nil)
}

// await observes until the action's effect shows.
func (r *run) await(ctx context.Context, event Event, started time.Time) error {
	pause, told, since := 10*time.Millisecond, started, started
	for {
		if err := r.look(ctx); err != nil {
			return err
		}
		if event.Step.Action.Done(r.state) {
			return nil
		}
		if moved(event.Step, r.state) {
			return errMoved
		}
		now := r.now()
		if progresses(event.Step.Action, r.state) {
			since = now
		}
		if limit := patience(event.Step.Action); now.Sub(since) > limit {
			return fmt.Errorf("%w (%s)", ErrNoEffect, limit)
		}
		if now.Sub(told) >= time.Second {
			told, event.Type, event.Elapsed = now, "waiting", now.Sub(started)
			r.notify(event)
		}
		if err := r.sleep(ctx, pause); err != nil {
			return err
		}
		pause = min(pause*3/2, 300*time.Millisecond)
	}
}

// finish records what was not started and what remains.
func (r *run) finish(ctx context.Context) {
	for _, step := range r.plan.Steps[min(r.next, len(r.plan.Steps)):] {
		if !r.report.has(step) {
			r.report.add(step, "not started", 0, nil)
		}
	}
	if r.state == nil || r.report.Err != nil {
		if err := r.look(context.WithoutCancel(ctx)); err != nil {
			return
		}
	}
	r.report.Remaining = r.planAgain()
}

// planAgain makes a plan to the same end for what is seen now.
func (r *run) planAgain() *Plan {
	switch {
	case r.plan.Destroy:
		return NewDestroy(r.c, r.state)
	case r.plan.Handover != nil:
		return NewHandover(r.c, r.state, *r.plan.Handover)
	}
	return NewPlan(r.c, r.state, r.Allow)
}

func (a *Applier) now() time.Time {
	if a.Now != nil {
		return a.Now()
	}
	return time.Now()
}

func (a *Applier) sleep(ctx context.Context, d time.Duration) error {
	if a.Sleep != nil {
		return a.Sleep(ctx, d)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

func (r *run) notify(e Event) {
	if r.Notify != nil {
		e.Time, e.Cluster = r.now(), r.c.Name
		r.Notify(e)
	}
}
