package reconcile

import (
	"slices"
	"testing"
)

// TestDroppedDirective: a directive that leaves the spec goes back to its default
// on every node that can be reached, and is remembered for the others.
func TestDroppedDirective(t *testing.T) {
	t.Parallel()
	c, s := goldenSpec(t, ""), usual(t, "r1 master\nr2 replica\nr3 down data=yes\ns1\ns2\ns3\nrecord epoch=1")
	for name, r := range s.Redis {
		s.Record.Managed[name] = []string{"maxmemory", "timeout"}
		r.Process.Local = name != "r3" // it stays down
	}
	s.Redis["r1"].Config["timeout"], s.Redis["r1"].Defaults = "30", map[string]string{"timeout": "0"}
	s.Redis["r2"].Config["timeout"], s.Redis["r2"].Defaults = "0", map[string]string{"timeout": "0"}
	plan := NewPlan(c, s, nil)
	var sets []string
	var published *Registration
	for _, step := range plan.Steps {
		switch a := step.Action.(type) {
		case ConfigSet:
			sets = append(sets, a.Node+" "+a.Key+" "+a.Value)
		case Publish:
			published = &a.Registration
		}
	}
	if !slices.Equal(sets, []string{"r1 timeout 0"}) {
		t.Errorf("sets %v", sets)
	}
	if published == nil {
		t.Fatalf("nothing is published: %s", texts(plan.Steps))
	}
	for name, want := range map[string][]string{"r1": {"maxmemory"}, "r2": {"maxmemory"}, "r3": {"maxmemory", "timeout"}} {
		if got := published.Managed[name]; !slices.Equal(got, want) {
			t.Errorf("%s: managed %v, want %v", name, got, want)
		}
	}
}
