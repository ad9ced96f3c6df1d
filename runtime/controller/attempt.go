package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rsm/reconcile"
	"rsm/runtime/controller/ledger"
	"rsm/schema"
)

// job is what a pass found to be done.
type job struct {
	choice
	applier *reconcile.Applier
	cluster *schema.Cluster
	spec    *schema.Spec
	plan    *reconcile.Plan
	inForce string // the tree that is in force
}

// attempt is one under way; it may take several passes.
type attempt struct {
	ledger.Attempt
	progressed time.Time
}

// work makes one step towards the chosen commit and returns when to look again.
func (w *worker) work(ctx context.Context, j job) (time.Duration, error) {
	if w.attempt != nil && w.attempt.Tree != j.tree {
		w.finish(j, ledger.Stopped, errors.New("another commit came"))
	}
	fresh := j.trigger != triggerDrift
	switch {
	case fresh && len(j.plan.Invalid) > 0:
		return w.Interval, w.invalid(j)
	case len(j.plan.Steps) == 0 && w.attempt == nil && !j.plan.Waiting():
		w.settle(j, 0) // nothing to do, and nothing to remember but the commit
		return w.Interval, nil
	case w.attempt == nil && !fresh && (len(j.plan.Steps) == 0 || !w.Heal):
		w.settle(j, 0)
		return w.Interval, nil // it passes, or does not
	}
	if w.attempt == nil {
		if err := w.begin(j); err != nil {
			return 0, err
		}
	}
	if len(j.plan.Steps) == 0 {
		return w.wait(j, j.plan)
	}
	return w.apply(ctx, j)
}

// apply performs the plan and judges what came of it.
func (w *worker) apply(ctx context.Context, j job) (time.Duration, error) {
	if err := w.gate.enter(ctx); err != nil {
		return 0, err
	}
	j.applier.Notify, j.applier.Permit = w.progress, w.permit(w.lease)
	report := j.applier.Apply(ctx, j.cluster, j.plan)
	w.gate.leave()
	w.join(report)
	w.set(func(s *ClusterStatus) { s.Doing = "" })
	switch err := report.Err; {
	case ctx.Err() != nil:
		return 0, ctx.Err()
	case errors.Is(err, reconcile.ErrStale):
		return reconcile.Pause, nil
	case errors.Is(err, errBudget):
		w.attempt.progressed = w.Now()
		w.once("why", ledger.Event{Type: "waiting", Commit: j.commit, Attempt: w.attempt.ID, Message: err.Error()})
		return w.Interval, nil
	case errors.Is(err, errLease):
		w.finish(j, ledger.Stopped, err)
		return w.Interval, nil
	case err != nil:
		w.finish(j, ledger.Failed, err)
		return 0, err
	}
	w.attempt.progressed = w.Now()
	if report.Remaining == nil {
		return reconcile.Pause, nil
	}
	if len(report.Remaining.Invalid) > 0 && j.trigger != triggerDrift {
		j.plan = report.Remaining
		return w.Interval, w.invalid(j)
	}
	return w.wait(j, report.Remaining)
}

// wait ends the attempt when nothing is left, or nothing that passes soon.
func (w *worker) wait(j job, rest *reconcile.Plan) (time.Duration, error) {
	switch {
	case rest.Empty():
		w.finish(j, ledger.Applied, nil)
	case len(rest.Steps) > 0 || rest.Waiting() && w.Now().Sub(w.attempt.progressed) < settleTime:
		return reconcile.Pause, nil
	default:
		w.finish(j, ledger.Held, errors.New(remainder(rest)))
	}
	return w.Interval, nil
}

// invalid is for a commit that servers refuse. Nothing was done.
func (w *worker) invalid(j job) error {
	if w.attempt == nil {
		if err := w.begin(j); err != nil {
			return err
		}
	}
	w.finish(j, ledger.Failed, errors.New(remainder(&reconcile.Plan{Invalid: j.plan.Invalid})))
	return nil
}

// begin writes down that something is tried.
func (w *worker) begin(j job) error {
	if again := w.failed; again != nil && again.Tree == j.tree && j.trigger == triggerDrift {
		w.failed, w.attempt = nil, again // one attempt that was tried often is one line of history
		again.Tries++
		again.progressed, again.Result = w.Now(), ledger.Running
		return nil
	}
	w.failed = nil
	w.attempt = &attempt{progressed: w.Now(), Attempt: ledger.Attempt{
		Cluster: w.name, Commit: j.commit, Tree: j.tree, Digest: j.spec.Digest, Trigger: j.trigger,
		Tries: 1, Started: w.Now().UTC(), Result: ledger.Running, Plan: j.plan, Report: &reconcile.Report{Cluster: w.name},
	}}
	a := &w.attempt.Attempt
	if rev, err := w.Source.Revision(j.commit); err == nil {
		a.Author, a.Subject, a.Signer = rev.Author, rev.Subject, rev.Signer
	}
	if err := w.Ledger.Add(a); err != nil {
		w.attempt = nil
		return err
	}
	kind := "apply.start"
	if j.trigger == triggerDrift {
		kind = "drift"
	}
	w.tell(ledger.Event{Type: kind, Cluster: w.name, Commit: a.Commit, Attempt: a.ID, Message: fmt.Sprintf("%s, impact %s", steps(len(j.plan.Steps)), j.plan.Impact())})
	return nil
}

// join adds what one pass did.
func (w *worker) join(report *reconcile.Report) {
	total := w.attempt.Report
	total.Steps = append(total.Steps, report.Steps...)
	total.Replans += report.Replans
	total.Duration += report.Duration
	total.Err, total.Error, total.Remaining = report.Err, report.Error, report.Remaining
}

// finish writes down how the attempt ended, and what is in force now.
func (w *worker) finish(j job, result string, cause error) {
	a := &w.attempt.Attempt
	if result == ledger.Failed && a.Trigger == triggerDrift {
		w.failed = w.attempt
	}
	w.attempt = nil
	a.Result, a.Duration = result, w.Now().Sub(a.Started)
	if cause != nil {
		a.Error = cause.Error()
	}
	if err := w.Ledger.Save(a); err != nil {
		w.Log.Error("write attempt", "cluster", w.name, "error", err)
	}
	w.count(a)
	e := ledger.Event{Type: "apply.done", Cluster: w.name, Commit: a.Commit, Attempt: a.ID, Message: fmt.Sprintf("%s in %s", result, a.Duration.Round(time.Millisecond))}
	switch {
	case result == ledger.Failed:
		e.Level, e.Type, e.Message = "error", "apply.failed", a.Error
	case result == ledger.Stopped:
		e.Level, e.Type, e.Message = "warning", "apply.stopped", a.Error
	case a.Trigger == triggerDrift:
		e.Type = "healed"
	}
	if a.Tries == 1 || result != ledger.Failed {
		w.tell(e)
	}
	switch {
	case result == ledger.Failed && a.Trigger != triggerDrift:
		w.change(func(c *ledger.Cluster) {
			c.Failed = &ledger.Failure{Commit: a.Commit, Why: a.Error, At: w.Now().UTC(), Attempt: a.ID}
		})
		w.ask() // drift is healed to the commit in force meanwhile
	case result == ledger.Applied, result == ledger.Held:
		w.settle(j, a.ID)
	}
}

// settle makes the chosen commit the one in force.
func (w *worker) settle(j job, attempt int) {
	control, err := w.Ledger.Read()
	if err != nil {
		w.Log.Error("read ledger", "error", err)
		return
	}
	if now := control.Cluster(w.name); now.Applied == j.commit && now.Tree == j.tree {
		return
	}
	if err := w.Ledger.SaveSpec(j.tree, j.spec); err != nil {
		w.Log.Error("keep spec", "cluster", w.name, "error", err)
		return
	}
	w.change(func(c *ledger.Cluster) {
		c.Applied, c.Tree, c.At, c.Failed = j.commit, j.tree, w.Now().UTC(), nil
		if attempt != 0 {
			c.Attempt = attempt
		}
	})
	if j.inForce != j.tree {
		w.askAll() // some may have waited for this
	}
}

// abandon is for an attempt that is under way as the service ends.
func (w *worker) abandon() {
	if w.attempt != nil {
		w.finish(job{}, ledger.Stopped, errors.New("the service ended"))
	}
}
