package controller

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"rsm/reconcile"
	"rsm/runtime/controller/ledger"
	"rsm/schema"
)

const (
	// maxBackOff is the longest time between two looks at a cluster that fails.
	maxBackOff = 5 * time.Minute
	// settleTime is how long an attempt may wait for what passes by itself.
	settleTime = 2 * time.Minute
)

// worker keeps one cluster equal to the commit that is chosen for it.
type worker struct {
	*Controller
	name string
	stop context.CancelFunc
	asks chan struct{}

	// Only the worker's goroutine uses these.
	lease    Lease
	leased   string // what the lease was made for
	endLease context.CancelFunc
	attempt  *attempt
	failed   *attempt // the last one, if that healed drift in vain
	begun    string   // the tree of one that ended early and goes on
	fails    int
	said     map[string]string // by topic, so that it is said once

	mu     sync.Mutex
	status ClusterStatus
}

func newWorker(c *Controller, name string, stop context.CancelFunc) *worker {
	return &worker{Controller: c, name: name, stop: stop, asks: make(chan struct{}, 1), said: map[string]string{},
		status: ClusterStatus{Name: name, Health: "unknown"}}
}

func (w *worker) ask() {
	select {
	case w.asks <- struct{}{}:
	default:
	}
}

// run looks again and again: soon while something is under way, after the interval
// when nothing is, and later when it fails.
func (w *worker) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	defer func() { w.dropLease() }()
	w.recall()
	for {
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-w.asks:
		}
		if ctx.Err() != nil { // whatever else has come, too
			w.abandon()
			return
		}
		timer.Reset(w.pass(ctx))
	}
}

// pass looks once and returns when to look again.
func (w *worker) pass(ctx context.Context) time.Duration {
	next, err := w.reconcile(ctx)
	if ctx.Err() != nil {
		return 0
	}
	return w.judge(next, err)
}

// judge tells what is wrong, once, and returns when to look again.
func (w *worker) judge(next time.Duration, err error) time.Duration {
	if err == nil {
		w.fails = 0
		w.once("error", ledger.Event{})
		return next
	}
	w.fails++
	w.set(func(s *ClusterStatus) { s.Error = err.Error() })
	if told := (*failure)(nil); !errors.As(err, &told) {
		w.once("error", ledger.Event{Level: "error", Type: "error", Message: err.Error()})
	}
	return min(w.Interval<<min(w.fails-1, 10), maxBackOff)
}

// reconcile chooses a commit and makes one step towards it.
func (w *worker) reconcile(ctx context.Context) (next time.Duration, err error) {
	control, err := w.Ledger.Read()
	if err != nil {
		return 0, err
	}
	accepted, newest, refused := w.feed.state()
	v := w.view(control, accepted, newest, refused)
	ch := choose(v)
	if ch.unpin {
		w.unpin(v.control.Pin)
	}
	w.hold(ch, v)
	cluster, spec, err := w.specOf(ch, accepted)
	if err != nil || cluster == nil {
		return w.Interval, err
	}
	applier := w.Applier(cluster)
	state, err := applier.Observer.Observe(ctx, cluster)
	if err == nil {
		err = ctx.Err() // else what was not asked any more would look as if it were away
	}
	if err != nil {
		return 0, fmt.Errorf("observe: %w", err)
	}
	plan := reconcile.NewPlan(cluster, state, applier.Allow)
	w.see(ch, plan)
	w.keepLease(ctx, cluster)
	if ch.look {
		return w.Interval, nil
	}
	if w.lease != nil {
		switch err := w.lease.Held(ctx); {
		case ctx.Err() != nil:
			return 0, ctx.Err()
		case err != nil:
			return w.elsewhere(err), nil
		}
	}
	w.leasedNow()
	return w.work(ctx, job{choice: ch, applier: applier, cluster: cluster, spec: spec, plan: plan, inForce: v.control.Tree})
}

// view gathers what decides about the cluster.
func (w *worker) view(control *ledger.Control, accepted *candidate, newest, refused string) view {
	v := view{now: w.Now(), newest: newest, refused: refused, control: *control.Cluster(w.name)}
	if accepted == nil {
		return v
	}
	v.head, v.tree = accepted.rev.Commit, accepted.rev.Tree
	cluster := accepted.spec.Cluster(w.name)
	if cluster == nil {
		return v
	}
	if w.attempt != nil && w.attempt.Tree == v.tree || w.begun == v.tree {
		return v // what was begun is ended: going back would be worse
	}
	for _, name := range cluster.DependsOn {
		if control.Cluster(name).Tree != v.tree {
			v.waits = "waits for cluster " + name + " to have this commit"
			break
		}
	}
	if w.Window != nil {
		v.closed = w.Window(cluster, v.now)
	}
	return v
}

// specOf returns the cluster as the chosen commit declares it.
func (w *worker) specOf(ch choice, accepted *candidate) (*schema.Cluster, *schema.Spec, error) {
	if ch.tree == "" {
		return nil, nil, nil
	}
	if accepted != nil && accepted.rev.Tree == ch.tree {
		return accepted.spec.Cluster(w.name), accepted.spec, nil
	}
	spec, err := w.Ledger.Spec(ch.tree)
	if err != nil {
		return nil, nil, fmt.Errorf("read the spec of commit %s: %w", Short(ch.commit), err)
	}
	return spec.Cluster(w.name), spec, nil
}

// hold says why a newer commit is not applied.
func (w *worker) hold(ch choice, v view) {
	w.set(func(s *ClusterStatus) { s.Commit, s.Why, s.Looks, s.Error = ch.commit, ch.why, ch.look, "" })
	e := ledger.Event{Level: "warning", Type: "waiting", Commit: ch.commit, Message: ch.why}
	if ch.look || ch.why == v.refused {
		e = ledger.Event{} // who suspended it has told; so has the feed
	}
	w.once("why", e)
	if v.control.Waiting != ch.why {
		w.change(func(c *ledger.Cluster) { c.Waiting = ch.why })
	}
}

// see tells what was seen, once.
func (w *worker) see(ch choice, plan *reconcile.Plan) {
	w.set(func(s *ClusterStatus) { s.Plan, s.Leader, s.Seen, s.Health = plan, plan.Leader, w.Now(), health(plan) })
	switch {
	case len(plan.Invalid) > 0 && ch.trigger != triggerDrift: // told as a failure
	case len(plan.Invalid) > 0:
		w.once("drift", ledger.Event{Level: "error", Type: "held", Commit: ch.commit, Message: remainder(plan)})
	case plan.Empty():
		w.once("drift", ledger.Event{Type: "in-sync", Commit: ch.commit, Message: "in sync, " + plan.Leader})
	case len(plan.Steps) == 0:
		w.once("drift", ledger.Event{Level: "warning", Type: "held", Commit: ch.commit, Message: remainder(plan)})
	case ch.look || !w.Heal:
		w.once("drift", ledger.Event{Level: "warning", Type: "drift", Commit: ch.commit, Message: remainder(plan)})
	}
}

// unpin ends a rollback, unless a person has made another one meanwhile.
func (w *worker) unpin(ended *ledger.Pin) {
	gone := false
	w.change(func(c *ledger.Cluster) {
		if gone = c.Pin != nil && *c.Pin == *ended; gone {
			c.Pin = nil
		}
	})
	if gone {
		w.tell(ledger.Event{Type: "unpinned", Cluster: w.name, Message: "the branch has moved on from the rollback"})
	}
}

// change writes what is known of the cluster.
func (w *worker) change(change func(*ledger.Cluster)) {
	err := w.Ledger.Update(func(c *ledger.Control) error { change(c.Cluster(w.name)); return nil })
	if err != nil {
		w.Log.Error("write ledger", "cluster", w.name, "error", err)
	}
}

// once tells an event of a topic when it is not what was told last; one without a
// message only ends the topic. It reports whether that is a change.
func (w *worker) once(topic string, e ledger.Event) bool {
	text := e.Type + e.Commit + e.Message
	if w.said[topic] == text {
		return false
	}
	w.said[topic] = text
	if e.Message != "" {
		e.Cluster = w.name
		w.tell(e)
	}
	return true
}
