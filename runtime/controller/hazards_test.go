package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rsm/reconcile"
	"rsm/reconcile/source"
	"rsm/runtime/controller/lease"
	"rsm/runtime/controller/ledger"
	"rsm/schema"
)

// assignNone is assign for a controller whose workers are not to do anything.
func assignNone(t *testing.T, b *bench) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b.assign(ctx)
	b.running.Wait()
	clear(b.workers)
}

// A cluster that the branch does not declare any more is left alone for ever, and
// not started anew by a service that has only its ledger to know of clusters.
func TestALeftClusterIsNotTakenUpAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	err := b.Ledger.Update(func(c *ledger.Control) error {
		c.Cluster("lain").Tree, c.Cluster("other").Tree = "t1", "t1"
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	b.remote.push("c2", "lain new")
	b.expect(t, true, "c2", "", "commit.new c2")
	assignNone(t, b)
	if got := b.told(); got != "cluster.left" {
		t.Errorf("it tells %q", got)
	}
	assignNone(t, b)
	if got := b.told(); got != "" {
		t.Errorf("later it tells %q", got)
	}
	if control, err := b.Ledger.Read(); err != nil || control.Clusters["new"] == nil {
		t.Errorf("a cluster that nothing was done for yet is unknown, %v", err)
	}
	next := New(b.Config) // without the repository and its cache
	if names, err := next.wanted(); err != nil || !slices.Equal(names, []string{"lain"}) {
		t.Errorf("it works on %q, %v", names, err)
	}
	b.remote.push("c3", "lain new other")
	b.expect(t, true, "c3", "", "commit.new c3")
	assignNone(t, b)
	if names, err := next.wanted(); err != nil || !slices.Equal(names, []string{"lain", "other"}) {
		t.Errorf("after it came back it works on %q, %v", names, err)
	}
}

// Without its cache a service still asks whether the branch leads on from what was
// accepted, and for the signatures since.
func TestFeedAfterTheCacheIsLost(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.remote.push("c1", "lain")
	b.expect(t, true, "c1", "", "commit.new c1")
	control, err := b.Ledger.Read()
	if err != nil {
		t.Fatal(err)
	}
	b.remote.commits = nil
	b.remote.push("c2", "lain")
	b.remote.bad["c2"] = source.ErrRewritten
	b.remote.fetches = nil
	next := New(b.Config)
	next.feed.restore(t.Context(), control.Source)
	next.feed.refresh(t.Context(), false)
	if !slices.Equal(b.remote.fetches, []string{"c1"}) {
		t.Errorf("it fetches since %q", b.remote.fetches)
	}
}

// What refuses a commit may pass: a machine that was too busy to evaluate it, a
// file of keys that was just written.
func TestFeedChecksAgainAfterAWhile(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.remote.push("c1", "lain")
	b.remote.bad["c1"] = source.ErrUnverified
	b.expect(t, true, "", "not verified", "commit.unverified c1")
	b.now = b.now.Add(judgeTime)
	b.expect(t, false, "", "not verified", "") // as before
	b.remote.bad["c1"] = nil
	b.expect(t, false, "", "not verified", "")
	b.now = b.now.Add(judgeTime)
	b.expect(t, true, "c1", "", "commit.new c1")
}

// A source that is away is told of once, also when its errors name another port
// each time, or come in turns.
func TestAwayIsToldOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for i, text := range []string{"read 127.0.0.1:40001->127.0.0.1:443: reset", "read 127.0.0.1:40002->127.0.0.1:443: reset", "no answer", "read 127.0.0.1:40003"} {
		b.remote.away = errors.New(text)
		b.feed.refresh(t.Context(), false)
		if got, want := b.told(), []string{"source.stale", "", "", ""}[i]; got != want {
			t.Errorf("%s: it tells %q", text, got)
		}
	}
	for _, away := range []error{source.ErrAuth, fmt.Errorf("again: %w", source.ErrAuth), source.ErrNoBranch, errors.New("no route")} {
		b.remote.away = away
		b.feed.refresh(t.Context(), false)
	}
	if got := b.told(); got != "source.stale, source.stale, source.stale" {
		t.Errorf("other reasons: it tells %q", got)
	}
	control, err := b.Ledger.Read()
	if err != nil || control.Source.Error != "no route" {
		t.Errorf("the ledger has %+v, %v", control.Source, err)
	}
	next := New(b.Config)
	next.feed.refresh(t.Context(), false)
	if got := b.told(); got != "" {
		t.Errorf("after a restart it tells %q", got)
	}
}

// What is in force can be read from the ledger at any time, also while that is
// tidied up.
func TestSettleWhileTheLedgerIsPruned(t *testing.T) {
	t.Parallel()
	b, w, accepted := twoClusters(t)
	for i := range 100 {
		if err := b.Ledger.Add(&ledger.Attempt{Cluster: "app", Tree: fmt.Sprint("old", i)}); err != nil {
			t.Fatal(err)
		}
	}
	var pruning sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	pruning.Go(func() {
		for ctx.Err() == nil {
			if err := b.Ledger.Prune(); err != nil {
				t.Error(err)
			}
		}
	})
	for i := range 6 {
		j := job{choice: choice{commit: fmt.Sprint("c", i), tree: fmt.Sprint("t", i)}, spec: accepted.spec}
		w.settle(j, 0)
		if _, err := b.Ledger.Spec(j.tree); err != nil {
			t.Errorf("the spec in force: %v", err)
		}
	}
	cancel()
	pruning.Wait()
}

// A spec that somebody removed is kept again.
func TestSettleKeepsTheSpecAgain(t *testing.T) {
	t.Parallel()
	b, w, accepted := twoClusters(t)
	j := job{choice: choice{commit: "c2", tree: "t2"}, spec: accepted.spec}
	w.settle(j, 0)
	if err := os.RemoveAll(filepath.Join(b.Ledger.Dir(), "specs")); err != nil {
		t.Fatal(err)
	}
	w.settle(j, 0)
	if _, err := b.Ledger.Spec("t2"); err != nil {
		t.Error(err)
	}
}

// What was begun is ended, also after a restart, when the window has closed
// meanwhile: the commit before would be healed to else.
func TestWhatWasBegunIsEnded(t *testing.T) {
	t.Parallel()
	b, w, accepted := twoClusters(t)
	control := &ledger.Control{}
	b.Window = func(*schema.Cluster, time.Time) string { return "closed" }
	b.remote.push("c2", "t2")
	j := job{choice: choice{commit: "c2", tree: "t2", trigger: triggerCommit}, spec: accepted.spec, plan: &reconcile.Plan{}, cluster: accepted.spec.Clusters[0]}
	closed := func(w *worker, want string) {
		t.Helper()
		if v := w.view(control, accepted, "", ""); v.closed != want {
			t.Errorf("the window is %q, want %q", v.closed, want)
		}
	}
	closed(w, "closed")
	stop := func(status string) {
		t.Helper()
		if err := w.begin(j); err != nil {
			t.Fatal(err)
		}
		closed(w, "")
		w.attempt.Report.Steps = []reconcile.Result{{Status: status, Step: reconcile.Step{Action: reconcile.StartRole{}}}}
		w.finish(j, ledger.Stopped, errLease)
	}
	restarted := func() *worker {
		next := newWorker(b.Controller, "app", func() {})
		next.recall()
		return next
	}
	stop("not started")
	closed(w, "closed")
	closed(restarted(), "closed")
	stop("done")
	closed(w, "")
	closed(restarted(), "")
	if err := w.begin(j); err != nil { // and killed
		t.Fatal(err)
	}
	if err := b.Ledger.Interrupted(); err != nil {
		t.Fatal(err)
	}
	closed(restarted(), "")
	w.finish(j, ledger.Failed, errors.New("bang"))
	closed(w, "closed")
	closed(restarted(), "closed")
}

// Who suspends a cluster means the steps that are to come, too.
func TestSuspendStopsAnApply(t *testing.T) {
	t.Parallel()
	b, w, _ := twoClusters(t)
	step := reconcile.Step{Action: reconcile.StartRole{}}
	if err := w.permit(nil)(t.Context(), &schema.Cluster{Name: "app"}, step); err != nil {
		t.Fatal(err)
	}
	err := b.Ledger.Update(func(c *ledger.Control) error {
		c.Cluster("app").Suspended = &ledger.Suspension{Reason: "it eats the data"}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.permit(nil)(t.Context(), &schema.Cluster{Name: "app"}, step); !errors.Is(err, errSuspended) {
		t.Errorf("the next step: %v", err)
	}
}

// That nobody can have the lease is told after a while: nothing is done meanwhile.
func TestALeaseThatNobodyHasIsTold(t *testing.T) {
	t.Parallel()
	b, w, _ := twoClusters(t)
	lost := &lease.LostError{Cluster: "app", Since: b.now, Why: "127.0.0.1:1: no answer"}
	w.elsewhere(lost)
	if got := b.told(); got != "" {
		t.Errorf("at first it tells %q", got)
	}
	b.now = b.now.Add(leaseless)
	w.elsewhere(lost)
	lost.Why = "127.0.0.1:2: no answer"
	w.elsewhere(lost)
	if got := b.told(); got != "lease.lost" {
		t.Errorf("after a while it tells %q", got)
	}
	w.leasedNow()
	if got := b.told(); got != "lease.won" {
		t.Errorf("when it is had again it tells %q", got)
	}
}

// An attempt that takes many passes, or is tried for days, stays small.
func TestAttemptsStaySmall(t *testing.T) {
	t.Parallel()
	b, w, accepted := twoClusters(t)
	b.Log = slog.New(slog.DiscardHandler)
	j := job{choice: choice{commit: "c1", tree: "t1", trigger: triggerDrift}, spec: accepted.spec, plan: &reconcile.Plan{}}
	pass := func(statuses ...string) *reconcile.Report {
		r := &reconcile.Report{}
		for _, s := range statuses {
			r.Steps = append(r.Steps, reconcile.Result{Status: s, Step: reconcile.Step{Action: reconcile.StartRole{}}})
		}
		return r
	}
	for range 3 {
		if err := w.begin(j); err != nil {
			t.Fatal(err)
		}
		w.join(pass("done", "not started", "not started"))
		w.join(pass("done", "not started"))
		w.join(pass("failed"))
		w.finish(j, ledger.Failed, errors.New("bang"))
	}
	a, err := b.Ledger.Attempt(1)
	if err != nil || a.Tries != 3 || len(a.Report.Steps) != 3 || a.Report.Count("not started") != 0 {
		t.Errorf("it has %+v, %v", a.Report, err)
	}
	if err := w.begin(j); err != nil {
		t.Fatal(err)
	}
	for range 5 * maxResults {
		w.join(pass("done"))
	}
	if n := len(w.attempt.Report.Steps); n != maxResults {
		t.Errorf("after many passes it has %d steps", n)
	}
}

// A server that refuses what is in force, after an upgrade for instance, is told of.
func TestRefusedWhatIsInForceIsTold(t *testing.T) {
	t.Parallel()
	b, w, _ := twoClusters(t)
	bad := &reconcile.Plan{Invalid: []reconcile.Invalid{{Path: "x", Message: "no such directive"}}}
	w.see(choice{commit: "c1", trigger: triggerCommit}, bad)
	if got := b.told(); got != "" {
		t.Errorf("of a new commit it tells %q", got)
	}
	w.see(choice{commit: "c1", trigger: triggerDrift}, bad)
	w.see(choice{commit: "c1", trigger: triggerDrift}, bad)
	if got := b.told(); got != "held c1" {
		t.Errorf("it tells %q", got)
	}
}

// Why a commit waited before a restart is forgotten when it waits no more.
func TestWaitingIsForgotten(t *testing.T) {
	t.Parallel()
	b, w, _ := twoClusters(t)
	known := func() view {
		t.Helper()
		control, err := b.Ledger.Read()
		if err != nil {
			t.Fatal(err)
		}
		return view{control: *control.Cluster("app")}
	}
	w.hold(choice{commit: "c1", why: "the window is closed"}, known())
	if got := known().control.Waiting; got != "the window is closed" {
		t.Errorf("it waits because of %q", got)
	}
	next := newWorker(b.Controller, "app", func() {})
	next.hold(choice{commit: "c2"}, known())
	if got := known().control.Waiting; got != "" {
		t.Errorf("after a restart it waits because of %q", got)
	}
}

// That the branch's commit is refused is told once, and not by each cluster again.
func TestRefusedIsToldByTheFeedAlone(t *testing.T) {
	t.Parallel()
	b, w, _ := twoClusters(t)
	w.hold(choice{commit: "c1", why: "not signed"}, view{refused: "not signed"})
	if got := b.told(); got != "" {
		t.Errorf("it tells %q", got)
	}
	if w.hold(choice{commit: "c1", why: "the window is closed"}, view{}); b.told() != "waiting c1" {
		t.Error("it does not tell that it waits")
	}
}

// broken has one Sentinel, which cannot be started.
type broken struct{}

func (broken) Observe(context.Context, *schema.Cluster) (*reconcile.State, error) {
	return &reconcile.State{Sentinels: map[string]*reconcile.SentinelState{
		"s1": {Name: "s1", Reach: reconcile.Down, Process: reconcile.Process{Local: true}}}}, nil
}

func (broken) Do(context.Context, reconcile.Action) error { return errors.New("no such binary") }

// startJob is a job with one step, for such a cluster.
func startJob(b *bench, step reconcile.StartRole) job {
	b.gate.take = func(context.Context) (func(), error) { return func() {}, nil }
	b.remote.push("c1", "t1")
	step.Role = reconcile.RoleRef{Name: "s1", Kind: reconcile.KindSentinel}
	return job{
		choice: choice{commit: "c1", tree: "t1", trigger: triggerCommit}, spec: &schema.Spec{},
		applier: &reconcile.Applier{Observer: broken{}, Executor: broken{}}, cluster: &schema.Cluster{Name: "app"},
		plan: &reconcile.Plan{Steps: []reconcile.Step{{Action: step}}},
	}
}

// A step that fails is told as the failure of its attempt, and not as an error, too.
func TestAFailureIsToldOnce(t *testing.T) {
	t.Parallel()
	b, w, _ := twoClusters(t)
	_, err := w.work(t.Context(), startJob(b, reconcile.StartRole{}))
	if next := w.judge(0, err); next != w.Interval {
		t.Errorf("it looks again in %s", next)
	}
	if got := b.told(); got != "apply.start c1, apply.failed c1" || w.status.Error == "" {
		t.Errorf("it tells %q", got)
	}
}

// That an attempt waits for its budget is told once, however many passes it takes.
func TestASpentBudgetIsToldOnce(t *testing.T) {
	t.Parallel()
	b, w, _ := twoClusters(t)
	j := startJob(b, reconcile.StartRole{Drops: true})
	b.budget = budget{limit: 1, interval: time.Hour, since: b.now, spent: 1}
	for range 3 {
		w.hold(j.choice, view{})
		if _, err := w.work(t.Context(), j); err != nil {
			t.Fatal(err)
		}
	}
	if got := b.told(); got != "apply.start c1, waiting c1" {
		t.Errorf("it tells %q", got)
	}
}

// A rollback that a person asks for while another one ends is not lost.
func TestUnpinLeavesANewPin(t *testing.T) {
	t.Parallel()
	b, w, _ := twoClusters(t)
	before, after := &ledger.Pin{Commit: "c1", Head: "c2"}, &ledger.Pin{Commit: "c1", Head: "c3"}
	err := b.Ledger.Update(func(c *ledger.Control) error { c.Cluster("app").Pin = after; return nil })
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		pin  *ledger.Pin
		told string
		left bool
	}{{before, "", true}, {after, "unpinned", false}} {
		w.unpin(test.pin)
		control, err := b.Ledger.Read()
		if got := b.told(); err != nil || got != test.told || (control.Cluster("app").Pin != nil) != test.left {
			t.Errorf("it tells %q and leaves %+v, %v", got, control.Cluster("app").Pin, err)
		}
	}
}

// leaving is a lease that is asked for while the service ends.
type leaving struct{ end context.CancelFunc }

func (leaving) Run(context.Context) error { return nil }

func (l leaving) Held(ctx context.Context) error {
	l.end()
	return fmt.Errorf("lease: %w", ctx.Err())
}

// A lease that a service gives up as it ends is not one that it lost.
func TestAnEndIsNoLostLease(t *testing.T) {
	t.Parallel()
	b, w, accepted := twoClusters(t)
	b.Applier = func(*schema.Cluster) *reconcile.Applier { return &reconcile.Applier{Observer: broken{}} }
	b.feed.accepted = accepted
	if err := b.Ledger.Update(func(c *ledger.Control) error { c.Cluster("base").Tree = "t2"; return nil }); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	b.Config.Lease = func(*schema.Cluster) Lease { return leaving{cancel} }
	w.pass(ctx)
	if got := b.told(); strings.Contains(got, "lease") {
		t.Errorf("it tells %q", got)
	}
}

// ending is looked at while the service ends.
type ending struct {
	broken
	end context.CancelFunc
}

func (e ending) Observe(ctx context.Context, c *schema.Cluster) (*reconcile.State, error) {
	e.end()
	return e.broken.Observe(ctx, c)
}

// What nobody could ask any more, as the service ends, tells nothing.
func TestAnEndIsNoDrift(t *testing.T) {
	t.Parallel()
	b, w, accepted := twoClusters(t)
	b.feed.accepted = accepted
	if err := b.Ledger.Update(func(c *ledger.Control) error { c.Cluster("base").Tree = "t2"; return nil }); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	b.Applier = func(*schema.Cluster) *reconcile.Applier {
		return &reconcile.Applier{Observer: ending{end: cancel}}
	}
	w.pass(ctx)
	if got := b.told(); got != "" {
		t.Errorf("it tells %q", got)
	}
}
