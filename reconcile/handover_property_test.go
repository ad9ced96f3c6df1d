package reconcile

import (
	"context"
	"fmt"
	"slices"
	"testing"
)

// TestHandoversOfRandomStates asks for another master on random states, and runs
// each plan to its end: it hands over at most once, and only where nothing is lost.
func TestHandoversOfRandomStates(t *testing.T) {
	t.Parallel()
	handed, held := 0, 0
	for _, n := range caseSeeds() {
		w := newWishful(n)
		plan := w.plan()
		for _, step := range plan.Steps {
			w.perform(step.Action)
		}
		if rest := w.plan(); len(rest.Steps) > 0 || len(plan.Held) == 0 && len(rest.Held) > 0 {
			w.failf("the end of the plan is not its end: %s, held %v", texts(rest.Steps), rest.Held)
		}
		held += min(1, len(plan.Held))
		if plan.Impact() == ImpactFailover {
			handed++
		}
		w.report(t, n)
	}
	if *seed == 0 && (handed < *cases/20 || held < *cases/20) {
		t.Errorf("of %d cases %d handed over and %d were held: that shows too little", *cases, handed, held)
	}
}

// TestHandoversUnderFaults does so with the real Applier while more faults strike.
func TestHandoversUnderFaults(t *testing.T) {
	t.Parallel()
	list := caseSeeds()
	for _, n := range list[:max(1, len(list)/4)] {
		w := newWishful(n)
		w.strikes = w.r.IntN(4)
		applier := &Applier{Observer: w, Executor: w, Now: w.now, Sleep: w.sleep}
		ctx, cancel := context.WithCancel(context.Background())
		w.cancel = cancel
		applier.Apply(ctx, w.c, w.plan())
		cancel()
		w.report(t, n)
	}
}

// newWishful is a world in which a person asks for another master, half of the
// time for a certain one.
func newWishful(n uint64) *world {
	w := newWorld(n)
	w.wish = &Wish{}
	if leader := w.s.Authority(); leader != nil {
		w.wish.From = leader.Name
	}
	if w.r.IntN(2) == 0 {
		w.wish.To = fmt.Sprint("r", 1+w.r.IntN(4))
	}
	w.story = append(w.story, fmt.Sprintf("WISH %+v", *w.wish))
	return w
}

// handedOver: an elected master hands over only when asked to, to whom it was asked
// for, while all Sentinels agree, and when whoever may be promoted has its data.
func (w *world) handedOver(before *State, action Action) {
	a, ok := action.(Handover)
	if !ok {
		return
	}
	from, to := before.Authority(), before.Redis[a.To.Name]
	switch {
	case w.wish == nil:
		w.failf("%s handed over unasked", a.From.Name)
		return
	case w.wish.To != "" && (w.wish.To != a.To.Name || !a.Exact), w.wish.To == "" && w.wish.From != a.From.Name:
		w.failf("%s hands over to %s, the wish is %+v", a.From.Name, a.To.Name, *w.wish)
	case from == nil || from.Name != a.From.Name || before.FailoverInProgress() || !before.HasQuorum():
		w.failf("%s hands over, and nobody knows who leads", a.From.Name)
		return
	}
	for name, r := range before.Sentinels {
		if r.Reach == Up && r.Master != from.Addr {
			w.failf("%s hands over, and %s names %s", from.Name, name, r.Master)
		}
	}
	fit := func(r *RedisState) bool {
		return r.Reach == Up && r.Role == Replica && r.Master == from.Addr && r.LinkUp && !r.Loading && !r.Syncing &&
			r.Priority > 0 && from.Offset-r.Offset <= maxBehind
	}
	if !fit(to) {
		w.failf("%s takes over and is not fit", to.Name)
	}
	for name, r := range before.Redis {
		held := slices.ContainsFunc(a.Rivals, func(x Rival) bool { return x.Name == name && x.HeldBack })
		if r != from && r != to && r.Reach == Up && r.Priority > 0 && !held && (!fit(r) || a.Exact && r.Priority <= to.Priority) {
			w.failf("Sentinel could promote %s", name)
		}
		if r.Reach != Up && held {
			w.failf("%s is held back, and does not answer", name)
		}
	}
	if leader := w.s.Authority(); leader == nil || leader.Name != a.To.Name {
		w.failf("%s does not lead after all", a.To.Name)
	}
}
