package reconcile

import (
	"context"
	"errors"
	"testing"

	"rsm/schema"
)

// TestHandoverBesideAStranger: Sentinel may promote whatever it knows and lives.
func TestHandoverBesideAStranger(t *testing.T) {
	t.Parallel()
	s := usual(t, threeNodes+"s1\ns2\ns3")
	s.Sentinels["s1"].Replicas = append(s.Sentinels["s1"].Replicas, KnownReplica{Addr: "127.0.0.1:7009", Flags: []string{"slave"}})
	plan := NewHandover(goldenSpec(t, ""), s, Wish{From: "r1", To: "r2"})
	if len(plan.Steps) > 0 || len(plan.Held) != 1 {
		t.Errorf("steps %s, held %v", texts(plan.Steps), plan.Held)
	}
}

// TestHandoverCommands: a plan shows the commands in the order in which they are
// sent. The old master follows before its clients go on, and they are cut off last.
func TestHandoverCommands(t *testing.T) {
	t.Parallel()
	s := usual(t, threeNodes+"s1\ns2\ns3")
	plan := NewHandover(goldenSpec(t, ""), s, Wish{From: "r1", To: "r2"})
	a := plan.Steps[0].Action.(Handover)
	if a.Pause >= s.Sentinels["s1"].DownAfter {
		t.Errorf("writes are paused for %s, a master is down after %s", a.Pause, s.Sentinels["s1"].DownAfter)
	}
	at := map[string]int{}
	for i, c := range a.Commands() {
		at[c.Args[0]+" "+c.Args[1]] = i
	}
	order := []string{"SENTINEL FAILOVER", "CLIENT PAUSE", "REPLICAOF 127.0.0.1", "CLIENT UNPAUSE", "CLIENT KILL", "CONFIG SET"}
	for i := range order[1:] {
		if at[order[i]] >= at[order[i+1]] {
			t.Errorf("%s comes after %s", order[i], order[i+1])
		}
	}
}

// TestHandoverInterrupted: a Handover hears of an interrupt, which no other action
// does in the middle.
func TestHandoverInterrupted(t *testing.T) {
	t.Parallel()
	g := newStage(t, threeNodes+"s1\ns2\ns3\nrecord epoch=1")
	ctx, cancel := context.WithCancel(t.Context())
	executor := executorFunc(func(do context.Context, action Action) error {
		cancel()
		return do.Err()
	})
	applier := g.applier()
	applier.Executor = executor
	report := applier.Apply(ctx, g.c, NewHandover(g.c, g.s, Wish{From: "r1", To: "r2"}))
	if !errors.Is(report.Err, context.Canceled) || report.Count("failed") != 1 {
		t.Errorf("%v: %s", report.Err, statuses(report))
	}
}

type executorFunc func(context.Context, Action) error

func (f executorFunc) Do(ctx context.Context, action Action) error { return f(ctx, action) }

// TestHandoverToAnother: Sentinel chose another than was expected. The wish is
// fulfilled, and the registration names the true master.
func TestHandoverToAnother(t *testing.T) {
	t.Parallel()
	g := newStage(t, threeNodes+"s1\ns2\ns3\nrecord epoch=1")
	g.do = func(action Action) (bool, error) {
		a, ok := action.(Handover)
		if ok {
			WaitFailover{Predicted: g.s.Redis["r3"].Addr}.apply(g.s)
		}
		return ok && a.To.Name == "r2", nil
	}
	report := g.applier().Apply(t.Context(), g.c, NewHandover(g.c, g.s, Wish{From: "r1"}))
	if !report.Converged() || len(g.done) != 2 || g.s.Record.Master != schema.Addr("127.0.0.1:7003") {
		t.Errorf("%v: %s, did %v, published %s", report.Err, statuses(report), g.done, g.s.Record.Master)
	}
}
