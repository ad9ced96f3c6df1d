package reconcile

import (
	"strings"
	"testing"
)

// What the property tests with faults have found, by the seed that it had then: each
// is something that happens between the plan and the step.

// TestSeed759RivalDies: r3 is to be held back in the handover, and dies before.
func TestSeed759RivalDies(t *testing.T) {
	t.Parallel()
	g := newStage(t, threeNodes+"s1\ns2\ns3\nrecord epoch=1")
	plan := NewHandover(g.c, g.s, Wish{From: "r1", To: "r2"})
	if a := plan.Steps[0].Action.(Handover); len(a.Rivals) != 1 || !a.Rivals[0].HeldBack {
		t.Fatalf("r3 is no rival: %+v", a)
	}
	g.s.kill(g.s.Redis["r3"])
	g.do = func(action Action) (bool, error) {
		if a, ok := action.(Handover); ok && len(a.Rivals) > 0 {
			t.Errorf("the dead node is held back: %+v", a.Rivals)
		}
		return false, nil
	}
	report := g.applier().Apply(t.Context(), g.c, plan)
	if report.Err != nil || report.Replans != 1 || g.s.Authority().Name != "r2" {
		t.Errorf("%v, %d replans: %s; %s leads", report.Err, report.Replans, statuses(report), g.s.Authority().Name)
	}
}

// TestSeed6033HangsBeforeItsCopy: a node hangs of which a copy was to be kept.
func TestSeed6033HangsBeforeItsCopy(t *testing.T) {
	t.Parallel()
	g := newStage(t, "r1 master\nr2 master replid=X keys=5\nr3 replica\ns1\ns2\ns3\nrecord epoch=1")
	plan := NewPlan(g.c, g.s, Allow{AllowDataLoss: {"r2"}})
	if len(plan.Steps) == 0 || KindOf(plan.Steps[0].Action) != KindOf(Snapshot{}) {
		t.Fatalf("no copy is planned: %s", texts(plan.Steps))
	}
	g.s.Redis["r2"].Reach = Unknown
	applier := g.applier()
	applier.Allow = Allow{AllowDataLoss: {"r2"}}
	applier.Apply(t.Context(), g.c, plan)
	if acted := strings.Join(g.done, "; "); strings.Contains(acted, "r2 ") {
		t.Errorf("what hangs was acted upon: %s", acted)
	}
}

// TestSeed13654ClientsCome: clients connect to a writable replica that was to be made
// read-only, and its data outgrows the limit that it was to get.
func TestSeed13654ClientsCome(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		state  string
		happen func(*RedisState)
	}{
		"clients": {"r2 replica replica-read-only=no", func(r *RedisState) { r.Clients = 3 }},
		"data":    {"r2 replica maxmemory=1gb", func(r *RedisState) { r.Memory = 200 << 20 }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newStage(t, "r1 master\n"+tt.state+"\nr3 replica\ns1\ns2\ns3\nrecord epoch=1")
			plan := NewPlan(g.c, g.s, nil)
			if len(plan.Steps) != 1 {
				t.Fatalf("planned: %s", texts(plan.Steps))
			}
			tt.happen(g.s.Redis["r2"])
			report := g.applier().Apply(t.Context(), g.c, plan)
			if len(g.done) > 0 || report.Replans != 1 || report.Remaining == nil || len(report.Remaining.Held) != 1 {
				t.Errorf("done %q, %d replans, %v: %s", g.done, report.Replans, report.Err, statuses(report))
			}
		})
	}
}
