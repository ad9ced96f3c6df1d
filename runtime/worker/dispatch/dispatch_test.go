package dispatch

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rsm/internal/redistest"
	"rsm/runtime/bus"
	"rsm/schema"
)

var mails = schema.Operations{
	Queues: []schema.Queue{{Name: "mail"}, {Name: "work"}},
	Handlers: []schema.Handler{
		{Name: "eml", Queue: "mail", Types: []string{"eml"}},
		{Name: "busy", Queue: "work", Types: []string{"monitoring", "eml"}, When: "cpu_usage > 90"},
	},
}

// TestHandsOn: each event reaches each handler that it is for, once, whoever sends
// it; what is no event is kept with the reason.
func TestHandsOn(t *testing.T) {
	t.Parallel()
	s := alone(t)
	s.operate("1", mails)
	s.run("d1")
	s.run("d2")
	ctx := context.Background()
	for i := range 300 {
		s.send(fmt.Sprintf(`{"id":"e%d","type":"eml","host":"web1","cpu_usage":%d}`, i, i%100))
	}
	s.send(`{"id":"x1","type":"nobody knows it"}`, `{"cpu_usage":"text"}`, `{"cpu_usage":95}`, `{"id":"a b","type":"eml"}`)
	for _, bad := range []string{`{"cpu_usage":NaN}`, `not json`, ``, `[1]`, `{"type":"eml","x":` + strings.Repeat("1", bus.MaxEvent) + `}`} {
		s.send(bad)
	}
	s.rdb.XAdd(ctx, &redis.XAddArgs{Stream: bus.Stream, Values: []any{"other", "field"}})
	s.send(`{"id":"last","type":"eml"}`)
	s.wantTasks("mail", 302)
	s.wantTasks("work", 28)
	reasons := s.reasons()
	if len(reasons) != 6 {
		t.Errorf("dead: %q", reasons)
	}
	for _, want := range []string{"NaN", "it is no JSON", "it is empty", "array", "too large"} {
		if !strings.Contains(strings.Join(reasons, "\n"), want) {
			t.Errorf("no dead letter says %s: %q", want, reasons)
		}
	}
	var event map[string]any
	for _, p := range s.payloads("mail") {
		if p["event_id"] == "e7" {
			event = p
		}
	}
	if fmt.Sprintln(event["handler"], event["type"], event["host"], event["event"]) != "eml eml web1 map[cpu_usage:7 host:web1 id:e7 type:eml]\n" {
		t.Errorf("the payload is %v", event)
	}
	if n := s.rdb.XLen(ctx, bus.Stream).Val(); n != 311 {
		t.Errorf("%d events in the stream", n)
	}
}

// TestSameID: an event that is sent twice, as after an answer that was lost, is
// handed on once, also when the first task is done already.
func TestSameID(t *testing.T) {
	t.Parallel()
	s := alone(t)
	s.operate("1", mails)
	s.run("d1")
	s.send(`{"id":"e1","type":"eml"}`)
	s.wantTasks("mail", 1)
	s.rdb.Del(context.Background(), "rsm:{mail}:m", "rsm:{mail}:pending")
	s.send(`{"id":"e1","type":"eml"}`, `{"id":"e2","type":"eml"}`)
	s.wantTasks("mail", 1)
	if ids := s.taskIDs("mail"); ids[0] != "e2:eml" {
		t.Errorf("tasks %q", ids)
	}
}

// TestBegins: what was sent before there were handlers and dispatchers is not lost,
// nor what is sent after everything was deleted.
func TestBegins(t *testing.T) {
	t.Parallel()
	s := alone(t)
	s.send(`{"id":"e1","type":"eml"}`)
	s.run("d1")
	s.send(`{"id":"e2","type":"eml"}`)
	s.operate("1", mails)
	s.wantTasks("mail", 2)
	s.rdb.FlushAll(context.Background())
	s.send(`{"id":"e3","type":"eml"}`)
	s.wantTasks("mail", 1)
	s.rdb.XGroupDestroy(context.Background(), bus.Stream, bus.Group)
	s.send(`{"id":"e4","type":"eml"}`)
	s.wantTasks("mail", 2)
}

// TestRefused: a set that is wrong anywhere is not followed, and said to be refused.
func TestRefused(t *testing.T) {
	t.Parallel()
	s := alone(t)
	s.operate("1", mails)
	d, _ := s.run("d1")
	s.send(`{"id":"e1","type":"eml"}`)
	s.wantTasks("mail", 1)
	bad := schema.Operations{Queues: mails.Queues, Rules: []schema.Rule{{Name: "hot", Type: "monitoring", Expr: "cpu_usage >"}}}
	s.operate("2", bad)
	redistest.Wait(t, 10*time.Second, func() error {
		if p := d.presence(); !strings.Contains(p.Refusal, "rule hot: expr: 1:12") || p.Operations != "1" {
			return fmt.Errorf("presence %+v", p)
		}
		return nil
	})
	s.send(`{"id":"e2","type":"eml"}`)
	s.wantTasks("mail", 2)
	s.operate("3", schema.Operations{Queues: mails.Queues})
	redistest.Wait(t, 10*time.Second, redistest.Want("operations", "3", func() string { return d.presence().Operations }))
	if why := d.presence().Refusal; why != "" {
		t.Error(why)
	}
}

// TestFull: a queue that takes no more does not stop anybody.
func TestFull(t *testing.T) {
	t.Parallel()
	s := alone(t)
	ops := mails
	ops.Queues = []schema.Queue{{Name: "mail", Max: 2}, {Name: "work"}}
	s.operate("1", ops)
	s.run("d1")
	for i := range 5 {
		s.send(fmt.Sprintf(`{"id":"e%d","type":"eml","cpu_usage":99}`, i))
	}
	s.wantTasks("work", 5)
	s.wantTasks("mail", 2)
	if reasons := s.reasons(); len(reasons) != 3 || !strings.Contains(reasons[0], "queue mail is full: task e2:eml") {
		t.Errorf("dead: %q", reasons)
	}
}

// TestTrim: the stream is cut by number and age, but nothing is lost that a group
// has not read.
func TestTrim(t *testing.T) {
	t.Parallel()
	s := alone(t, "stream-node-max-entries 10")
	ctx := context.Background()
	s.operate("1", mails)
	s.rdb.XGroupCreateMkStream(ctx, bus.Stream, "slow", "0")
	d := &Dispatcher{Role: s.role("d1"), Redis: bus.Options{Addr: s.addr}}
	d.Role.Dispatcher.KeepEvents = 50
	ctx2, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx2) }()
	defer func() { cancel(); <-ended }()
	for i := range 200 {
		s.send(fmt.Sprintf(`{"id":"e%d","type":"eml"}`, i))
	}
	s.wantTasks("mail", 200)
	redistest.Wait(t, 5*time.Second, func() error {
		if s.rdb.Exists(ctx, "rsm:dispatch:trim").Val() == 0 {
			return fmt.Errorf("nobody trims")
		}
		return nil
	})
	if n := s.rdb.XLen(ctx, bus.Stream).Val(); n != 200 {
		t.Errorf("%d events, although a group has read none", n)
	}
	read, err := s.rdb.XReadGroup(ctx, &redis.XReadGroupArgs{Group: "slow", Consumer: "c", Streams: []string{bus.Stream, ">"}, Count: 100}).Result()
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range read[0].Messages {
		if i != 60 {
			s.rdb.XAck(ctx, bus.Stream, "slow", m.ID)
		}
	}
	redistest.Wait(t, 10*time.Second, redistest.Want("events", 140, func() int64 { return s.rdb.XLen(ctx, bus.Stream).Val() }))
	s.rdb.XGroupDestroy(ctx, bus.Stream, "slow")
	redistest.Wait(t, 10*time.Second, redistest.Want("events", 50, func() int64 { return s.rdb.XLen(ctx, bus.Stream).Val() }))
}
