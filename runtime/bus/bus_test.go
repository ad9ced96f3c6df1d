package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"rsm/internal/redistest"
	"rsm/reconcile"
	"rsm/schema"
)

func TestParse(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for ts, want := range map[string]time.Time{
		`1772366400250`:               now.Add(250 * time.Millisecond),
		`1772366399`:                  now.Add(-time.Second),
		`1772366399.5`:                now.Add(-500 * time.Millisecond),
		`"2026-03-01T13:00:01+01:00"`: now.Add(time.Second),
		`1772367600000`:               now, // 20 minutes ahead
		`1772193600000`:               now, // two days behind
		`1e300`:                       now,
		`"yesterday"`:                 now,
		`null`:                        now,
	} {
		e, err := Parse([]byte(`{"ts":`+ts+`,"cpu_usage":12.5,"host":"web1","id":7}`), now)
		if err != nil || !e.TS.Equal(want) {
			t.Errorf("ts %s: %s, %v, want %s", ts, e.TS, err, want)
		}
		if e.Type != "monitoring" || e.Host != "web1" || e.ID != "7" || e.Fields["cpu_usage"] != 12.5 {
			t.Errorf("read %+v", e)
		}
		if _, kept := e.Fields["ts"]; !kept {
			t.Errorf("ts %s is gone from the fields", ts)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		``:                    "it is empty",
		`hello`:               "it is no JSON",
		`[1]`:                 "a JSON array is no JSON object",
		`"text"`:              "a JSON string is no JSON object",
		`12`:                  "a JSON number is no JSON object",
		`null`:                "null is no JSON object",
		`{"cpu_usage":NaN}`:   "NaN and Infinity are no JSON numbers",
		`{"cpu_usage":1e999}`: "number 1e999 is out of range",
		`{"a":1}{"b":2}`:      "it is no JSON",
		`{"type":["a"]}`:      "field type is neither a string nor a number",
		"{\"id\":\"a\\nb\"}":  "field id holds control characters",
		`{"host":"` + strings.Repeat("h", 300) + `"}`: "field host has 300 bytes, at most 253",
	} {
		_, err := Parse([]byte(raw), time.Now())
		if !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: %v, want %s", raw, err, want)
		}
	}
	large := `{"a":"` + strings.Repeat("a", 10<<20) + `"}`
	if _, err := Parse([]byte(large), time.Now()); !errors.Is(err, ErrTooLarge) {
		t.Errorf("10 MB: %v", err)
	}
}

func BenchmarkParse(b *testing.B) {
	raw := []byte(`{"id":"01JZZZZZZZZZZZZZZZZZZZZZZZ","type":"monitoring","host":"web1","ts":1772366400250,"cpu_usage":12.5,"mem_usage":51.25,"disk_usage":70.5,
"disks":[{"mount":"/","used":70.5,"total":1e11}],"net":[{"name":"eth0","rx":1234.5,"tx":2345.5}],"load":{"1":0.5,"5":0.4,"15":0.3},"tags":{"zone":"a"}}`)
	now := time.UnixMilli(1772366400250)
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		if _, err := Parse(raw, now); err != nil {
			b.Fatal(err)
		}
	}
}

func TestPublish(t *testing.T) {
	t.Parallel()
	client := single(t, redistest.Start(t))
	sub := client.Subscribe(t.Context(), Channel)
	defer sub.Close()
	if _, err := sub.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	events := make([][]byte, 450) // three transactions
	for i := range events {
		events[i] = fmt.Appendf(nil, `{"id":"%d"}`, i)
	}
	if err := Publish(t.Context(), client, 0, events...); err != nil {
		t.Fatal(err)
	}
	entries, err := client.XRange(t.Context(), Stream, "-", "+").Result()
	if err != nil || len(entries) != 450 || entries[449].Values["j"] != `{"id":"449"}` {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
	if message, err := sub.ReceiveMessage(t.Context()); err != nil || message.Payload != `{"id":"0"}` {
		t.Errorf("heard %v, %v", message, err)
	}
	if err := Publish(t.Context(), client, 100, events...); err != nil {
		t.Fatal(err)
	}
	if n := client.XLen(t.Context(), Stream).Val(); n > 300 {
		t.Errorf("%d entries are kept, want about 100", n)
	}
}

func TestRoles(t *testing.T) {
	t.Parallel()
	client, ctx := single(t, redistest.Start(t)), t.Context()
	now := time.Now()
	web := Presence{Kind: "agent", Name: "web1", Host: "web1", PID: 12, Every: time.Minute, Started: now, Stats: map[string]int64{"dropped": math.MaxInt64}}
	late := Presence{Kind: "worker", Name: "mail", Host: "web1", PID: 13, Every: -time.Second}
	for _, p := range []Presence{late, web} {
		if err := Announce(ctx, client, p); err != nil {
			t.Fatal(err)
		}
	}
	client.HSet(ctx, Roles, "dispatcher/d1", "no json")
	roles, err := ReadRoles(ctx, client)
	if err != nil || len(roles) != 3 {
		t.Fatalf("%+v, %v", roles, err)
	}
	if r := roles[0]; r.Name != "web1" || !r.Alive || r.Stats["dropped"] != math.MaxInt64 || !r.Started.Equal(now) {
		t.Errorf("read %+v", r)
	}
	if r := roles[1]; r.Kind != "dispatcher" || r.Name != "d1" || r.Alive || !strings.Contains(r.Refusal, "cannot be read") {
		t.Errorf("read %+v", r)
	}
	if r := roles[2]; r.Alive {
		t.Errorf("read %+v", r)
	}
	successor := web
	successor.PID = 99
	_ = Announce(ctx, client, successor)
	if err := Withdraw(ctx, client, web); err != nil || !client.HExists(ctx, Roles, "agent/web1").Val() {
		t.Errorf("the entry of the successor is gone, %v", err)
	}
	if err := Withdraw(ctx, client, successor); err != nil || client.HExists(ctx, Roles, "agent/web1").Val() {
		t.Errorf("the own entry is still there, %v", err)
	}
	if err := Withdraw(ctx, client, successor); err != nil {
		t.Error(err)
	}
}

func TestIDs(t *testing.T) {
	t.Parallel()
	// The time of the example of github.com/ulid/javascript.
	ids := IDs{Now: func() time.Time { return time.UnixMilli(1469918176385) }, Random: func(b []byte) {
		for i := range b {
			b[i] = 0xff
		}
	}}
	if got, want := ids.New(), "01ARYZ6S41"+strings.Repeat("Z", 16); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	var real IDs
	made := make([]string, 1000)
	for i := range made {
		made[i] = real.New()
	}
	slices.Sort(made)
	if got := len(slices.Compact(made)); got != 1000 {
		t.Errorf("%d ids differ", got)
	}
}

func TestOperations(t *testing.T) {
	t.Parallel()
	client := single(t, redistest.Start(t))
	ctx, cancel := context.WithCancel(t.Context())
	type version struct {
		ops    schema.Operations
		digest string
		err    error
	}
	heard := make(chan version, 10)
	watch := WatchOperations{Client: client, Every: 50 * time.Millisecond, Changed: func(o schema.Operations, d string, err error) { heard <- version{o, d, err} }}
	ended := make(chan error, 1)
	go func() { ended <- watch.Run(ctx) }()
	publish := func(fields ...any) {
		t.Helper()
		if err := client.HSet(ctx, reconcile.OperationsKey, fields...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	next := func() version {
		t.Helper()
		select {
		case v := <-heard:
			return v
		case <-time.After(5 * time.Second):
			t.Fatal("heard nothing")
			return version{}
		}
	}
	rule := func(name string) []byte { b, _ := json.Marshal(schema.Rule{Name: name, Expr: "true"}); return b }
	queue, _ := json.Marshal(schema.Queue{Name: "mail", Lease: time.Second})
	publish("rule/b", rule("b"), "rule/a", rule("a"), "queue/mail", queue, "digest", "one")
	if v := next(); v.err != nil || v.digest != "one" || len(v.ops.Rules) != 2 || v.ops.Rules[0].Name != "a" || v.ops.Queues[0].Lease != time.Second {
		t.Errorf("heard %+v", v)
	}
	publish("rule/a", `{"Name":"a","Unheard":1}`, "digest", "two")
	if v := next(); v.err == nil || !strings.Contains(v.err.Error(), "rsm:operations rule/a: decode role") || v.digest != "two" {
		t.Errorf("heard %+v", v)
	}
	if ops, _, err := LoadOperations(ctx, client); err == nil || len(ops.Rules) != 1 || len(ops.Queues) != 1 {
		t.Errorf("of what can be read %+v is left, %v", ops, err)
	}
	client.Del(ctx, reconcile.OperationsKey)
	publish("digest", "three")
	if v := next(); v.err != nil || v.digest != "three" || len(v.ops.Rules) != 0 {
		t.Errorf("heard %+v", v)
	}
	cancel()
	if err := <-ended; err != nil || len(heard) > 0 {
		t.Errorf("ended with %v, %d more", err, len(heard))
	}
}
