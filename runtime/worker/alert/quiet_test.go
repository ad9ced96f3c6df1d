package alert_test

import (
	"testing"
	"time"

	"rsm/runtime/worker/alert"
	"rsm/schema"
)

// TestQuiet: a person sees the text of an alert and why nobody is told of it.
func TestQuiet(t *testing.T) {
	t.Parallel()
	rules, err := alert.Compile([]schema.Rule{
		{Name: "hot", Type: "monitoring", Expr: "cpu_usage > 90", By: []string{"host"}, Summary: "{{.Labels.host}} is hot",
			InhibitedBy: []schema.Inhibition{{Rule: "down", Equal: []string{"host"}}}},
		{Name: "down", Type: "monitoring", Expr: "up == 0", By: []string{"host"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	now := epoch
	raised := func(rule string, e alert.Event) alert.Alert {
		for _, v := range rules.Verdicts(e) {
			if v.Rule == rule {
				if a, _ := rules.Advance(nil, v, e, now); a != nil {
					return *a
				}
			}
		}
		t.Fatalf("%s does not fire", rule)
		return alert.Alert{}
	}
	fields := map[string]any{"host": "web1", "cpu_usage": 97.0, "up": 0.0}
	e := alert.Event{Type: "monitoring", Host: "web1", TS: now, Fields: fields, Raw: []byte(`{"host":"web1"}`)}
	hot, down := raised("hot", e), raised("down", e)
	if got := rules.Summary(hot); got != "web1 is hot" {
		t.Errorf("the summary is %q", got)
	}
	silence := alert.Silence{Creator: "ann", Reason: "new disks", Starts: now, Ends: now.Add(time.Hour), Matchers: []alert.Matcher{{Label: "host", Op: "=", Value: "web1"}}}
	for want, env := range map[string]alert.Env{
		"":                          {Now: now, Firing: []alert.Alert{hot}},
		"inhibited by down":         {Now: now, Firing: []alert.Alert{hot, down}},
		"silence of ann: new disks": {Now: now, Firing: []alert.Alert{hot, down}, Silences: []alert.Silence{silence}},
	} {
		if got := rules.Quiet(hot, env); got != want {
			t.Errorf("it is quiet by %q, want %q", got, want)
		}
	}
	gone := hot
	gone.Rule = "gone"
	if s, q := rules.Summary(gone), rules.Quiet(gone, alert.Env{Now: now}); s+q != "" {
		t.Errorf("of a rule that is gone: %q %q", s, q)
	}
}
