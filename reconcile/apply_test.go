package reconcile

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"rsm/schema"
)

// stage is a cluster on the model with a clock of its own: an Observer and an
// Executor whose hooks let a test interfere. Time passes only while rsm sleeps.
type stage struct {
	c     *schema.Cluster
	s     *State
	clock time.Time
	looks int
	done  []string // the actions performed
	// do, if set, stands in for an action; false leaves it to the model.
	do func(Action) (bool, error)
	// look, if set, is called before each observation, with its number from 1.
	look   func(n int) error
	events []Event
}

func newStage(t *testing.T, state string) *stage {
	t.Helper()
	c := goldenSpec(t, "")
	s, err := parseState(c, state)
	if err != nil {
		t.Fatal(err)
	}
	return &stage{c: c, s: s, clock: time.Unix(0, 0)}
}

func (g *stage) Observe(context.Context, *schema.Cluster) (*State, error) {
	g.looks++
	if g.look != nil {
		if err := g.look(g.looks); err != nil {
			return nil, err
		}
	}
	return g.s.Clone(), nil
}

func (g *stage) Do(_ context.Context, action Action) error {
	g.done = append(g.done, action.Subject()+" "+KindOf(action))
	if g.do != nil {
		if handled, err := g.do(action); handled {
			return err
		}
	}
	action.apply(g.s)
	return nil
}

func (g *stage) applier() *Applier {
	return &Applier{
		Observer: g, Executor: g,
		Now:    func() time.Time { return g.clock },
		Sleep:  func(ctx context.Context, d time.Duration) error { g.clock = g.clock.Add(d); return ctx.Err() },
		Notify: func(e Event) { g.events = append(g.events, e) },
	}
}

// apply plans for the state as it is and applies that.
func (g *stage) apply(ctx context.Context) *Report {
	return g.applier().Apply(ctx, g.c, NewPlan(g.c, g.s, nil))
}

// heard lists the types of the events, without those that only wait.
func (g *stage) heard() string {
	var list []string
	for _, e := range g.events {
		if e.Type != "waiting" {
			list = append(list, e.Type)
		}
	}
	return strings.Join(list, " ")
}

func statuses(r *Report) string {
	var list []string
	for _, result := range r.Steps {
		list = append(list, KindOf(result.Step.Action)+" "+result.Status)
	}
	return strings.Join(list, ", ")
}

const twoDirectives = "r1 master maxmemory=1mb\nr2 replica maxmemory=1mb\nr3 replica\ns1\ns2\ns3\nrecord epoch=1"

func TestApplyConverges(t *testing.T) {
	t.Parallel()
	g := newStage(t, "")
	report := g.apply(t.Context())
	if !report.Converged() || report.Replans != 0 || report.Count("done") != len(report.Steps) || len(report.Steps) == 0 {
		t.Fatalf("%v: %s", report.Err, statuses(report))
	}
	if again, err := g.applier().Pass(t.Context(), g.c); err != nil || len(again.Steps) != 0 || !again.Converged() {
		t.Errorf("a second pass does %s, %v", statuses(again), err)
	}
}

func TestApplyTellsWhatHappens(t *testing.T) {
	t.Parallel()
	g := newStage(t, twoDirectives)
	report := g.apply(t.Context())
	if got := g.heard(); got != "start done start done" {
		t.Errorf("heard %s", got)
	}
	first := g.events[0]
	if first.Index != 1 || first.Total != 2 || first.Cluster != "cache" || first.Step.Action.Subject() != "r2" {
		t.Errorf("first event is %+v", first)
	}
	if !report.Converged() {
		t.Errorf("%v: %s", report.Err, statuses(report))
	}
}

func TestApplySkipsWhatIsDone(t *testing.T) {
	t.Parallel()
	g := newStage(t, twoDirectives)
	plan := NewPlan(g.c, g.s, nil)
	g.s.Redis["r2"].Config["maxmemory"] = "104857600"
	report := g.applier().Apply(t.Context(), g.c, plan)
	if got := statuses(report); got != "config-set skipped, config-set done" || len(g.done) != 1 || !report.Converged() {
		t.Errorf("%s, performed %v, %v", got, g.done, report.Err)
	}
	if g.heard() != "skipped start done" {
		t.Errorf("heard %s", g.heard())
	}
}

// TestApplyReplansOnNewEpoch: the master moved between plan and apply. The step
// that would have pointed r3 at the old master is never sent.
func TestApplyReplansOnNewEpoch(t *testing.T) {
	t.Parallel()
	g := newStage(t, "r1 master\nr2 replica\nr3 replica of=1.1.1.1:1 link=down\ns1\ns2\ns3\nrecord epoch=1")
	plan := NewPlan(g.c, g.s, nil)
	old := plan.Steps[0].Action.(Replicate).Master
	WaitFailover{Predicted: g.s.Redis["r2"].Addr}.apply(g.s)
	g.s.Redis["r3"].Master, g.s.Redis["r3"].LinkUp = "1.1.1.1:1", false
	report := g.applier().Apply(t.Context(), g.c, plan)
	if report.Replans != 1 || !report.Converged() || !strings.HasPrefix(g.heard(), "replanned") {
		t.Fatalf("%d replans, %v: %s", report.Replans, report.Err, statuses(report))
	}
	if got := g.s.Redis["r3"].Master; got != g.s.Redis["r2"].Addr || got == old {
		t.Errorf("r3 follows %s", got)
	}
}

func TestApplyReplansOnEpochAlone(t *testing.T) {
	t.Parallel()
	g := newStage(t, twoDirectives)
	plan := NewPlan(g.c, g.s, nil)
	for _, r := range g.s.Sentinels {
		r.Epoch = 9
	}
	if report := g.applier().Apply(t.Context(), g.c, plan); report.Replans != 1 || !report.Converged() {
		t.Errorf("%d replans, %v: %s", report.Replans, report.Err, statuses(report))
	}
}

// TestApplyRefusesHeavierPlan: what was approved had no impact; the new plan
// would copy a whole data set, and nobody has seen it.
func TestApplyRefusesHeavierPlan(t *testing.T) {
	t.Parallel()
	g := newStage(t, twoDirectives)
	plan := NewPlan(g.c, g.s, nil)
	for _, r := range g.s.Sentinels {
		r.Epoch = 2
	}
	r3 := g.s.Redis["r3"]
	r3.Role, r3.Master, r3.LinkUp, r3.ReplID, r3.Keys = Master, "", false, "X", 0
	report := g.applier().Apply(t.Context(), g.c, plan)
	if !errors.Is(report.Err, ErrStale) || len(g.done) != 0 {
		t.Fatalf("got %v after %v", report.Err, g.done)
	}
	if got := statuses(report); got != "config-set not started, config-set not started" || report.Remaining == nil {
		t.Errorf("%s, remaining %v", got, report.Remaining)
	}
}

// TestApplyGivesUpOnAMovingDeployment: the master moves during each wait. After
// some new plans the rest is left to the next pass.
func TestApplyGivesUpOnAMovingDeployment(t *testing.T) {
	t.Parallel()
	g := newStage(t, "r1 master\nr2 replica\nr3 replica link=syncing\ns1\ns2\ns3\nrecord epoch=1")
	moves := 0
	g.do = func(a Action) (bool, error) {
		if _, sync := a.(WaitSync); !sync || moves > 3*maxReplans {
			return false, nil
		}
		moves++
		next := g.s.Redis[[]string{"r1", "r2"}[moves%2]]
		WaitFailover{Predicted: next.Addr}.apply(g.s)
		g.s.Redis["r3"].LinkUp, g.s.Redis["r3"].Syncing = false, true
		return true, nil
	}
	report := g.apply(t.Context())
	if !errors.Is(report.Err, ErrStale) || report.Replans != maxReplans+1 {
		t.Errorf("%v after %d replans and %d moves", report.Err, report.Replans, moves)
	}
}

func TestApplyStopsAtFailure(t *testing.T) {
	t.Parallel()
	g := newStage(t, twoDirectives)
	broken := errors.New("broken")
	g.do = func(Action) (bool, error) { return true, broken }
	report := g.apply(t.Context())
	if !errors.Is(report.Err, broken) || report.Error != report.Err.Error() || !strings.Contains(report.Error, "r2 set maxmemory") {
		t.Fatalf("got %v", report.Err)
	}
	if got := statuses(report); got != "config-set failed, config-set not started" || len(g.done) != 1 {
		t.Errorf("%s, performed %v", got, g.done)
	}
	if report.Steps[0].Error != "broken" || report.Remaining == nil || len(report.Remaining.Steps) != 2 || report.Converged() {
		t.Errorf("report is %+v", report)
	}
}

func TestApplySeesThatNothingHappens(t *testing.T) {
	t.Parallel()
	g := newStage(t, twoDirectives)
	g.do = func(Action) (bool, error) { return true, nil }
	report := g.apply(t.Context())
	if !errors.Is(report.Err, ErrNoEffect) || statuses(report) != "config-set failed, config-set not started" {
		t.Fatalf("%v: %s", report.Err, statuses(report))
	}
	if waited := g.clock.Sub(time.Unix(0, 0)); waited < 10*time.Second || waited > 11*time.Second {
		t.Errorf("waited %s", waited)
	}
	if !slices.ContainsFunc(g.events, func(e Event) bool { return e.Type == "waiting" && e.Elapsed >= time.Second }) {
		t.Error("nobody was told about the wait")
	}
}

// TestApplyRefusesUnsafeStep: between plan and step a Sentinel starts to fail
// over. The guard sees it on the live state; the new plan waits first.
func TestApplyRefusesUnsafeStep(t *testing.T) {
	t.Parallel()
	g := newStage(t, twoDirectives)
	plan := NewPlan(g.c, g.s, nil)
	g.s.Sentinels["s1"].Flags = []string{"master", "failover_in_progress"}
	report := g.applier().Apply(t.Context(), g.c, plan)
	if report.Replans != 1 || len(g.done) == 0 || g.done[0] != "sentinels wait-failover" || !report.Converged() {
		t.Errorf("%d replans, performed %v, %v", report.Replans, g.done, report.Err)
	}
}

func TestApplyUnobservable(t *testing.T) {
	t.Parallel()
	blind := errors.New("no password")
	g := newStage(t, twoDirectives)
	g.look = func(int) error { return blind }
	report := g.apply(t.Context())
	if !errors.Is(report.Err, blind) || report.Remaining != nil || len(g.done) != 0 || report.Converged() {
		t.Errorf("%v: %s", report.Err, statuses(report))
	}
	if report.Count("not started") != 2 {
		t.Errorf("steps are %s", statuses(report))
	}
	if _, err := g.applier().Pass(t.Context(), g.c); !errors.Is(err, blind) {
		t.Errorf("Pass says %v", err)
	}
}

// TestApplyInterrupted: the context ends while the first step is performed. That
// step is not torn apart, the second one is not begun.
func TestApplyInterrupted(t *testing.T) {
	t.Parallel()
	g := newStage(t, twoDirectives)
	ctx, cancel := context.WithCancel(t.Context())
	g.do = func(Action) (bool, error) { cancel(); return false, nil }
	report := g.apply(ctx)
	if !errors.Is(report.Err, context.Canceled) || len(g.done) != 1 || report.Count("not started") != 1 {
		t.Fatalf("%v: %s", report.Err, statuses(report))
	}
	if report.Remaining == nil || len(report.Remaining.Steps) != 1 {
		t.Errorf("remaining is %v, want the one step that was not started", report.Remaining)
	}
}

// TestWaitGossipTimesOutSoftly: hello does not reach s1. That is no failure: the
// step behind it registers it by force.
func TestWaitGossipTimesOutSoftly(t *testing.T) {
	t.Parallel()
	g := newStage(t, "r1 replica of=r2\nr2 master\nr3 replica of=r2\ns1 monitors=r1 epoch=1\n"+
		"s2 monitors=r2 epoch=2\ns3 monitors=r2 epoch=2\nrecord master=r2 epoch=2")
	g.do = func(a Action) (bool, error) { _, gossip := a.(WaitGossip); return gossip, nil }
	report := g.apply(t.Context())
	if report.Err != nil || !strings.HasPrefix(statuses(report), "wait-gossip skipped, monitor done") || !report.Converged() {
		t.Errorf("%v: %s", report.Err, statuses(report))
	}
}

func TestWaitGossipMakesForceNeedless(t *testing.T) {
	t.Parallel()
	g := newStage(t, "r1 replica of=r2\nr2 master\nr3 replica of=r2\ns1 monitors=r1 epoch=1\n"+
		"s2 monitors=r2 epoch=2\ns3 monitors=r2 epoch=2\nrecord master=r2 epoch=2")
	if report := g.apply(t.Context()); !strings.HasPrefix(statuses(report), "wait-gossip done, monitor skipped") || !report.Converged() {
		t.Errorf("%v: %s", report.Err, statuses(report))
	}
}

// TestMovedDuringWaitSync: the master dies while a replica syncs from it. The
// wait ends at once and a new plan follows the new master.
func TestMovedDuringWaitSync(t *testing.T) {
	t.Parallel()
	g := newStage(t, "r1 master\nr2 replica\nr3 replica link=syncing\ns1\ns2\ns3\nrecord epoch=1")
	waits := 0
	g.do = func(a Action) (bool, error) {
		if _, sync := a.(WaitSync); !sync {
			return false, nil
		}
		if waits++; waits == 1 {
			WaitFailover{Predicted: g.s.Redis["r2"].Addr}.apply(g.s)
			return true, nil
		}
		return false, nil
	}
	report := g.apply(t.Context())
	if report.Replans != 1 || report.Err != nil || !report.Converged() {
		t.Errorf("%d replans, %v: %s", report.Replans, report.Err, statuses(report))
	}
	if !g.clock.Before(time.Unix(5, 0)) {
		t.Errorf("it went on waiting until %s", g.clock)
	}
}

// TestConverge waits for what passes by itself, and only for that.
func TestConverge(t *testing.T) {
	t.Parallel()
	g := newStage(t, "r1 master loading\nr2 replica\nr3 replica\ns1\ns2\ns3\nrecord epoch=1")
	g.look = func(n int) error {
		g.s.Redis["r1"].Loading = n < 5
		return nil
	}
	report, err := g.applier().Converge(t.Context(), g.c)
	if err != nil || !report.Converged() || g.looks != 5 || report.Duration != 4*Pause {
		t.Errorf("%v after %d looks in %s, remaining %v", err, g.looks, report.Duration, report.Remaining)
	}
}

func TestConvergeEndsWithWhatIsHeld(t *testing.T) {
	t.Parallel()
	g := newStage(t, "r1 master\nr2 replica\nr3 master replid=X\ns1 knows=r2\ns2 knows=r2\ns3 knows=r2\nrecord epoch=1")
	report, err := g.applier().Converge(t.Context(), g.c)
	if err != nil || report.Converged() || g.looks != 1 || len(report.Remaining.Held) != 1 {
		t.Errorf("%v after %d looks, remaining %v", err, g.looks, report.Remaining)
	}
}

func TestConvergeEndsWithTheContext(t *testing.T) {
	t.Parallel()
	g := newStage(t, "r1 master loading\nr2 replica\nr3 replica\ns1\ns2\ns3\nrecord epoch=1")
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	g.look = func(n int) error {
		if n == 3 {
			cancel()
		}
		return nil
	}
	report, err := g.applier().Converge(ctx, g.c)
	if err != nil || !errors.Is(report.Err, context.Canceled) || g.looks != 3 {
		t.Errorf("%v, %v after %d looks", err, report.Err, g.looks)
	}
}

func TestApplyAsksBeforeEachStep(t *testing.T) {
	t.Parallel()
	g := newStage(t, twoDirectives)
	lost := errors.New("the lease is lost")
	a := g.applier()
	asked := 0
	a.Permit = func(_ context.Context, c *schema.Cluster, step Step) error {
		if c != g.c || step.Action == nil {
			t.Errorf("asked about %v of %v", step, c)
		}
		if asked++; asked > 1 {
			return lost
		}
		return nil
	}
	plan := NewPlan(g.c, g.s.Clone(), nil)
	report := a.Apply(t.Context(), g.c, plan)
	if !errors.Is(report.Err, lost) || len(g.done) != 1 {
		t.Errorf("after %q it ends with %v", g.done, report.Err)
	}
	if report.Count("done") != 1 || report.Count("failed") != 0 || report.Count("not started") != len(plan.Steps)-1 {
		t.Errorf("report %+v", report.Steps)
	}
}

// One look that a server does not answer in time is no reason to give up; a server
// that hangs is.
func TestConvergeLooksAgainAtTheSilent(t *testing.T) {
	t.Parallel()
	for misses, want := range map[int]bool{silentLooks - 1: true, 1000: false} {
		g := newStage(t, "r1 master\nr2 unknown why=\"no answer in 3s\"\nr3 replica\ns1\ns2\ns3\nrecord epoch=1")
		fine, err := parseState(g.c, "r1 master\nr2 replica\nr3 replica\ns1\ns2\ns3\nrecord epoch=1")
		if err != nil {
			t.Fatal(err)
		}
		g.look = func(n int) error {
			if n > misses {
				g.s = fine
			}
			return nil
		}
		report, err := g.applier().Converge(t.Context(), g.c)
		if err != nil || report.Converged() != want || g.looks > silentLooks {
			t.Errorf("after %d misses: %v, converged %v, %d looks, held %+v", misses, err, report.Converged(), g.looks, report.Remaining.Held)
		}
	}
}

// TestRolesStandAlone: a role of rsm that does not start is told, and keeps nothing
// else from being done; a server that does not start ends the apply.
func TestRolesStandAlone(t *testing.T) {
	t.Parallel()
	refuse := errors.New("port taken")
	c := withRoles(testCluster(2, 3))
	g := &stage{c: c, s: absent(c), clock: time.Unix(0, 0)}
	g.do = func(a Action) (bool, error) {
		if a.Subject() == "d1" {
			return true, refuse
		}
		return false, nil
	}
	report := g.apply(t.Context())
	if !errors.Is(report.Err, refuse) || report.Count("failed") != 1 || report.Count("not started") != 0 {
		t.Errorf("got %v, %d failed, %d not started", report.Err, report.Count("failed"), report.Count("not started"))
	}
	if g.s.Roles["w1"].Reach != Up || g.s.Record == nil {
		t.Errorf("the worker is %s, the registration %v", g.s.Roles["w1"].Reach, g.s.Record)
	}
	if report.Remaining == nil || texts(report.Remaining.Steps) != "d1 start dispatcher on 127.0.0.1" {
		t.Errorf("remaining: %v", report.Remaining)
	}

	g.s, g.do = absent(c), func(a Action) (bool, error) { return a.Subject() == "s2", refuse }
	if report := g.apply(t.Context()); report.Count("not started") == 0 || g.s.Roles["w1"].Reach == Up {
		t.Errorf("without a Sentinel it went on: %v", report.Err)
	}
}
