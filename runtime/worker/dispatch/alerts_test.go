package dispatch

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rsm/internal/redistest"
	"rsm/runtime/worker/alert"
	"rsm/schema"
)

func rules(change func(*schema.Rule)) schema.Operations {
	r := schema.Rule{Name: "hot", Type: "monitoring", Expr: "cpu_usage > 90", Clear: "cpu_usage < 80", By: []string{"host"}, Severity: "critical",
		Summary: "{{.Labels.host}} is hot", Receivers: []string{"oncall"}, Resolved: true, GroupBy: []string{"host"}, Repeat: time.Hour}
	if change != nil {
		change(&r)
	}
	return schema.Operations{Queues: []schema.Queue{{Name: "n"}}, Handlers: []schema.Handler{{Name: "oncall", Queue: "n"}, {Name: "boss", Queue: "n"}}, Rules: []schema.Rule{r}}
}

// told lists the notifications in the order in which they were made.
func (s *stage) told() (list []string) {
	s.t.Helper()
	for _, p := range s.payloads("n") {
		a, _ := p["alerts"].(map[string]any)
		items, _ := a["alerts"].([]any)
		summary := any("")
		if len(items) > 0 {
			summary = items[0].(map[string]any)["summary"]
		}
		list = append(list, fmt.Sprintf("%v %v %v %d %v", p["handler"], a["status"], a["reason"], len(items), summary))
	}
	return list
}

func (s *stage) wantTold(want ...string) {
	s.t.Helper()
	redistest.Wait(s.t, 15*time.Second, func() error {
		if got := fmt.Sprintf("%q", s.told()); got != fmt.Sprintf("%q", want) {
			return fmt.Errorf("told %s, want %q", got, want)
		}
		return nil
	})
}

// TestAlert: from an event to a notification and back to nothing, with three
// dispatchers that all look.
func TestAlert(t *testing.T) {
	t.Parallel()
	s := alone(t)
	s.operate("1", rules(nil))
	for _, name := range []string{"d1", "d2", "d3"} {
		s.run(name)
	}
	s.send(`{"host":"web1","cpu_usage":95}`, `{"host":"web2","cpu_usage":85}`, `{"host":"web1","cpu_usage":85}`)
	s.wantTold("oncall firing new 1 web1 is hot")
	s.send(`{"host":"web1","cpu_usage":96}`)
	s.quiet()
	s.send(`{"host":"web1","cpu_usage":10}`)
	s.wantTold("oncall firing new 1 web1 is hot", "oncall resolved resolved 1 web1 is hot")
	ctx := context.Background()
	redistest.Wait(t, 5*time.Second, func() error {
		for _, key := range []string{Alerts, Groups, revisions, due, firing + "hot"} {
			if s.rdb.Exists(ctx, key).Val() != 0 {
				return fmt.Errorf("%s is left", key)
			}
		}
		return nil
	})
	if keys := s.rdb.Keys(ctx, members+"*").Val(); len(keys) > 0 {
		t.Errorf("left: %q", keys)
	}
	for status, n := range s.rdb.HGetAll(ctx, Counts).Val() {
		if n != "0" {
			t.Errorf("%s alerts are %s", n, status)
		}
	}
}

// TestTime: an alert fires, escalates and ends without any event, once.
func TestTime(t *testing.T) {
	t.Parallel()
	s := alone(t)
	s.operate("1", rules(func(r *schema.Rule) {
		r.For, r.Stale = 500*time.Millisecond, 3*time.Second
		r.Escalate = []schema.Escalation{{After: time.Second, Receivers: []string{"boss"}}}
	}))
	s.run("d1")
	s.run("d2")
	s.send(`{"host":"web1","cpu_usage":95}`)
	s.wantTold("oncall firing new 1 web1 is hot", "boss firing escalation 1 web1 is hot",
		"boss resolved resolved 1 web1 is hot", "oncall resolved resolved 1 web1 is hot")
}

// TestSilence: a silence mutes, and its end tells at once.
func TestSilence(t *testing.T) {
	t.Parallel()
	s := alone(t)
	s.operate("1", rules(nil))
	s.run("d1")
	ctx := context.Background()
	silence := func(id, host string, last time.Duration) alert.Silence {
		now := time.Now()
		return alert.Silence{ID: id, Matchers: []alert.Matcher{{Label: "host", Op: "=", Value: host}}, Creator: "a", Reason: "b", Starts: now.Add(-time.Minute), Ends: now.Add(last)}
	}
	until := silence("s3", "web3", time.Hour)
	until.UntilResolved = true
	for _, one := range []alert.Silence{silence("s1", "web1", time.Hour), silence("s2", "web2", 2*time.Second), until} {
		if err := AddSilence(ctx, s.rdb, one); err != nil {
			t.Fatal(err)
		}
	}
	s.send(`{"host":"web1","cpu_usage":95}`, `{"host":"web2","cpu_usage":95}`, `{"host":"web3","cpu_usage":95}`, `{"host":"web4","cpu_usage":95}`)
	s.wantTold("oncall firing new 1 web4 is hot", "oncall firing expiring 1 web2 is hot", "oncall firing unsilenced 1 web2 is hot")
	if err := ExpireSilence(ctx, s.rdb, "s1"); err != nil {
		t.Fatal(err)
	}
	list := []string{"oncall firing new 1 web4 is hot", "oncall firing expiring 1 web2 is hot", "oncall firing unsilenced 1 web2 is hot", "oncall firing unsilenced 1 web1 is hot"}
	s.wantTold(list...)
	if err := ExpireSilence(ctx, s.rdb, "s1"); !errors.Is(err, ErrNoSilence) {
		t.Error(err)
	}
	redistest.Wait(t, 10*time.Second, func() error {
		if left, err := ReadSilences(ctx, s.rdb); err != nil || len(left) != 1 || !left[0].Matched {
			return fmt.Errorf("silences %+v, %w", left, err)
		}
		return nil
	})
	s.send(`{"host":"web3","cpu_usage":5}`)
	redistest.Wait(t, 10*time.Second, redistest.Want("silences", 0, func() int64 { return s.rdb.HLen(ctx, Silences).Val() }))
	s.wantTold(list...)
	if err := AddSilence(ctx, s.rdb, alert.Silence{ID: "x"}); err == nil {
		t.Error("a silence without anything is taken")
	}
}

// TestRate: what comes too fast for a receiver comes later, as one.
func TestRate(t *testing.T) {
	t.Parallel()
	s := alone(t)
	ops := rules(nil)
	ops.Handlers[0].Rate = 2
	s.operate("1", ops)
	s.run("d1")
	s.run("d2")
	for i := range 20 {
		s.send(fmt.Sprintf(`{"host":"web%d","cpu_usage":95}`, i))
	}
	ctx := context.Background()
	redistest.Wait(t, 10*time.Second, func() error {
		b := decode[alert.Budget](s.rdb.HGet(ctx, Budgets, "oncall").Val())
		if b == nil || b.Held == nil || len(b.Held.Alerts) != 18 {
			return fmt.Errorf("held is %+v", b)
		}
		return nil
	})
	if got := s.told(); len(got) != 2 {
		t.Errorf("told %q", got)
	}
}

// TestRulesChange: alerts of a rule that is gone end.
func TestRulesChange(t *testing.T) {
	t.Parallel()
	s := alone(t)
	s.operate("1", rules(nil))
	s.run("d1")
	s.run("d2")
	s.send(`{"host":"web1","cpu_usage":95}`)
	s.wantTold("oncall firing new 1 web1 is hot")
	s.operate("2", rules(func(r *schema.Rule) { r.Name = "other" }))
	redistest.Wait(t, 10*time.Second, redistest.Want("alerts", 0, func() int64 { return s.rdb.HLen(context.Background(), Alerts).Val() }))
	if got := s.told(); len(got) != 2 {
		t.Errorf("told %q", got)
	}
}

// TestSilentAgent: an agent that promised to come back and does not is an event,
// and its return is another; nobody is silent because nobody has read, or because
// Redis was away.
func TestSilentAgent(t *testing.T) {
	t.Parallel()
	s := alone(t)
	ops := schema.Operations{Queues: []schema.Queue{{Name: "n"}}, Handlers: []schema.Handler{{Name: "oncall", Queue: "n"}, {Name: "each", Queue: "n", Types: []string{"agent"}}},
		Rules: []schema.Rule{{Name: "silent", Type: "agent", Expr: `state == "silent"`, By: []string{"host", "agent"}, Summary: "{{.Labels.agent}} is silent", Severity: "critical",
			Receivers: []string{"oncall"}, Resolved: true, GroupBy: []string{"host"}, Repeat: time.Hour}}}
	s.operate("1", ops)
	s.run("d1")
	s.run("d2")
	// The clock of the host is years off.
	const sample = `{"agent":"a1","host":"web1","interval":200,"ts":1000000}`
	s.send(`{"agent":"a2","host":"web2","interval":60000}`, `{"host":"none"}`, sample)
	states := func() (list []string) {
		for _, p := range s.payloads("n") {
			if e, ok := p["event"].(map[string]any); ok {
				list = append(list, fmt.Sprint(e["host"], " ", e["agent"], " ", e["state"]))
			}
		}
		return list
	}
	redistest.Wait(t, 10*time.Second, redistest.Want("events", "[web1 a1 silent]", func() string { return fmt.Sprint(states()) }))
	s.wantTasks("n", 2)
	s.send(sample, sample)
	redistest.Wait(t, 10*time.Second, redistest.Want("events", "[web1 a1 silent web1 a1 up web1 a1 silent]", func() string { return fmt.Sprint(states()) }))
	s.wantTasks("n", 6)
}

// TestOvertaken: the event that ends an alert is handed on before the one that
// raises it, and no other comes.
func TestOvertaken(t *testing.T) {
	t.Parallel()
	s := alone(t)
	s.operate("1", rules(nil))
	s.run("d1")
	s.run("d2")
	now := time.Now().UnixMilli()
	send := func(host string, cpu int, at int64) {
		s.send(fmt.Sprintf(`{"host":"%s","cpu_usage":%d,"ts":%d}`, host, cpu, at))
		s.quiet()
	}
	send("web1", 10, now-1000)
	send("web1", 95, now-2000)
	send("web2", 10, now-2000)
	send("web2", 95, now-1000)
	s.wantTold("oncall firing new 1 web2 is hot")
	if n := s.rdb.HLen(context.Background(), Alerts).Val(); n != 1 {
		t.Errorf("%d alerts", n)
	}
}

// TestManyAlertsInOneMessage: when all fails at once there is a message all the same.
func TestManyAlertsInOneMessage(t *testing.T) {
	t.Parallel()
	s := alone(t)
	s.operate("1", rules(func(r *schema.Rule) { r.GroupBy, r.GroupWait, r.GroupInterval = []string{"rule"}, time.Hour, time.Hour }))
	_, stop := s.run("d1")
	const all = 3000
	events := make([]string, all)
	for i := range events {
		events[i] = fmt.Sprintf(`{"host":"web%d","cpu_usage":99,"pad":"%0500d"}`, i, i)
	}
	s.send(events...)
	redistest.Wait(t, 20*time.Second, func() error {
		if n, _ := s.rdb.HGet(t.Context(), Counts, string(alert.Firing)).Int(); n != all {
			return fmt.Errorf("%d alerts fire", n)
		}
		return nil
	})
	stop()
	s.operate("2", rules(func(r *schema.Rule) { r.GroupBy, r.GroupInterval = []string{"rule"}, time.Hour }))
	s.run("d2")
	redistest.Wait(t, 10*time.Second, func() error {
		list := s.payloads("n")
		if len(list) == 0 {
			return errors.New("nobody was told")
		}
		told, _ := list[0]["alerts"].(map[string]any)
		items, _ := told["alerts"].([]any)
		if more, _ := told["more"].(float64); len(items) < 1000 || len(items)+int(more) != all {
			t.Errorf("told of %d and %v more", len(items), told["more"])
		}
		return nil
	})
}

// TestRubbishInRedis: what others wrote into the keys of dispatchers is in nobody's way.
func TestRubbishInRedis(t *testing.T) {
	t.Parallel()
	s := alone(t)
	s.operate("1", rules(nil))
	for i, text := range []string{"rubbish", "{}", "[]", "null"} {
		field := fmt.Sprint("rub", i)
		for _, key := range []string{Alerts, Groups, Budgets, Silences, Agents} {
			s.rdb.HSet(t.Context(), key, field, text)
		}
		for _, kind := range []string{"a:", "g:", "b:", "s:", "x:", ""} {
			s.rdb.ZAdd(t.Context(), due, redis.Z{Score: 1, Member: kind + field})
		}
	}
	s.rdb.ZAdd(t.Context(), due, redis.Z{Score: 1, Member: ""}, redis.Z{Score: 1, Member: "a:"})
	s.run("d1")
	s.send(`{"host":"web1","cpu_usage":95}`)
	s.wantTold("oncall firing new 1 web1 is hot")
	redistest.Wait(t, 10*time.Second, func() error {
		left, err := s.rdb.ZRangeArgs(t.Context(), redis.ZRangeArgs{Key: due, ByScore: true, Start: "-inf", Stop: time.Now().Add(time.Minute).UnixMilli()}).Result()
		if err == nil && len(left) > 0 {
			err = fmt.Errorf("%q are due again and again", left)
		}
		return err
	})
	alerts, err := ReadAlerts(t.Context(), s.rdb)
	silences, err2 := ReadSilences(t.Context(), s.rdb)
	if err != nil || err2 != nil || len(alerts) != 1 || len(silences) != 0 {
		t.Errorf("alerts %v, silences %v, %v, %v", alerts, silences, err, err2)
	}
}
