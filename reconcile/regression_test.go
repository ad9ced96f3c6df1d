package reconcile

import (
	"testing"
)

// The regressions W1 … W7 are failures of an earlier tool of this kind; each is
// here on the level of the planner.

// becomesMaster lists the nodes that a plan starts as, or makes, the master.
func becomesMaster(plan *Plan) []string {
	var list []string
	for _, step := range plan.Steps {
		switch a := step.Action.(type) {
		case StartRole:
			if a.Role.Kind == KindRedis && a.Follow == "" {
				list = append(list, a.Role.Name)
			}
		case Promote:
			list = append(list, a.Node)
		}
	}
	return list
}

// TestW1StaleSeedNeverWins: the seed r1 has stale data, another node led last,
// and the Sentinels are blank after everything was recreated.
func TestW1StaleSeedNeverWins(t *testing.T) {
	t.Parallel()
	bare := "s1 bare\ns2 bare\ns3 bare\n"
	down := "r1 down data=yes\nr2 down data=yes\nr3 down data=yes\n"
	for _, tt := range []struct{ name, state, leads string }{
		{"recorded", down + bare + "record master=r2 epoch=7", "r2"},
		{"not recorded", down + bare, ""},
		{"recorded, disk lost", "r1 down data=yes\nr2 down data=no\nr3 down data=yes\n" + bare + "record master=r2", ""},
		{"recorded, disk unreadable", "r1 down data=yes\nr2 down data=maybe\nr3 down data=yes\n" + bare + "record master=r2", ""},
		{"not recorded, another disk unreadable", "r1 down data=yes\nr2 down data=maybe\nr3 down data=no\n" + bare, ""},
		{"seed has the only data", "r1 down data=yes\nr2 down data=no\nr3 down data=no\n" + bare, "r1"},
		{"remembered by Sentinels", down + "s1 monitors=r3 epoch=4\ns2 monitors=r3 epoch=4\ns3 monitors=r3 epoch=4", "r3"},
		{"seed is up with stale data, newer node down", "r1 master keys=100\nr2 down data=yes\nr3 down data=yes\n" + bare + "record master=r2", ""},
		{"seed is up and empty, newer node down", "r1 master keys=0 replid=N\nr2 down data=yes\nr3 down data=yes\n" + bare, ""},
		{"newer node unknown", "r1 down data=yes\nr2 unknown\nr3 down data=yes\n" + bare + "record master=r1", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			plan := NewPlan(goldenSpec(t, ""), usual(t, tt.state), nil)
			got := becomesMaster(plan)
			if tt.leads == "" && (len(plan.Steps) > 0 || len(plan.Held) == 0) {
				t.Errorf("it must be refused, but: %s", texts(plan.Steps))
			}
			if tt.leads != "" && (len(got) != 1 || got[0] != tt.leads) {
				t.Errorf("%v becomes master, want %s: %s", got, tt.leads, texts(plan.Steps))
			}
		})
	}
}

// TestW3RemovedNodeIsForgotten: what left the spec is stopped and forgotten when
// that is allowed, and always reported.
func TestW3RemovedNodeIsForgotten(t *testing.T) {
	t.Parallel()
	w, plan := scenario(t, "18-surplus-prune")
	if first, ok := plan.Steps[0].Action.(StopRole); !ok || first.Role.Name != "r4" {
		t.Errorf("the process stops first, but: %s", texts(plan.Steps))
	}
	reset := map[string]int{}
	for _, step := range plan.Steps {
		step.Action.apply(w.s)
		if a, ok := step.Action.(ResetSentinel); ok {
			reset[a.Sentinel]++
		}
	}
	if len(reset) != 3 || len(w.s.Surplus) != 0 {
		t.Errorf("reset %v, surplus %v", reset, w.s.Surplus)
	}
	for name, r := range w.s.Sentinels {
		if r.knowsReplica("127.0.0.1:7004") || reset[name] != 1 {
			t.Errorf("%s was reset %d times and knows %v", name, reset[name], r.Replicas)
		}
	}
	if _, plan := scenario(t, "18-surplus"); len(plan.Steps) != 0 || len(plan.Held) != 4 || plan.Held[0].Flag != "--allow prune" {
		t.Errorf("without --allow prune: %s, held %v", texts(plan.Steps), plan.Held)
	}
}

// TestW4OneSentinelIsNotEnough: whatever one Sentinel of three says, no data node
// is touched and no other Sentinel is turned.
func TestW4OneSentinelIsNotEnough(t *testing.T) {
	t.Parallel()
	for name, others := range map[string]string{
		"others hung":      "s2 unknown\ns3 unknown",
		"others elsewhere": "s2 monitors=r1 epoch=1\ns3 monitors=r3 epoch=1",
		"others blank":     "s2 bare\ns3 bare",
		"others behind":    "s2 monitors=r1 epoch=1\ns3 monitors=r1 epoch=1",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := usual(t, threeNodes+"s1 monitors=r2 epoch=9\n"+others)
			if named, ok := s.Named(); ok || s.Authority() != nil {
				t.Errorf("%v is named", named)
			}
			if plan := NewPlan(goldenSpec(t, ""), s, nil); len(plan.Steps) > 0 || len(plan.Held) == 0 {
				t.Errorf("planned %s", texts(plan.Steps))
			}
		})
	}
	t.Run("one blanks nothing", func(t *testing.T) {
		t.Parallel()
		if s := usual(t, threeNodes+"s1 bare\ns2\ns3"); s.Authority() == nil || s.Authority().Name != "r1" {
			t.Error("one blank Sentinel took the authority away")
		}
	})
}

// TestW5NoForcedPromotion: while any Sentinel knows a master, rsm promotes nobody.
func TestW5NoForcedPromotion(t *testing.T) {
	t.Parallel()
	replicas := "r1 replica of=r2 link=down linkdown=1h\nr2 replica of=r1 link=down linkdown=1h\nr3 replica of=r1 link=down linkdown=1h\n"
	for name, state := range map[string]string{
		"all name a replica":       replicas + "s1 monitors=r1\ns2 monitors=r1\ns3 monitors=r1",
		"one stale view":           replicas + "s1 monitors=r1\ns2 bare\ns3 bare",
		"split views":              replicas + "s1 monitors=r1\ns2 monitors=r2\ns3 monitors=r3",
		"dead master":              "r1 down data=yes\nr2 replica of=r1 link=down linkdown=1h\nr3 replica of=r1 link=down linkdown=1h\ns1 monitors=r1\ns2 monitors=r1\ns3 monitors=r1",
		"dead master, few votes":   "r1 down data=yes\nr2 replica of=r1 link=down linkdown=1h\nr3 replica of=r1 link=down linkdown=1h\ns1 monitors=r1\ns2 unknown\ns3 unknown",
		"hung master":              "r1 unknown\nr2 replica of=r1 link=down linkdown=1h\nr3 replica of=r1 link=down linkdown=1h\ns1 monitors=r1\ns2 monitors=r1\ns3 monitors=r1",
		"blank, one node unknown":  "r1 unknown\nr2 replica of=r1 link=down linkdown=1h\nr3 replica of=r1 link=down linkdown=1h\ns1 bare\ns2 bare\ns3 bare",
		"blank, old master's disk": "r1 down data=yes\nr2 replica of=r1 link=down linkdown=1h\nr3 replica of=r1 link=down linkdown=1h\ns1 bare\ns2 bare\ns3 bare",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if plan := NewPlan(goldenSpec(t, ""), usual(t, state), nil); len(becomesMaster(plan)) > 0 {
				t.Errorf("planned %s", texts(plan.Steps))
			}
		})
	}
}

// TestMostOfTheOnlyDataSetLeads: scenario 3, where promoting is right, takes the
// highest offset, and among equals whom Sentinel would take.
func TestMostOfTheOnlyDataSetLeads(t *testing.T) {
	t.Parallel()
	lost := " of=9.9.9.9:1 link=down linkdown=2m "
	for want, offsets := range map[string][3]string{
		"r1": {"offset=1000", "offset=999", "offset=1"},
		"r2": {"offset=900", "offset=1000", "offset=950"},
		"r3": {"offset=1000", "offset=1000", "offset=1000 replica-priority=1"},
	} {
		state := "r1 replica" + lost + offsets[0] + "\nr2 replica" + lost + offsets[1] + "\nr3 replica" + lost + offsets[2] +
			"\ns1 bare\ns2 bare\ns3 bare"
		target := chooseTarget(goldenSpec(t, ""), usual(t, state), nil)
		if target.node == nil || target.node.Name != want {
			t.Errorf("%v: target is %+v, want %s", offsets, target, want)
		}
	}
}

// TestW7SettingsReconciled: every setting that differs on any Sentinel is set
// there, one option a call, and nothing else is sent.
func TestW7SettingsReconciled(t *testing.T) {
	t.Parallel()
	w := &world{c: goldenSpec(t, "")}
	w.s = usual(t, threeNodes+"s1 down-after=1234ms\ns2 quorum=3 failover-timeout=1s\ns3 parallel-syncs=9\nrecord epoch=1")
	plan := NewPlan(w.c, w.s, nil)
	want := map[string]string{
		"s1 down-after-milliseconds": "5000", "s2 quorum": "2", "s2 failover-timeout": "60000", "s3 parallel-syncs": "1",
	}
	for _, step := range plan.Steps {
		a, ok := step.Action.(SetSentinel)
		if !ok || want[a.Sentinel+" "+a.Option] != a.Value || len(a.Commands()) != 1 {
			t.Errorf("%s %s", step.Action.Subject(), step.Action)
			continue
		}
		delete(want, a.Sentinel+" "+a.Option)
		step.Action.apply(w.s)
	}
	if rest := NewPlan(w.c, w.s, nil); len(want) > 0 || !rest.Empty() {
		t.Errorf("not set: %v; left: %s", want, texts(rest.Steps))
	}
	if _, plan := scenario(t, "20-sentinel-added"); len(plan.Held) > 0 {
		t.Errorf("held: %v", plan.Held)
	}
}
