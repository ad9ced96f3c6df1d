package reconcile

import (
	"strings"
	"testing"
	"time"
)

// a node that is still loading, or was just started with data
// on disk, counts as empty.
func TestLoadingNodeIsNotEmpty(t *testing.T) {
	t.Parallel()
	for name, state := range map[string]string{
		"loading":  "r1 down\nr2 down\nr3 master loading keys=0 offset=0 replid=N\ns1 bare\ns2 bare\ns3 bare",
		"one disk": "r1 down\nr2 down\nr3 down data=yes\ns1 bare\ns2 bare\ns3 bare",
	} {
		plan := NewPlan(goldenSpec(t, ""), usual(t, state), nil)
		for _, who := range becomesMaster(plan) {
			if who != "r3" {
				t.Errorf("%s: %s becomes a master: %s", name, who, texts(plan.Steps))
			}
		}
	}
	s := usual(t, "r1 master\nr2 replica\nr3 master loading keys=0 replid=N\ns1\ns2\ns3")
	if drops(s.Redis["r3"], s.Redis["r1"]) == "" {
		t.Error("a master that is loading may have anything; drops says it is empty")
	}
	s = usual(t, "r1 down\nr2 down\nr3 master loading keys=0 replid=N\ns1 bare\ns2 bare\ns3 bare")
	if err := Guard(s, StartRole{Role: redisRef(goldenSpec(t, ""), "r1")}); err == nil {
		t.Error("guard allows an empty master beside one that is loading")
	}
}

// total outage; the model takes the restarted master for empty and advises
// --allow data-loss.
func TestOutageAdvice(t *testing.T) {
	t.Parallel()
	plan := NewPlan(goldenSpec(t, ""), usual(t, "r1 down data=yes\nr2 down data=yes\nr3 down data=yes\ns1 monitors=r3 epoch=6\ns2 monitors=r3 epoch=6\ns3 monitors=r3 epoch=6"), nil)
	if len(plan.Held) > 0 {
		t.Errorf("held: %v", plan.Held)
	}
}

// converges plans, performs on the model, and plans again until nothing is left.
func converges(t *testing.T, state string, allow ...string) {
	t.Helper()
	c, s := goldenSpec(t, ""), usual(t, state)
	a, err := ParseAllow(allow)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range NewPlan(c, s, a).Steps {
		step.Action.apply(s)
	}
	if rest := NewPlan(c, s, a); !rest.Empty() || s.Authority() == nil {
		t.Errorf("stuck after its own steps: steps %s, held %v", texts(rest.Steps), rest.Held)
	}
}

// scenario 3 promotes a node and then refuses to go on.
func TestLeaderlessFinishes(t *testing.T) {
	t.Parallel()
	lost := " of=127.0.0.1:7999 link=down linkdown=2m offset="
	converges(t, "r1 replica"+lost+"900\nr2 replica"+lost+"1000\nr3 replica"+lost+"950\ns1 bare\ns2 bare\ns3 bare")
}

// scenario 7 with an epoch above 0 turns a majority and then stops.
func TestMonitoredReplicaWithEpoch(t *testing.T) {
	t.Parallel()
	converges(t, threeNodes+"s1 monitors=r2 epoch=3\ns2 monitors=r2 epoch=3\ns3 monitors=r2 epoch=3")
}

// --allow promote is forgotten after the first Sentinel was registered.
func TestPromoteIsRemembered(t *testing.T) {
	t.Parallel()
	s := "r1 master\nr2 replica of=r1\nr3 master keys=12 offset=70 replid=B\ns1 bare\ns2 bare\ns3 bare"
	c, st := goldenSpec(t, ""), usual(t, s)
	allow := Allow{AllowPromote: {"r1"}}
	for _, step := range NewPlan(c, st, allow).Steps {
		step.Action.apply(st)
	}
	if st.Authority() == nil {
		t.Error("no authority after --allow promote=r1")
	}
}

// --allow promote of another than the dead elected master starts it and
// then holds for ever.
func TestPromoteAfterOutage(t *testing.T) {
	t.Parallel()
	c, s := goldenSpec(t, ""), usual(t, "r1 down data=yes\nr2 down data=yes\nr3 down data=no\ns1 monitors=r3 epoch=6\ns2 monitors=r3 epoch=6\ns3 monitors=r3 epoch=6")
	allow := Allow{AllowPromote: {"r2"}}
	for _, step := range NewPlan(c, s, allow).Steps {
		step.Action.apply(s)
	}
	if s.Authority() == nil {
		t.Errorf("no authority: %v", NewPlan(c, s, allow).Held)
	}
}

// one cause is held under many names, and those do not wait, so that
// Waiting is false and Converge gives up.
func TestWaitingPlansWait(t *testing.T) {
	t.Parallel()
	for name, state := range map[string]string{
		"hung master":          "r1 unknown\nr2 replica of=r1\nr3 replica of=r1\ns1 monitors=r1\ns2 monitors=r1\ns3 monitors=r1\nrecord master=r1 epoch=1",
		"leaderless, too soon": "r1 replica of=9.9.9.9:1 link=down linkdown=2s\nr2 replica of=9.9.9.9:1 link=down linkdown=2s\nr3 replica of=9.9.9.9:1 link=down linkdown=2s\ns1 bare\ns2 bare\ns3 bare",
		"blank and loading":    "r1 master loading\nr2 replica\nr3 replica\ns1 bare\ns2 bare\ns3 bare",
	} {
		plan := NewPlan(goldenSpec(t, ""), usual(t, state), nil)
		if !plan.Waiting() {
			t.Errorf("%s: held %v", name, plan.Held)
		}
	}
}

// Sentinel never promotes the node that it fails over from.
func TestSuccessorIsNotTheLostOne(t *testing.T) {
	t.Parallel()
	s := usual(t, "r1 replica of=r2 link=down\nr2 replica of=r1 link=down\nr3 replica of=r1 link=down\ns1 monitors=r1\ns2 monitors=r1\ns3 monitors=r1")
	for _, step := range NewPlan(goldenSpec(t, ""), s, nil).Steps {
		if a, ok := step.Action.(WaitFailover); ok && a.Predicted == a.Lost {
			t.Errorf("predicts %s after %s", a.Predicted, a.Lost)
		}
	}
}

// a replica whose link never comes up blocks the Sentinels' settings for
// as long as the apply may take.
func TestBrokenLinkBlocksTheRest(t *testing.T) {
	t.Parallel()
	g := newStage(t, "r1 master\nr2 replica\nr3 replica link=down linkdown=1h\ns1 quorum=1\ns2\ns3\nrecord epoch=1")
	g.do = func(a Action) (bool, error) { _, sync := a.(WaitSync); return sync, nil }
	g.look = func(int) error {
		if g.clock.After(time.Unix(3600, 0)) {
			return errTooLong
		}
		return nil
	}
	report := g.apply(t.Context())
	if g.s.Sentinels["s1"].Quorum != 2 {
		t.Errorf("after an hour: %v, %s", report.Err, statuses(report))
	}
}

var errTooLong = errorText("an hour has passed")

type errorText string

func (e errorText) Error() string { return string(e) }

// the published epoch goes back after Sentinels lost their files.
func TestRecordEpochNeverFalls(t *testing.T) {
	t.Parallel()
	s := usual(t, threeNodes+"s1 bare\ns2 bare\ns3 bare\nrecord master=r1 epoch=7")
	for _, step := range NewPlan(goldenSpec(t, ""), s, nil).Steps {
		if a, ok := step.Action.(Publish); ok && a.Registration.Epoch < 7 {
			t.Errorf("publishes epoch %d after 7", a.Registration.Epoch)
		}
	}
}

// RESET of a Sentinel whose "stale" replica is alive learns it again at
// once, so --watch --allow prune resets for ever.
func TestResetOfALiveReplica(t *testing.T) {
	t.Parallel()
	s := usual(t, threeNodes+"s1\ns2\ns3\nrecord epoch=1")
	s.Sentinels["s1"].Replicas = append(s.Sentinels["s1"].Replicas, KnownReplica{Addr: "127.0.0.1:7004", Flags: []string{"slave"}})
	s.Redis["r1"].Replicas = append(s.Redis["r1"].Replicas, "127.0.0.1:7004")
	if plan := NewPlan(goldenSpec(t, ""), s, Allow{AllowPrune: {""}}); len(plan.Steps) > 0 {
		t.Errorf("planned %s", texts(plan.Steps))
	}
}

// a surplus node that is the elected master is called a stranger.
func TestSurplusMasterIsOurs(t *testing.T) {
	t.Parallel()
	s := usual(t, "r1 replica of=127.0.0.1:7004\nr2 replica of=127.0.0.1:7004\nr3 replica of=127.0.0.1:7004\n"+
		"s1 monitors=127.0.0.1:7004\ns2 monitors=127.0.0.1:7004\ns3 monitors=127.0.0.1:7004\nsurplus r4 redis 127.0.0.1:7004")
	if plan := NewPlan(goldenSpec(t, ""), s, nil); strings.Contains(plan.Held[0].Reason, "another deployment") {
		t.Errorf("held: %s", plan.Held[0].Reason)
	}
}

// a master that came back empty and took one write is not seen as reborn.
func TestRebornWithOneKey(t *testing.T) {
	t.Parallel()
	s := usual(t, "r1 master keys=1 offset=60 replid=N data=no\nr2 replica of=r1 link=down keys=100000\nr3 replica of=r1 link=down keys=100000\ns1 monitors=r1\ns2 monitors=r1\ns3 monitors=r1")
	s.Redis["r1"].Uptime = 2 * time.Second
	plan := NewPlan(goldenSpec(t, ""), s, nil)
	if len(plan.Held) == 0 && plan.Impact() < ImpactFailover {
		t.Errorf("100000 keys are about to be dropped, and the plan is %s", texts(plan.Steps))
	}
}

// Guard panics on a step of a saved plan whose node left the spec.
func TestGuardOfAMissingNode(t *testing.T) {
	t.Parallel()
	defer func() {
		if r := recover(); r != nil {
			t.Errorf("panic: %v", r)
		}
	}()
	_ = Guard(usual(t, whole), Promote{Node: "gone"})
}

// --allow promote of a node that is down is ignored without a word.
func TestPromoteOfADownNode(t *testing.T) {
	t.Parallel()
	s := usual(t, "r1 master keys=0 replid=N data=no\nr2 down data=yes\nr3 down data=yes\ns1 bare\ns2 bare\ns3 bare")
	plan := NewPlan(goldenSpec(t, ""), s, Allow{AllowPromote: {"r2"}})
	if who := becomesMaster(plan); len(who) != 1 || who[0] != "r2" {
		t.Errorf("promote=r2: %v become masters; held %v; steps %s", who, plan.Held, texts(plan.Steps))
	}
}
