package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"rsm/runtime/worker/queue"
	"rsm/schema"
)

func TestBackoff(t *testing.T) {
	t.Parallel()
	for failures, want := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 10 * time.Second, 10 * time.Second} {
		if got := backoff(time.Second, 10*time.Second, failures, 1); got != want {
			t.Errorf("after %d: %s, want %s", failures, got, want)
		}
	}
	if got := backoff(time.Second, 10*time.Second, 2, 0.25); got != time.Second {
		t.Errorf("a quarter: %s", got)
	}
	if got := backoff(time.Second, 0, 1000, 1); got != 24*time.Hour && got > 48*time.Hour {
		t.Errorf("without a bound: %s", got)
	}
}

func TestMux(t *testing.T) {
	t.Parallel()
	var trace []string
	note := func(name string) HandlerFunc {
		return func(context.Context, Task) (json.RawMessage, error) { trace = append(trace, name); return nil, nil }
	}
	around := func(name string) Middleware {
		return func(h Handler) Handler {
			return HandlerFunc(func(ctx context.Context, t Task) (json.RawMessage, error) {
				trace = append(trace, name)
				return h.Run(ctx, t)
			})
		}
	}
	m := new(Mux)
	m.Use(around("1"), around("2"))
	m.Handle("mail/", note("mail/"))
	m.Handle("mail/welcome", note("welcome"))
	m.Handle("page", note("page"))
	for _, kind := range []string{"mail/x", "mail/welcome", "page", "pages", "mail"} {
		_, err := m.Run(t.Context(), Task{Task: queue.Task{Type: kind}})
		if unknown := kind == "pages" || kind == "mail"; unknown != errors.Is(err, ErrUnknownType) {
			t.Errorf("%s: %v", kind, err)
		}
	}
	if got := fmt.Sprint(trace); got != "[1 2 mail/ 1 2 welcome 1 2 page]" {
		t.Error(got)
	}
}

func TestOccurrence(t *testing.T) {
	t.Parallel()
	c := schema.CronTask{Cron: "30 4 * * *", Zone: "Europe/Berlin"}
	now := time.Date(2026, 1, 10, 3, 29, 59, 999, time.UTC)
	first, ok := occurrence(c, now)
	second, _ := occurrence(c, first)
	if want := time.Date(2026, 1, 10, 3, 30, 0, 0, time.UTC); !ok || !first.Equal(want) || !second.Equal(want.AddDate(0, 0, 1)) {
		t.Errorf("%s, %s, %v", first, second, ok)
	}
	if again, _ := occurrence(c, first.Add(500*time.Microsecond)); !again.Equal(second) {
		t.Errorf("in the same millisecond: %s", again)
	}
	if _, ok := occurrence(schema.CronTask{Cron: "0 0 30 2 *", Zone: "UTC"}, now); ok {
		t.Error("30 February comes")
	}
	if _, ok := occurrence(schema.CronTask{Cron: "nonsense", Zone: "UTC"}, now); ok {
		t.Error("nonsense comes")
	}
}

// Workers that all add an occurrence, at once and after it was done, add it once.
func TestCronOnce(t *testing.T) {
	t.Parallel()
	s, c := newSite(t), newTally()
	s.run(c.run)
	cron, at := schema.CronTask{Name: "nightly", Type: "t"}, time.Unix(1_800_000_000, 0)
	occur := func() {
		r := newRun(&Worker{Client: s.client, Worker: schema.Worker{Name: "w1"}}, nil)
		r.occur(t.Context(), &line{Queue: s.Queue, name: "default"}, cron, at)
	}
	var all sync.WaitGroup
	for range 5 {
		all.Go(occur)
	}
	all.Wait()
	s.idle()
	occur()
	s.idle()
	id := "cron:nightly:2027-01-15T08:00:00Z"
	if n := c.of(id); n != 1 || len(c.runs) != 1 {
		t.Errorf("runs: %v", c.runs)
	}
}

func TestReportsComeByThemselves(t *testing.T) {
	t.Parallel()
	ops := schema.Operations{Queues: []schema.Queue{{Name: "a"}, {Name: "b"}},
		Handlers: []schema.Handler{{Name: "weekly", Queue: "b", Report: &schema.Report{Cron: "0 6 * * 1", Zone: "UTC"}}, {Name: "asked", Queue: "b", Report: &schema.Report{}}}}
	got := withReports(ops)
	if len(got[0].Cron) != 0 || len(got[1].Cron) != 1 || got[1].Cron[0].Type != "handle/weekly" || len(ops.Queues[1].Cron) != 0 {
		t.Errorf("%+v", got)
	}
}
