package reconcile

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"rsm/schema"
)

var (
	cases = flag.Int("cases", 12000, "random cases of the property tests")
	seed  = flag.Uint64("seed", 0, "replay one case of a property test")
)

// TestPlansOfRandomStates plans for thousands of random specs, states and faults
// and runs every plan to its end on the model: no invariant may break on the way,
// the end has no step left, and what differs then is held with a reason.
func TestPlansOfRandomStates(t *testing.T) {
	t.Parallel()
	for _, n := range caseSeeds() {
		w := newWorld(n)
		plan := NewPlan(w.c, w.s, w.allow)
		if n%4 == 0 {
			w.proxiesDoNotCount(plan)
		}
		for _, step := range plan.Steps {
			w.perform(step.Action)
		}
		if rest := NewPlan(w.c, w.s, w.allow); len(rest.Steps) > 0 {
			w.failf("the end of the plan is not its end: %s", texts(rest.Steps))
		} else {
			w.unexplained(rest)
		}
		w.report(t, n)
	}
}

// TestAppliesUnderFaults runs the real Applier against the model while more
// faults strike between any two observations.
func TestAppliesUnderFaults(t *testing.T) {
	t.Parallel()
	list := caseSeeds()
	for _, n := range list[:max(1, len(list)/4)] {
		w := newWorld(n)
		w.strikes = w.r.IntN(4)
		applier := &Applier{Observer: w, Executor: w, Allow: w.allow, Now: w.now, Sleep: w.sleep}
		ctx, cancel := context.WithCancel(context.Background())
		w.cancel = cancel
		if _, err := applier.Converge(ctx, w.c); err != nil {
			w.failf("converge: %v", err)
		}
		cancel()
		w.report(t, n)
	}
}

func caseSeeds() []uint64 {
	if *seed != 0 {
		return []uint64{*seed}
	}
	list := make([]uint64, *cases)
	for i := range list {
		list[i] = uint64(i + 1)
	}
	return list
}

// world is a cluster on the model: an Observer, an Executor and a clock in one,
// which checks the invariants at every action.
type world struct {
	c       *schema.Cluster
	s       *State
	r       *rand.Rand
	allow   Allow
	wish    *Wish // a person asks for another master
	story   []string
	failed  []string
	strikes int // faults still to come
	clock   time.Time
	naps    int
	cancel  func()
}

func newWorld(n uint64) *world {
	r := rand.New(rand.NewPCG(n, 42))
	w := &world{c: withProxies(testCluster(1+r.IntN(4), 1+r.IntN(5)), r.IntN(3)), r: r, allow: Allow{}, clock: time.Unix(0, 0)}
	if r.IntN(3) == 0 {
		withRoles(w.c)
	}
	w.s = absent(w.c)
	if r.IntN(5) > 0 {
		w.s = healthy(w.c)
	}
	for range r.IntN(5) {
		w.strike()
	}
	for _, kind := range []string{AllowPrune, AllowClients} {
		if r.IntN(3) == 0 {
			w.allow[kind] = []string{""}
		}
	}
	for _, kind := range []string{AllowPromote, AllowDataLoss} {
		if r.IntN(6) == 0 {
			w.allow[kind] = []string{fmt.Sprint("r", 1+r.IntN(3))}
		}
	}
	return w
}

// plan is what rsm would do next.
func (w *world) plan() *Plan {
	if w.wish != nil {
		return NewHandover(w.c, w.s, *w.wish)
	}
	return NewPlan(w.c, w.s, w.allow)
}

func (w *world) strike() {
	fault := faults[w.r.IntN(len(faults))]
	fault.hurt(w.r, w.c, w.s)
	w.story = append(w.story, "FAULT "+fault.name)
}

func (w *world) now() time.Time { return w.clock }

// sleep lets time pass, much more than was asked for; the world ends after some
// naps.
func (w *world) sleep(ctx context.Context, d time.Duration) error {
	w.clock = w.clock.Add(20 * d)
	if w.naps++; w.naps > 30 {
		w.cancel()
	}
	return ctx.Err()
}

func (w *world) Observe(context.Context, *schema.Cluster) (*State, error) {
	if w.strikes > 0 && w.r.IntN(4) == 0 {
		w.strikes--
		w.strike()
	}
	return w.s.Clone(), nil
}

func (w *world) Do(_ context.Context, action Action) error {
	w.perform(action)
	return nil
}

// perform checks the invariants around one action on the true state.
func (w *world) perform(action Action) {
	w.story = append(w.story, action.Subject()+" "+action.String())
	before := w.s.Clone()
	action.apply(w.s)
	w.oneMaster(before, action)
	w.mastersStay(before, action)
	w.majorityStays(before, action)
	w.dataStays(before, action)
	w.unknownUntouched(before, action)
	w.nothingUnasked(before, action)
	w.handedOver(before, action)
}

// elects reports whether an action lets Sentinel choose another master.
func elects(action Action) bool {
	switch action.(type) {
	case WaitFailover, Handover:
		return true
	}
	return false
}

// oneMaster: no action of rsm makes a second master, none makes one that Sentinel
// did not elect while the elected one lives, none makes an empty one while data
// exists.
func (w *world) oneMaster(before *State, action Action) {
	for name, r := range w.s.Redis {
		was := before.Redis[name]
		if elects(action) || r.Role != Master || r.Role == was.Role && r.Reach == was.Reach {
			continue
		}
		for other, o := range before.Redis {
			if other == name {
				continue
			}
			if o.Reach == Up && o.Role == Master && (o.Keys > 0 || o.Loading || len(o.Replicas) > 0) {
				w.failf("%s became master beside %s", name, other)
			}
			if o.Reach == Unknown && !w.allow.Has(AllowPromote, name) {
				w.failf("%s became master while nobody knows what %s is", name, other)
			}
			if was.Keys == 0 && was.Process.Data != Yes && (o.Keys > 0 || o.Loading || o.Reach == Unknown || o.Reach == Down && o.Process.Data == Yes) {
				w.failf("%s became an empty master while %s may have data", name, other)
			}
		}
		if named, ok := before.Named(); ok && named.Addr != r.Addr {
			if elected := before.At(named.Addr); elected == nil || elected.Reach != Down {
				w.failf("%s became master while Sentinel elected %s", name, named.Addr)
			}
		}
	}
}

// mastersStay: the elected master is never demoted or stopped, but for one that
// came back empty.
func (w *world) mastersStay(before *State, action Action) {
	elected := before.Authority()
	if elected == nil || elects(action) {
		return
	}
	after := w.s.Redis[elected.Name]
	if after.Reach == Up && after.Role == Master {
		return
	}
	if _, stop := action.(StopRole); stop && elected.Keys == 0 && before.reborn(elected) != nil {
		return
	}
	w.failf("the elected master %s was taken away", elected.Name)
}

// majorityStays: Sentinels that were a majority stay one, and keep naming the
// master that they elected while it lives.
func (w *world) majorityStays(before *State, action Action) {
	up := func(s *State) int { return s.countSentinels(func(r *SentinelState) bool { return r.Reach == Up }) }
	if up(before) >= before.Majority() && up(w.s) < w.s.Majority() {
		w.failf("the Sentinels lost their majority")
	}
	if authority := before.Authority(); authority != nil {
		if named, ok := w.s.Named(); ok && named.Addr != authority.Addr && !elects(action) {
			w.failf("the Sentinels were turned from %s to %s", authority.Addr, named.Addr)
		}
	}
}

// dataStays: a live data set that its new master does not have goes only with
// the flag for that node, and after a copy.
func (w *world) dataStays(before *State, action Action) {
	replicate, ok := action.(Replicate)
	if !ok {
		return
	}
	was, master := before.Redis[replicate.Node], before.At(replicate.Master)
	if master == nil {
		w.failf("%s follows nobody", replicate.Node)
		return
	}
	contained := was.Keys == 0 && !was.Loading || was.Role == Replica && was.LinkUp ||
		was.ReplID == master.ReplID && was.Offset <= master.Offset ||
		was.ReplID == master.ReplID2 && was.Offset < master.SecondOffset ||
		was.ReplID2 == master.ReplID && was.Offset < was.SecondOffset && was.Offset <= master.Offset
	if !contained && (!was.Copied || !w.allow.Has(AllowDataLoss, was.Name)) {
		w.failf("%s lost %d keys of %s", was.Name, was.Keys, was.ReplID)
	}
}

// unknownUntouched: what cannot be reached is never acted upon.
func (w *world) unknownUntouched(before *State, action Action) {
	switch action.(type) {
	case WaitFailover, WaitSync, WaitKnown, WaitGossip:
		return
	}
	r, x := before.Redis[action.Subject()], before.Sentinels[action.Subject()]
	if r != nil && r.Reach == Unknown || x != nil && x.Reach == Unknown {
		w.failf("%s was acted upon though it is unknown", action.Subject())
	}
}

// nothingUnasked: nothing is stopped, reset or forced without its flag, but for a
// master that came back empty.
func (w *world) nothingUnasked(before *State, action Action) {
	switch a := action.(type) {
	case StopRole:
		if r := before.Redis[a.Role.Name]; !w.allow.Has(AllowPrune, "") && (r == nil || before.reborn(r) == nil) {
			w.failf("%s was stopped unasked", a.Role.Name)
		}
	case ResetSentinel:
		if !w.allow.Has(AllowPrune, "") {
			w.failf("%s was reset unasked", a.Sentinel)
		}
	case ConfigSet:
		if r := before.Redis[a.Node]; a.Key == "replica-read-only" && r.Role == Replica && r.Clients > 0 && !w.allow.Has(AllowClients, "") {
			w.failf("%s was taken from its clients unasked", a.Node)
		}
		if r := before.Redis[a.Node]; a.Key == "maxmemory" && r.evicts(a.Value) && !w.allow.Has(AllowDataLoss, a.Node) {
			w.failf("%s was made to evict keys unasked", a.Node)
		}
	}
}

// proxiesDoNotCount: without the proxies, the same is done to the servers.
func (w *world) proxiesDoNotCount(plan *Plan) {
	bare, alone := *w.c, w.s.Clone()
	bare.Proxies, bare.Agents, bare.Dispatchers, bare.Workers, bare.Operations, alone.Roles, alone.Published = nil, nil, nil, nil, schema.Operations{}, nil, nil
	servers := slices.DeleteFunc(slices.Clone(plan.Steps), func(s Step) bool {
		return s.Phase == PhaseProxy || s.Phase == PhaseRole || s.Phase == PhaseOperation
	})
	if want := texts(NewPlan(&bare, alone, w.allow).Steps); texts(servers) != want {
		w.failf("with proxies: %s\nwithout: %s", texts(servers), want)
	}
}

// unexplained: whatever differs at the end is held, or hangs on something held.
func (w *world) unexplained(rest *Plan) {
	if len(rest.Drift) > 0 && len(rest.Held) == 0 {
		w.failf("drift remains and nothing is held: %v", rest.Drift)
	}
}

func (w *world) failf(format string, args ...any) {
	w.failed = append(w.failed, fmt.Sprintf(format, args...))
}

func (w *world) report(t *testing.T, n uint64) {
	t.Helper()
	if len(w.failed) > 0 {
		t.Fatalf("replay with -seed %d; allowed %v\n%s\n%s", n, w.allow, strings.Join(w.story, "\n"), strings.Join(w.failed, "\n"))
	}
}

func texts(steps []Step) string {
	var list []string
	for _, step := range steps {
		list = append(list, step.Action.Subject()+" "+step.Action.String())
	}
	return strings.Join(list, "; ")
}
