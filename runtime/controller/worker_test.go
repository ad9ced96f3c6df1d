package controller

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"rsm/reconcile"
	"rsm/reconcile/source"
	"rsm/runtime/controller/lease"
	"rsm/runtime/controller/ledger"
	"rsm/schema"
)

// twoClusters is a bench whose accepted commit has a cluster "app" that depends on
// "base".
func twoClusters(t *testing.T) (*bench, *worker, *candidate) {
	t.Helper()
	b := newBench(t)
	spec := &schema.Spec{Clusters: []*schema.Cluster{{Name: "app", DependsOn: []string{"base"}}, {Name: "base"}}}
	accepted := &candidate{rev: source.Revision{Commit: "c2", Tree: "t2"}, spec: spec}
	return b, newWorker(b.Controller, "app", func() {}), accepted
}

func TestViewOfADependency(t *testing.T) {
	t.Parallel()
	b, w, accepted := twoClusters(t)
	control := &ledger.Control{}
	control.Cluster("base").Tree = "t1"
	if v := w.view(control, accepted, "", ""); v.waits != "waits for cluster base to have this commit" || v.head != "c2" || v.tree != "t2" {
		t.Errorf("before base has the commit: %+v", v)
	}
	control.Cluster("base").Tree = "t2"
	if v := w.view(control, accepted, "", ""); v.waits != "" {
		t.Errorf("it still waits: %+v", v)
	}
	if v := newWorker(b.Controller, "base", func() {}).view(&ledger.Control{}, accepted, "", ""); v.waits != "" {
		t.Errorf("base waits: %+v", v)
	}
	b.Window = func(c *schema.Cluster, _ time.Time) string { return "closed for " + c.Name }
	if v := w.view(control, accepted, "", ""); v.closed != "closed for app" {
		t.Errorf("the window is %+v", v)
	}
}

// What a cluster is kept equal to comes from the accepted commit, or from what was
// kept when it was applied.
func TestSpecOf(t *testing.T) {
	t.Parallel()
	b, w, accepted := twoClusters(t)
	if c, _, err := w.specOf(choice{}, accepted); c != nil || err != nil {
		t.Errorf("of nothing: %v, %v", c, err)
	}
	if c, _, err := w.specOf(choice{commit: "c2", tree: "t2"}, accepted); c != accepted.spec.Clusters[0] || err != nil {
		t.Errorf("of the accepted commit: %v, %v", c, err)
	}
	if _, _, err := w.specOf(choice{commit: "c1", tree: "t1"}, accepted); err == nil || !strings.Contains(err.Error(), "commit c1") {
		t.Errorf("of one that was not kept: %v", err)
	}
	kept := &schema.Spec{Clusters: []*schema.Cluster{{Name: "app"}}, Digest: "kept"}
	if err := b.Ledger.SaveSpec("t1", kept); err != nil {
		t.Fatal(err)
	}
	if c, spec, err := w.specOf(choice{commit: "c1", tree: "t1"}, accepted); err != nil || c.Name != "app" || spec.Digest != "kept" {
		t.Errorf("of one that was kept: %v, %v", c, err)
	}
}

// An attempt that fails makes the commit one that is not tried again; healing that
// fails does not, and is one attempt however often it is tried.
func TestFinish(t *testing.T) {
	t.Parallel()
	b, w, accepted := twoClusters(t)
	b.Log = slog.New(slog.DiscardHandler)
	j := job{choice: choice{commit: "c2", tree: "t2", trigger: triggerCommit}, spec: accepted.spec, plan: &reconcile.Plan{}, cluster: accepted.spec.Clusters[0]}
	b.remote.push("c2", "t2")
	try := func(trigger, result string, err error) *ledger.Cluster {
		t.Helper()
		j.trigger = trigger
		if err := w.begin(j); err != nil {
			t.Fatal(err)
		}
		w.finish(j, result, err)
		control, err := b.Ledger.Read()
		if err != nil {
			t.Fatal(err)
		}
		return control.Cluster("app")
	}
	bang := errors.New("bang")
	if c := try(triggerCommit, ledger.Failed, bang); c.Failed == nil || c.Failed.Commit != "c2" || c.Failed.Why != "bang" || c.Applied != "" {
		t.Errorf("after a failure: %+v", c)
	}
	if c := try(triggerCommit, ledger.Stopped, errBudget); c.Applied != "" {
		t.Errorf("after a stop: %+v", c)
	}
	if c := try(triggerCommit, ledger.Applied, nil); c.Failed != nil || c.Applied != "c2" || c.Tree != "t2" || c.Attempt != 3 {
		t.Errorf("after it was applied: %+v", c)
	}
	if _, err := b.Ledger.Spec("t2"); err != nil {
		t.Errorf("its spec was not kept: %v", err)
	}
	b.told()
	for range 3 {
		if c := try(triggerDrift, ledger.Failed, bang); c.Failed != nil || c.Applied != "c2" {
			t.Errorf("after healing failed: %+v", c)
		}
	}
	if got := b.told(); got != "drift c2, apply.failed c2" {
		t.Errorf("healing that fails three times tells %q", got)
	}
	all, err := b.Ledger.Attempts("app", 0)
	if err != nil || len(all) != 4 || all[0].Tries != 3 || all[0].Result != ledger.Failed {
		t.Errorf("%d attempts, the last one %+v, %v", len(all), all[0], err)
	}
}

// One that was under way when its service was killed is not under way for ever.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	b, w, accepted := twoClusters(t)
	j := job{choice: choice{commit: "c2", tree: "t2", trigger: triggerCommit}, spec: accepted.spec, plan: &reconcile.Plan{}}
	b.remote.push("c2", "t2")
	if err := errors.Join(w.begin(j), b.Ledger.Interrupted()); err != nil {
		t.Fatal(err)
	}
	if a, err := b.Ledger.Attempt(1); err != nil || a.Result != ledger.Stopped || a.Author != "somebody" {
		t.Errorf("it is %+v, %v", a, err)
	}
}

// Who has the lease is told; that nobody has it yet is not worth telling.
func TestElsewhere(t *testing.T) {
	t.Parallel()
	b, w, _ := twoClusters(t)
	w.elsewhere(&lease.LostError{Cluster: "app", Since: b.now})
	if got := b.told(); got != "" {
		t.Errorf("it tells %q", got)
	}
	w.elsewhere(&lease.LostError{Cluster: "app", Holder: "other"})
	w.elsewhere(&lease.LostError{Cluster: "app", Holder: "other"})
	if got := b.told(); got != "lease.lost" || w.status.Leased {
		t.Errorf("it tells %q", got)
	}
	w.leasedNow()
	w.leasedNow()
	if got := b.told(); got != "lease.won" || !w.status.Leased {
		t.Errorf("it tells %q", got)
	}
}

func TestBackOff(t *testing.T) {
	t.Parallel()
	b, w, _ := twoClusters(t)
	if err := b.Ledger.Update(func(c *ledger.Control) error { // of which no spec was kept
		c.Cluster("app").Applied, c.Cluster("app").Tree = "c1", "t1"
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for i, want := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second} {
		if got := w.pass(t.Context()); got != want {
			t.Errorf("after %d failures it looks in %s, want %s", i+1, got, want)
		}
	}
	w.fails = 100
	if got := w.pass(t.Context()); got != maxBackOff {
		t.Errorf("in the end it looks in %s", got)
	}
	if got := b.told(); got != "error" {
		t.Errorf("it tells %q", got)
	}
}

// Another commit must not cost the lease.
func TestLeaseKey(t *testing.T) {
	t.Parallel()
	cluster := func(port, variable string) *schema.Cluster {
		return &schema.Cluster{
			Sentinel: schema.Sentinel{Nodes: []schema.SentinelNode{{Name: "s1", Addr: schema.Addr("127.0.0.1:" + port)}}},
			Auth:     schema.Auth{SentinelPassword: &schema.Secret{Env: variable}},
		}
	}
	key := leaseKey(cluster("1", "A"))
	if again := leaseKey(cluster("1", "A")); again != key {
		t.Errorf("%q became %q", key, again)
	}
	for _, other := range []*schema.Cluster{cluster("2", "A"), cluster("1", "B"), {}} {
		if leaseKey(other) == key {
			t.Errorf("%+v has the same lease", other)
		}
	}
}
