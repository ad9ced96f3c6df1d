package reconcile

import (
	"strings"
	"testing"
)

func TestSummary(t *testing.T) {
	t.Parallel()
	steps := func(actions ...Action) []Step {
		var list []Step
		for _, action := range actions {
			list = append(list, Step{Action: action})
		}
		return list
	}
	for _, tt := range []struct {
		plan Plan
		want string
	}{
		{Plan{}, "Plan: no changes. The deployment is what the spec says."},
		{Plan{Steps: steps(StartRole{}, StartRole{}, ConfigSet{}, StopRole{Risk: ImpactFailover})},
			"Plan: 2 to start, 1 to change, 1 to stop. Impact: failover."},
		{Plan{Steps: steps(WaitSync{}, WaitKnown{}, WaitGossip{}, WaitFailover{})},
			"Plan: 0 to start, 0 to change, 0 to stop, 4 to wait for. Impact: none."},
		{Plan{Steps: steps(Replicate{Risk: ImpactDataLoss}, Promote{}), Held: []Held{{}, {}}},
			"Plan: 0 to start, 2 to change, 0 to stop, 2 held. Impact: data loss."},
		{Plan{Invalid: []Invalid{{}}}, "Plan: 0 to start, 0 to change, 0 to stop, 1 invalid. Impact: none."},
	} {
		if got := Summary(&tt.plan); got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
}

func TestPrinterPaintsAndOrders(t *testing.T) {
	t.Parallel()
	plan := &Plan{
		Cluster: "cache", Leader: "master r1 127.0.0.1:7001, epoch 3",
		Invalid: []Invalid{{Path: "clusters.cache.redis", Message: "refused"}},
		Held:    []Held{{Subject: "r1", Reason: "why", Flag: "--allow prune"}, {Subject: "r2", Reason: "soon", Wait: true}},
		Steps: []Step{
			{Phase: PhaseStart, Action: StartRole{Role: RoleRef{Name: "r3", Kind: KindRedis, Addr: "a:1"}}},
			{Phase: PhaseConfig, Action: ConfigSet{Node: "r1", Addr: "a:2", Key: "save", Value: ""}},
			{Phase: PhasePrune, Action: StopRole{Role: RoleRef{Name: "r4"}, Risk: ImpactRestart}},
		},
	}
	print := func(p Printer) string {
		var text strings.Builder
		p.W = &text
		p.Plan(plan)
		return text.String()
	}
	plain := print(Printer{})
	at := -1
	for _, want := range []string{"cache  master r1 127.0.0.1:7001, epoch 3", "! invalid clusters.cache.redis", "! held r1: why",
		"release it with --allow prune", "! waiting r2: soon", "start:", "+ r3:", "config:", "~ r1:", "prune:", "- r4:", "Plan: 1 to start"} {
		next := strings.Index(plain, want)
		if next <= at {
			t.Errorf("%q is missing or too early in\n%s", want, plain)
		}
		at = next
	}
	if strings.Contains(plain, "CONFIG SET") || !strings.Contains(print(Printer{Verbose: true}), `a:2> CONFIG SET save ""`) {
		t.Error("commands belong to the verbose text, and only there")
	}
	painted := print(Printer{Paint: func(s Style, text string) string { return "<" + string(rune('0'+int(s))) + text + ">" }})
	for _, want := range []string{"<1+>", "<2~>", "<3->", "<5! held>", "<5! waiting>", "<5! invalid>"} {
		if !strings.Contains(painted, want) {
			t.Errorf("%q is missing in\n%s", want, painted)
		}
	}
}
