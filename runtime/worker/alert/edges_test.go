package alert_test

import (
	"testing"
	"time"

	"rsm/runtime/worker/alert"
)

// host is an event of host a.
func host(id string, at time.Time, cpu float64) alert.Event {
	return alert.Event{ID: id, Type: "monitoring", TS: at, Fields: map[string]any{"host": "a", "cpu": cpu}}
}

// advance judges an event by the only rule.
func advance(t *testing.T, rules *alert.Rules, old *alert.Alert, e alert.Event) *alert.Alert {
	t.Helper()
	next, _ := rules.Advance(old, rules.Verdicts(e)[0], e, e.TS)
	return next
}

// TestBeginsAgain: an alert that holds again before its end was told is pending,
// and remembers when it ended; it is so again when it does not come to fire.
func TestBeginsAgain(t *testing.T) {
	t.Parallel()
	rules := compile(t, `rule cpu expr="cpu > 90" for=1m`)
	a := advance(t, rules, nil, host("1", epoch, 95))
	a = advance(t, rules, a, host("2", epoch.Add(time.Minute), 95))
	a = advance(t, rules, a, host("3", epoch.Add(2*time.Minute), 10))
	fired, ended := a.Fired, a.Ended
	if a.Status != alert.Resolved || !fired.Equal(epoch.Add(time.Minute)) || !ended.Equal(epoch.Add(2*time.Minute)) {
		t.Fatalf("ended: %+v", a)
	}
	a = advance(t, rules, a, host("4", epoch.Add(3*time.Minute), 95))
	if a.Status != alert.Pending || !a.Fired.Equal(fired) || !a.Ended.Equal(ended) || a.Version != 4 {
		t.Errorf("pending again: %+v", a)
	}
	a = advance(t, rules, a, host("5", epoch.Add(3*time.Minute+time.Second), 10))
	if a == nil || a.Status != alert.Resolved || !a.Ended.Equal(ended) || !a.Wake.IsZero() {
		t.Errorf("came to nothing: %+v", a)
	}
}

// TestDueLate: who looks late finds what would have come first.
func TestDueLate(t *testing.T) {
	t.Parallel()
	rules := compile(t, `rule cpu expr="cpu > 90" for=1m stale=5m`)
	a := advance(t, rules, nil, host("1", epoch, 95))
	late := epoch.Add(time.Hour)
	fires, _ := rules.Due(*a, late)
	if fires.Status != alert.Firing || !fires.Fired.Equal(epoch.Add(time.Minute)) {
		t.Fatalf("after for: %+v", fires)
	}
	ends, _ := rules.Due(*fires, late)
	if ends.Status != alert.Resolved || ends.EndReason != "stale" || !ends.Ended.Equal(epoch.Add(5*time.Minute)) {
		t.Errorf("after stale: %+v", ends)
	}
	if again, changed := rules.Due(*ends, late); changed || again.Version != ends.Version {
		t.Errorf("and then: %+v", again)
	}
}

// TestOldIdentity: an alert of a rule that is another now is not told by the new
// one.
func TestOldIdentity(t *testing.T) {
	t.Parallel()
	before, after := compile(t, `rule cpu expr="cpu > 90"`), compile(t, `rule cpu expr="cpu > 90" label=team:db`)
	a := advance(t, before, nil, host("1", epoch, 95))
	out := after.Notify(alert.Group{Key: a.Group}, []alert.Alert{*a}, alert.Env{Now: epoch})
	if len(out.Notifications) > 0 || out.Wake.IsZero() {
		t.Errorf("%+v", out)
	}
	next := advance(t, after, a, host("2", epoch.Add(time.Second), 95))
	if next.Status != alert.Resolved || next.EndReason != "rule changed" {
		t.Errorf("the next event: %+v", next)
	}
	if next = advance(t, after, next, host("3", epoch.Add(2*time.Second), 95)); next.Status != alert.Firing || next.Labels["team"] != "db" {
		t.Errorf("and the one after it: %+v", next)
	}
}

// TestSilenceWake: the end of a silence is when to look again, to the second.
func TestSilenceWake(t *testing.T) {
	t.Parallel()
	rules := compile(t, `rule cpu expr="cpu > 90"`)
	a := advance(t, rules, nil, host("1", epoch, 95))
	s := alert.Silence{ID: "s", Starts: epoch, Ends: epoch.Add(time.Hour + 3*time.Second), Matchers: []alert.Matcher{{Label: "host", Op: "=", Value: "a"}}}
	out := rules.Notify(alert.Group{Key: a.Group}, []alert.Alert{*a}, alert.Env{Now: s.Ends.Add(-3 * time.Second), Silences: []alert.Silence{s}})
	if !out.Wake.Equal(s.Ends) {
		t.Errorf("wake at %v, the silence ends at %v", out.Wake, s.Ends)
	}
}

// TestSameInstant: what begins, ends and begins within one instant, as from a
// program that sends no time, is told each time.
func TestSameInstant(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.command(split(`rule cpu expr="cpu > 90"`))
	for _, cpu := range []string{"cpu=95", "cpu=10", "cpu=96"} {
		w.command([]string{"event", "host=a", cpu})
	}
	if len(w.sent) != 3 || w.sent[0].ID == w.sent[2].ID || w.sent[1].Status != alert.Resolved {
		t.Errorf("%v", w.sent)
	}
}

// TestBudgetOrder: what is held back leaves before what comes after it.
func TestBudgetOrder(t *testing.T) {
	t.Parallel()
	n := func(id string, status alert.Status) alert.Notification {
		return alert.Notification{ID: id, Status: status, Alerts: []alert.Item{{Fingerprint: "a", Status: status}}}
	}
	b := &alert.Budget{}
	b, _ = b.Pass(1, []alert.Notification{n("1", alert.Firing), n("2", alert.Resolved)}, epoch)
	_, sent := b.Pass(1, []alert.Notification{n("3", alert.Firing)}, epoch.Add(time.Hour))
	if len(sent) != 1 || sent[0].Reason != alert.Summary || len(sent[0].Alerts) != 1 || sent[0].Status != alert.Firing {
		t.Errorf("%+v", sent)
	}
}
