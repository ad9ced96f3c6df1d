package alert_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"rsm/internal/expr"
	"rsm/runtime/worker/alert"
	"rsm/schema"
)

func TestVerdicts(t *testing.T) {
	t.Parallel()
	rules := compile(t, `rule cpu expr="cpu > 90" clear="cpu < 80"`, `rule mem expr="mem.free < 10" by=host,mem.zone`, `rule other type=other expr="true"`)
	fields := map[string]any{"host": "a", "cpu": 85.0, "mem": map[string]any{"free": 5.0, "zone": 2.0}}
	verdict := func(rule string) alert.Verdict {
		t.Helper()
		for _, v := range rules.Verdicts(alert.Event{Type: "monitoring", Fields: fields}) {
			if v.Rule == rule {
				return v
			}
		}
		t.Fatalf("rule %s does not look", rule)
		return alert.Verdict{}
	}
	if v := verdict("cpu"); v.State != alert.Held || *v.Value != 85 {
		t.Errorf("between what raises and what clears: %+v", v)
	}
	mem := verdict("mem")
	if mem.State != alert.True || *mem.Value != 5 {
		t.Errorf("nested field: %+v", mem)
	}
	fields["mem"] = map[string]any{"free": 50.0, "zone": 3.0}
	if v := verdict("mem"); v.State != alert.Cleared || v.Fingerprint == mem.Fingerprint {
		t.Errorf("another zone, and cleared: %+v after %+v", v, mem)
	}
	fields["cpu"] = 95.0
	before := verdict("cpu").Fingerprint
	delete(fields, "host")
	if v := verdict("cpu"); v.State != alert.True || v.Fingerprint == before {
		t.Errorf("without a host there is an alert all the same, of its own: %+v", v)
	}
	delete(fields, "cpu")
	if v := verdict("cpu"); v.State != alert.Unknown || !errors.Is(v.Err, expr.ErrMissing) || v.Value != nil {
		t.Errorf("without the field: %+v", v)
	}
	if found := rules.Verdicts(alert.Event{Type: "nothing"}); found != nil {
		t.Errorf("rules of another type look: %+v", found)
	}
}

func compile(t testing.TB, lines ...string) *alert.Rules {
	t.Helper()
	var list []schema.Rule
	for _, line := range lines {
		words := split(line)
		list = append(list, ruleOf(t, words[1], words[2:]))
	}
	rules, err := alert.Compile(list)
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

// TestCompileErrors: every error of every rule is told, and the others work. The
// alerts of a rule that does not compile stay.
func TestCompileErrors(t *testing.T) {
	t.Parallel()
	broken := schema.Rule{Name: "broken", Type: "monitoring", Expr: "cpu >", Clear: "1 + 1", Summary: "{{.Labels", Description: "{{nothing}}"}
	good := schema.Rule{Name: "good", Type: "monitoring", Expr: "cpu > 90"}
	rules, err := alert.Compile([]schema.Rule{broken, good})
	for _, want := range []string{"rule broken: expr: ", "clear: ", "summary: ", "description: "} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %q", err, want)
		}
	}
	if v := rules.Verdicts(alert.Event{Type: "monitoring", Fields: map[string]any{"cpu": 95.0}}); len(v) != 1 || v[0].State != alert.True {
		t.Errorf("the good rule says %+v", v)
	}
	a := alert.Alert{Rule: "broken", Identity: "x", Status: alert.Firing}
	if _, changed := rules.Due(a, epoch); changed {
		t.Error("an alert of a rule that does not compile ends")
	}
}

func TestMatchers(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]alert.Matcher{
		"host=web1":   {Label: "host", Op: "=", Value: "web1"},
		"host!=web1":  {Label: "host", Op: "!=", Value: "web1"},
		"host=~web.*": {Label: "host", Op: "=~", Value: "web.*"},
		"host!~web.*": {Label: "host", Op: "!~", Value: "web.*"},
		"query=a=b":   {Label: "query", Op: "=", Value: "a=b"},
		"zone=":       {Label: "zone", Op: "=", Value: ""},
	} {
		if m, err := alert.ParseMatcher(text); err != nil || m != want || m.String() != text {
			t.Errorf("%s is %+v, %v", text, m, err)
		}
	}
	for _, text := range []string{"", "host", "=web1", "host!", "host!web", "host=~(", "host!~["} {
		if m, err := alert.ParseMatcher(text); err == nil {
			t.Errorf("%q is %+v", text, m)
		}
	}
}

func TestSilenceValidate(t *testing.T) {
	t.Parallel()
	whole := func() alert.Silence {
		return alert.Silence{ID: "s", Creator: "someone", Reason: "work", Starts: epoch, Ends: epoch.Add(time.Hour), Matchers: []alert.Matcher{{Label: "host", Op: "=", Value: "a"}}}
	}
	if err := whole().Validate(); err != nil {
		t.Error(err)
	}
	for want, spoil := range map[string]func(*alert.Silence){
		"no creator":       func(s *alert.Silence) { s.Creator = "" },
		"no reason":        func(s *alert.Silence) { s.Reason = " " },
		"no end":           func(s *alert.Silence) { s.Ends = time.Time{} },
		"ends before":      func(s *alert.Silence) { s.Ends = epoch },
		"no matcher":       func(s *alert.Silence) { s.Matchers = nil },
		"nearly all":       func(s *alert.Silence) { s.Matchers[0] = alert.Matcher{Label: "host", Op: "=~", Value: ".*"} },
		"unknown operator": func(s *alert.Silence) { s.Matchers[0].Op = "~" },
		"missing closing":  func(s *alert.Silence) { s.Matchers[0] = alert.Matcher{Label: "host", Op: "=~", Value: "("} },
	} {
		s := whole()
		spoil(&s)
		if err := s.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// TestLostState: when the state of an alert is gone, as after a failover, those who
// heard of it hear of its end.
func TestLostState(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, line := range []string{`rule cpu expr="cpu > 90"`, `at 0s event host=a cpu=95`} {
		w.command(split(line))
	}
	w.remove(w.keys("alert/")[0])
	w.wakes[w.keys("group/")[0]] = w.now
	w.run(epoch.Add(time.Minute))
	if got := w.sent[len(w.sent)-1].String(); got != "0s mail: resolved, warning; resolved cpu a 95" || len(w.states) > 0 {
		t.Errorf("%s, left: %v", got, w.states)
	}
}

// TestLongText: a template that writes without end is cut, and the alert is told.
func TestLongText(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.command(split(`rule cpu expr="cpu > 90" summary="{{range $i, $c := .Event.many}}{{range $j, $d := $.Event.many}}ä…{{end}}{{end}}"`))
	many := make([]any, 500)
	w.event(map[string]any{"host": "a", "cpu": 95.0, "many": many})
	w.run(epoch)
	if got := w.sent[0].Alerts[0].Summary; len(got) > 9000 || !strings.HasSuffix(got, "(the rest is too long)") || strings.Contains(got, "\uFFFD") {
		t.Errorf("%d bytes: …%s", len(got), got[max(0, len(got)-50):])
	}
}

// TestNotificationJSON is what handlers read.
func TestNotificationJSON(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.command(split(`rule cpu expr="cpu > 90" group_by=host label=team:db`))
	w.event(map[string]any{"host": "a", "cpu": 95.0})
	w.run(epoch)
	w.now = epoch.Add(time.Minute)
	w.event(map[string]any{"host": "a", "cpu": 1.0})
	w.run(w.now)
	fingerprint := w.sent[0].Alerts[0].Fingerprint
	for i, want := range []string{
		`{"status":"firing","reason":"new","receiver":"mail","group":{"host":"a"},"rule":"cpu","severity":"warning","alerts":[{"rule":"cpu","status":"firing","severity":"warning","labels":{"host":"a","team":"db"},"summary":"cpu a 95","description":"","value":95,"since":"2030-01-07T00:00:00Z","fired":"2030-01-07T00:00:00Z","cause":"1","fingerprint":"` + fingerprint + `","event":{"cpu":95,"host":"a"}}]}`,
		`{"status":"resolved","reason":"resolved","receiver":"mail","group":{"host":"a"},"rule":"cpu","severity":"warning","alerts":[{"rule":"cpu","status":"resolved","severity":"warning","labels":{"host":"a","team":"db"},"summary":"cpu a 1","description":"","value":1,"since":"2030-01-07T00:00:00Z","fired":"2030-01-07T00:00:00Z","ended":"2030-01-07T00:01:00Z","cause":"1","fingerprint":"` + fingerprint + `","event":{"cpu":1,"host":"a"}}]}`,
	} {
		got, err := json.Marshal(w.sent[i].Notification)
		if err != nil {
			t.Fatal(err)
		}
		// receiver stands after reason in both: the order is not part of it.
		if sorted(t, got) != sorted(t, []byte(want)) {
			t.Errorf("%s\nwant\n%s", got, want)
		}
	}
	if id := w.sent[0].ID; !strings.HasPrefix(id, "n:mail:") || strings.Count(id, ":") != 3 {
		t.Errorf("id %s", id)
	}
}

func sorted(t *testing.T, content []byte) string {
	var value any
	if err := json.Unmarshal(content, &value); err != nil {
		t.Fatal(err)
	}
	content, _ = json.Marshal(value)
	return string(content)
}

// TestBudget: of each alert the receiver hears the last state, never more often than
// its rate allows.
func TestBudget(t *testing.T) {
	t.Parallel()
	const rate = 3
	var b *alert.Budget
	var times []time.Time
	heard, told := map[string]alert.Status{}, map[string]alert.Status{}
	pass := func(now time.Time, in ...alert.Notification) {
		if b == nil {
			b = &alert.Budget{}
		}
		var sent []alert.Notification
		b, sent = b.Pass(rate, in, now)
		for _, n := range sent {
			times = append(times, now)
			for _, item := range n.Alerts {
				heard[item.Fingerprint] = item.Status
			}
		}
	}
	now := epoch
	for i := range 200 {
		now = now.Add(time.Duration(i%7) * time.Second)
		status, fingerprint := alert.Firing, fmt.Sprint(i%11)
		if i%3 == 0 {
			status = alert.Resolved
		}
		told[fingerprint] = status
		pass(now, alert.Notification{ID: fmt.Sprint(i), Receiver: "mail", Status: status, Rule: "r", Severity: "warning", Alerts: []alert.Item{{Fingerprint: fingerprint, Status: status}}})
	}
	for b != nil {
		if !b.Wake.After(now) {
			t.Fatalf("it asks for %v at %v", b.Wake, now)
		}
		now = b.Wake
		pass(now)
	}
	for i := rate; i < len(times); i++ {
		if times[i].Sub(times[i-rate]) < time.Minute {
			t.Errorf("%d notifications from %v to %v", rate+1, times[i-rate], times[i])
		}
	}
	if fmt.Sprint(heard) != fmt.Sprint(told) {
		t.Errorf("heard %v, told %v", heard, told)
	}
}

func BenchmarkVerdicts(b *testing.B) {
	rules := compile(b, `rule cpu expr="cpu_usage > 90" clear="cpu_usage < 80"`, `rule mem expr="mem.used / mem.total * 100 > 95"`,
		`rule disk expr="disk_usage > 90" by=host,mount`, `rule load expr="load1 > 8 && host.startsWith('web')"`, `rule swap expr="swap_usage > 50"`)
	fields := map[string]any{"host": "web1", "mount": "/", "cpu_usage": 42.5, "disk_usage": 60.0, "load1": 0.5, "swap_usage": 3.0,
		"mem": map[string]any{"used": 10.0, "total": 100.0}}
	for i := len(fields); i < 60; i++ {
		fields[fmt.Sprint("field", i)] = float64(i)
	}
	e := alert.Event{Type: "monitoring", Fields: fields}
	b.ReportAllocs()
	for b.Loop() {
		if len(rules.Verdicts(e)) != 5 {
			b.Fatal("rules are missing")
		}
	}
}

// BenchmarkNotify looks at a group of 10,000 alerts of which nothing is new.
func BenchmarkNotify(b *testing.B) {
	rules := compile(b, `rule cpu expr="cpu > 90" receivers=mail,chat repeat=1h`)
	var alerts []alert.Alert
	for i := range 10_000 {
		e := alert.Event{ID: fmt.Sprint(i), Type: "monitoring", TS: epoch, Fields: map[string]any{"host": fmt.Sprint("h", i), "cpu": 95.0}}
		a, _ := rules.Advance(nil, rules.Verdicts(e)[0], e, epoch)
		alerts = append(alerts, *a)
	}
	out := rules.Notify(alert.Group{Key: alerts[0].Group}, alerts, alert.Env{Now: epoch})
	if len(out.Notifications) != 2 || len(out.Notifications[0].Alerts) != len(alerts) {
		b.Fatal("they are not told")
	}
	for b.Loop() {
		if again := rules.Notify(*out.Group, alerts, alert.Env{Now: epoch.Add(time.Minute)}); len(again.Notifications) > 0 {
			b.Fatal("they are told again")
		}
	}
}
