package reconcile

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"rsm/schema"
)

// TestFitOfJSON: a state that went through JSON plans as the state itself does.
func TestFitOfJSON(t *testing.T) {
	t.Parallel()
	list := caseSeeds()
	for _, n := range list[:max(1, len(list)/8)] {
		w := newWorld(n)
		for _, node := range w.c.Redis.Nodes { // a server that is asked tells every setting
			r := w.s.Redis[node.Name]
			r.Config = maps.Clone(r.Config)
			if r.Config == nil {
				r.Config = map[string]string{}
			}
			for key := range node.Config {
				if _, known := r.Config[key]; !known && r.Reach == Up {
					r.Config[key] = ""
				}
			}
		}
		text, err := json.Marshal(w.s)
		if err != nil {
			t.Fatal(err)
		}
		var back State
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatal(err)
		}
		want, got := NewPlan(w.c, w.s, w.allow), NewPlan(w.c, Fit(w.c, &back), w.allow)
		if planText(t, want) != planText(t, got) {
			t.Fatalf("seed %d: got\n%s\nwant\n%s", n, planText(t, got), planText(t, want))
		}
	}
}

func planText(t *testing.T, plan *Plan) string {
	t.Helper()
	text, err := json.MarshalIndent(plan, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestFitOfOthers: the state of another spec leads to a plan, whatever it has
// and lacks, and is not changed.
func TestFitOfOthers(t *testing.T) {
	t.Parallel()
	list := caseSeeds()
	for _, n := range list[:max(1, len(list)/8)] {
		w := newWorld(n)
		before, _ := json.Marshal(w.s)
		for _, c := range []*schema.Cluster{testCluster(2, 3), withProxies(testCluster(5, 5), 3), withProxies(testCluster(1, 1), 1)} {
			c.Redis.Nodes[0].Addr = "127.0.0.1:6001"
			c.Sentinel.Nodes[0].Addr = "127.0.0.1:6002"
			c.Redis.Nodes[0].Config["timeout"] = "30"
			NewPlan(c, Fit(c, w.s), nil)
		}
		if after, _ := json.Marshal(w.s); string(after) != string(before) {
			t.Fatalf("seed %d: the state was changed", n)
		}
	}
}

// TestFit: what is new, moved, gone, and asked for the first time.
func TestFit(t *testing.T) {
	t.Parallel()
	c := withProxies(testCluster(3, 3), 1)
	seen := healthy(c)
	seen.Redis["r2"].Process.Running = true
	next := withProxies(testCluster(4, 3), 2)
	next.Redis.Nodes[0].Config["timeout"] = "30"
	next.Redis.Nodes[1].Addr = "127.0.0.1:7102" // runs at its old address
	next.Redis.Nodes = append(next.Redis.Nodes[:2], next.Redis.Nodes[3:]...)
	s := Fit(next, seen)
	if got := s.Redis["r1"].Config["timeout"]; got != notSeen {
		t.Errorf("the new setting is %q", got)
	}
	if r := s.Redis["r2"]; r.Reach != Unknown || r.Process.Elsewhere != "127.0.0.1:7002" || r.Addr != "127.0.0.1:7102" {
		t.Errorf("the moved node is %+v", r)
	}
	if r := s.Redis["r4"]; r.Reach != Unknown || r.Why != whyNotSeen {
		t.Errorf("the new node is %+v", r)
	}
	if len(s.Surplus) != 1 || s.Surplus[0].Name != "r3" || s.Redis["r3"] != nil {
		t.Errorf("surplus is %+v", s.Surplus)
	}
	if r := s.Roles["p2"]; r == nil || r.Reach != Unknown {
		t.Errorf("the new proxy is %+v", r)
	}
	if plan := NewPlan(next, s, nil); !strings.Contains(planText(t, plan), "a running role is not moved") {
		t.Errorf("got %s", planText(t, plan))
	}
}
