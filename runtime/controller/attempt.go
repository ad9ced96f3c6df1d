package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
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

// failure is an error that was told as that of its attempt.
type failure struct{ error }

// Unwrap returns the cause.
func (f *failure) Unwrap() error { return f.error }

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
		w.once("budget", ledger.Event{Type: "waiting", Commit: j.commit, Attempt: w.attempt.ID, Message: errBudget.Error()})
		return w.Interval, nil
	case errors.Is(err, errLease), errors.Is(err, errSuspended):
		w.finish(j, ledger.Stopped, err)
		return w.Interval, nil
	case err != nil:
		w.finish(j, ledger.Failed, err)
		return 0, &failure{err}
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
		again.Plan, again.Report = j.plan, &reconcile.Report{Cluster: w.name} // of the last try
		return nil
	}
	w.failed, w.begun = nil, ""
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

// maxResults is how many steps of an attempt are remembered.
const maxResults = 200

// join adds what one pass did. What a pass before did not start is in the later one.
func (w *worker) join(report *reconcile.Report) {
	total := w.attempt.Report
	total.Steps = slices.DeleteFunc(total.Steps, func(r reconcile.Result) bool { return r.Status == "not started" })
	total.Steps = append(total.Steps, report.Steps...)
	total.Steps = slices.Clone(total.Steps[max(0, len(total.Steps)-maxResults):])
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
	w.once("budget", ledger.Event{})
	a.Result, a.Duration = result, w.Now().Sub(a.Started)
	if cause != nil {
		a.Error = cause.Error()
	}
	if err := w.Ledger.Save(a); err != nil {
		w.Log.Error("write attempt", "cluster", w.name, "error", err)
	}
	w.count(a)
	w.begun = begun(a)
	if a.Tries == 1 || result != ledger.Failed {
		w.tell(outcome(a))
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

// outcome tells how an attempt ended.
func outcome(a *ledger.Attempt) ledger.Event {
	e := ledger.Event{Type: "apply.done", Cluster: a.Cluster, Commit: a.Commit, Attempt: a.ID}
	e.Message = fmt.Sprintf("%s in %s", a.Result, a.Duration.Round(time.Millisecond))
	switch {
	case a.Result == ledger.Failed:
		e.Level, e.Type, e.Message = "error", "apply.failed", a.Error
	case a.Result == ledger.Stopped:
		e.Level, e.Type, e.Message = "warning", "apply.stopped", a.Error
	case a.Trigger == triggerDrift:
		e.Type = "healed"
	}
	return e
}

// settle makes the chosen commit the one in force.
func (w *worker) settle(j job, attempt int) {
	control, err := w.Ledger.Read()
	if err != nil {
		w.Log.Error("read ledger", "error", err)
		return
	}
	if now := control.Cluster(w.name); now.Applied == j.commit && now.Tree == j.tree {
		if err := w.Ledger.SaveSpec(j.tree, j.spec); err != nil { // somebody may have removed it
			w.Log.Error("keep spec", "cluster", w.name, "error", err)
		}
		return
	}
	err = w.Ledger.Update(func(control *ledger.Control) error {
		c := control.Cluster(w.name)
		c.Applied, c.Tree, c.At, c.Failed = j.commit, j.tree, w.Now().UTC(), nil
		if attempt != 0 {
			c.Attempt = attempt
		}
		return w.Ledger.SaveSpec(j.tree, j.spec)
	})
	if err != nil {
		w.Log.Error("write ledger", "cluster", w.name, "error", err)
		return
	}
	if j.inForce != j.tree {
		w.askAll() // some may have waited for this
	}
}

// begun returns the tree of an attempt that ended early and goes on later, if
// anything was done of it, as far as that is known of one that was killed.
func begun(a *ledger.Attempt) string {
	if a.Result != ledger.Stopped || a.Trigger == triggerDrift || a.Report == nil {
		return ""
	}
	if len(a.Report.Steps) > 0 && a.Report.Count("done") == 0 {
		return ""
	}
	return a.Tree
}

// recall finds out what was begun before the service ended.
func (w *worker) recall() {
	last, err := w.Ledger.Attempts(w.name, 1)
	if err != nil {
		w.Log.Error("read ledger", "cluster", w.name, "error", err)
	}
	for _, a := range last {
		w.begun = begun(a)
	}
}

// abandon is for an attempt that is under way as the service ends.
func (w *worker) abandon() {
	if w.attempt != nil {
		w.finish(job{}, ledger.Stopped, errors.New("the service ended"))
	}
}
