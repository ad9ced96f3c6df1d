package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rsm/internal/redistest"
	"rsm/runtime/bus"
	"rsm/runtime/worker/handler"
	"rsm/runtime/worker/queue"
	"rsm/schema"
)

func named(name string) func(*Worker) { return func(w *Worker) { w.Name = name } }

func TestEachTaskOnce(t *testing.T) {
	t.Parallel()
	s, c := newSite(t), newTally()
	for i := range 3 {
		s.run(c.run, named(fmt.Sprint("w", i)))
	}
	s.add(numbered(3000, "t")...)
	s.idle()
	for i := range 3000 {
		if n := c.of(fmt.Sprint("t", i)); n != 1 {
			t.Fatalf("t%d was run %d times", i, n)
		}
	}
	if len(c.by) != 3 {
		t.Errorf("who ran tasks: %v", c.by)
	}
}

func TestHowTasksEnd(t *testing.T) {
	t.Parallel()
	s := newSite(t, plain(func(q *schema.Queue) { q.Retention, q.Timeout = time.Hour, 50*time.Millisecond }))
	var snoozed atomic.Int32
	mux := new(Mux)
	mux.HandleFunc("good", func(_ context.Context, t Task) (json.RawMessage, error) { return json.RawMessage(`{"ok":true}`), nil })
	mux.HandleFunc("bad", func(context.Context, Task) (json.RawMessage, error) { return nil, errors.New("it broke") })
	mux.HandleFunc("panic", func(context.Context, Task) (json.RawMessage, error) { panic("oh") })
	mux.HandleFunc("final", func(context.Context, Task) (json.RawMessage, error) { return nil, queue.Permanent(errors.New("never")) })
	mux.HandleFunc("slow", func(ctx context.Context, _ Task) (json.RawMessage, error) { <-ctx.Done(); return nil, ctx.Err() })
	mux.HandleFunc("later", func(context.Context, Task) (json.RawMessage, error) {
		return nil, queue.RetryAfter(errors.New("busy"), time.Hour)
	})
	mux.HandleFunc("snooze", func(context.Context, Task) (json.RawMessage, error) {
		if snoozed.Add(1) < 6 {
			return nil, queue.Snooze(time.Millisecond)
		}
		return json.RawMessage(strings.Repeat(" ", 70_000)), nil
	})
	s.run(mux.Run)
	for _, kind := range []string{"good", "bad", "panic", "final", "slow", "later", "snooze", "unknown"} {
		s.add(queue.Task{ID: kind, Type: kind, Attempts: 2})
	}
	s.client.LPush(t.Context(), "task_list", `{"type":"good","n":NaN}`, `{"type":"good"}`)
	for id, why := range map[string]string{"bad": "it broke", "panic": "panic: oh", "final": "never",
		"slow": "context deadline exceeded (it took longer than 50ms)", "raw-1": "the task cannot be read: it is not JSON: invalid character 'N' looking for beginning of value"} {
		if got := s.wait(id, queue.Dead); got.LastError != why {
			t.Errorf("%s: %q", id, got.LastError)
		}
	}
	var kept Result
	if err := json.Unmarshal(s.wait("good", queue.Finished).Result, &kept); err != nil || string(kept.Output) != `{"ok":true}` || kept.Worker != "w1" || kept.Attempt != 1 {
		t.Errorf("result %+v: %v", kept, err)
	}
	s.wait("raw-2", queue.Finished)
	if err := json.Unmarshal(s.wait("snooze", queue.Finished).Result, &kept); err != nil || !strings.Contains(kept.Note, "70000 bytes") {
		t.Errorf("result %+v: %v", kept, err)
	}
	if got := s.wait("later", queue.Scheduled); time.Until(got.At) < 50*time.Minute || got.Failures != 1 {
		t.Errorf("later: %+v", got)
	}
	if got := s.wait("unknown", queue.Scheduled); got.Failures != 0 || time.Until(got.At) < 20*time.Second {
		t.Errorf("unknown: %+v", got)
	}
}

func TestCancelReachesTheHandler(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	started, cause := make(chan bool), make(chan error, 1)
	s.run(func(ctx context.Context, _ Task) (json.RawMessage, error) {
		close(started)
		<-ctx.Done()
		cause <- context.Cause(ctx)
		return nil, ctx.Err()
	})
	s.add(queue.Task{ID: "a", Type: "t"})
	<-started
	began := time.Now()
	if _, err := s.Cancel(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if err := <-cause; !errors.Is(err, ErrCancelled) || time.Since(began) > 2*time.Second {
		t.Errorf("ended by %v after %s", err, time.Since(began))
	}
	s.wait("a", "")
}

func TestLostLeaseEndsTheHandler(t *testing.T) {
	t.Parallel()
	s := newSite(t, plain(func(q *schema.Queue) { q.Lease = 300 * time.Millisecond }))
	var runs atomic.Int32
	started, cause := make(chan bool), make(chan error)
	s.run(func(ctx context.Context, task Task) (json.RawMessage, error) {
		started <- true
		if runs.Add(1) == 1 {
			<-ctx.Done()
			cause <- context.Cause(ctx)
		}
		return nil, nil
	})
	s.add(queue.Task{ID: "a", Type: "t"})
	<-started
	for range 6 { // longer than its lease, which is extended
		time.Sleep(200 * time.Millisecond)
		if n := s.wait("a", queue.Active).Crashes; n != 0 {
			t.Fatalf("crashes: %d", n)
		}
	}
	s.client.HSet(t.Context(), "rsm:{default}:own", "a", "w2/1")
	if err := <-cause; !errors.Is(err, ErrLost) {
		t.Errorf("ended by %v", err)
	}
	<-started // when the lease of w2 ends, the task is run again
	s.wait("a", "")
}

func TestStopGivesBack(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	started, release, quick := make(chan string, 8), make(chan bool), make(chan bool)
	defer close(release)
	stop := s.run(func(ctx context.Context, task Task) (json.RawMessage, error) {
		started <- task.ID
		switch task.Type {
		case "quick":
			<-quick
		case "heeds":
			<-ctx.Done()
			return nil, ctx.Err()
		case "stubborn":
			<-release
		}
		return nil, nil
	}, func(w *Worker) { w.Concurrency, w.Prefetch, w.Grace = 3, 2, 300*time.Millisecond })
	for _, kind := range []string{"quick", "heeds", "stubborn"} {
		s.add(queue.Task{ID: kind, Type: kind})
		<-started
	}
	s.add(queue.Task{ID: "prefetched", Type: "t"})
	s.wait("prefetched", queue.Active)
	time.AfterFunc(100*time.Millisecond, func() { close(quick) })
	stop()
	s.wait("quick", "")
	for _, id := range []string{"heeds", "stubborn", "prefetched"} {
		if info := s.wait(id, queue.Pending); info.Failures+info.Crashes > 0 {
			t.Errorf("%s: %+v", id, info)
		}
	}
	if roles, err := bus.ReadRoles(t.Context(), s.client); err != nil || len(roles) != 0 {
		t.Errorf("roles %v, %v", roles, err)
	}
}

func TestAllocatedTasksWakeTheirWorker(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	var mu sync.Mutex
	by := map[string]string{}
	run := func(_ context.Context, task Task) (json.RawMessage, error) {
		mu.Lock()
		defer mu.Unlock()
		by[task.ID] = task.Worker
		return nil, nil
	}
	for _, name := range []string{"w1", "w2", "w3"} {
		s.run(run, named(name), func(w *Worker) {
			if name == "w3" {
				w.Labels = map[string]string{"gpu": "yes"}
			}
		})
	}
	redistest.Wait(t, 5*time.Second, func() error {
		if all, err := queue.Workers(t.Context(), s.client.Client); err != nil || len(all) != 3 {
			return fmt.Errorf("workers: %v, %v", all, err)
		}
		return nil
	})
	began := time.Now()
	s.add(queue.Task{ID: "a", Type: "t", Worker: "w2"}, queue.Task{ID: "b", Type: "t", Labels: map[string]string{"gpu": "yes"}}, queue.Task{ID: "c", Type: "t", Priority: queue.High})
	s.idle()
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("it took %s: they were not woken", took)
	}
	mu.Lock()
	defer mu.Unlock()
	if by["a"] != "w2" || by["b"] != "w3" {
		t.Errorf("run by %v", by)
	}
}

func TestPausedQueueDoesNotSpin(t *testing.T) {
	t.Parallel()
	s, c := newSite(t), newTally()
	if err := s.Pause(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.add(numbered(10, "t")...)
	s.run(c.run)
	redistest.Wait(t, 5*time.Second, func() error {
		if s.client.SCard(t.Context(), "rsm:{default}:hungry").Val() != 1 {
			return errors.New("the worker has not seen the pause")
		}
		return nil
	})
	s.client.ConfigResetStat(t.Context())
	time.Sleep(2 * time.Second)
	calls := commands(s.client.Info(t.Context(), "commandstats").Val())
	// Ticks are about one in a second, what keeps the worker alive one in five.
	if n := calls["evalsha"] + calls["eval"] + calls["blmove"] + calls["brpop"]; n > 12 {
		t.Errorf("%d commands in 2 s: %v", n, calls)
	}
	if len(c.runs) > 0 {
		t.Error("a task was run")
	}
	began := time.Now()
	_ = s.Resume(t.Context())
	s.idle()
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("it took %s to go on", took)
	}
}

func commands(info string) map[string]int {
	calls := map[string]int{}
	for _, line := range strings.Split(info, "\r\n") {
		name, rest, _ := strings.Cut(strings.TrimPrefix(line, "cmdstat_"), ":calls=")
		var n int
		if _, err := fmt.Sscanf(rest, "%d,", &n); err == nil {
			calls[name] = n
		}
	}
	return calls
}

func TestQueuesTakeTurns(t *testing.T) {
	t.Parallel()
	for _, strict := range []bool{true, false} {
		t.Run(fmt.Sprint("strict=", strict), func(t *testing.T) {
			t.Parallel()
			s := newSite(t, plain(), plain(func(q *schema.Queue) { q.Name = "other" }))
			s.add(numbered(300, "t")...)
			if _, err := queue.New(s.client.Client, s.queues[1]).Add(t.Context(), numbered(300, "t")...); err != nil {
				t.Fatal(err)
			}
			var mu sync.Mutex
			var order []string
			s.run(func(_ context.Context, task Task) (json.RawMessage, error) {
				mu.Lock()
				defer mu.Unlock()
				order = append(order, task.Queue)
				return nil, nil
			}, func(w *Worker) { w.Strict, w.Concurrency, w.Prefetch = strict, 2, 2 })
			redistest.Wait(t, 10*time.Second, func() error {
				mu.Lock()
				defer mu.Unlock()
				if len(order) < 600 {
					return fmt.Errorf("%d run", len(order))
				}
				return nil
			})
			other := slices.Index(order, "other")
			if strict && other < 290 || !strict && other > 20 {
				t.Errorf("the first of other is number %d", other)
			}
		})
	}
}

func TestLimitsOfAllWorkers(t *testing.T) {
	t.Parallel()
	s := newSite(t, plain(func(q *schema.Queue) { q.Concurrency, q.Rate = 3, 200 }))
	var now, most atomic.Int32
	run := func(context.Context, Task) (json.RawMessage, error) {
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		time.Sleep(5 * time.Millisecond)
		now.Add(-1)
		return nil, nil
	}
	began := time.Now()
	s.add(numbered(100, "t")...)
	s.run(run, named("w1"))
	s.run(run, named("w2"))
	s.idle()
	if most.Load() > 3 {
		t.Errorf("%d at once", most.Load())
	}
	if took := time.Since(began); took < 350*time.Millisecond || took > 5*time.Second {
		t.Errorf("100 tasks at 200 in a second took %s", took)
	}
}

func TestFollowsOperations(t *testing.T) {
	t.Parallel()
	s, c := newSite(t), newTally()
	var heard atomic.Int32
	s.run(c.run, func(w *Worker) {
		w.Settings, w.Queues = nil, []string{"default"}
		w.Changed = func(schema.Operations) { heard.Add(1) }
	})
	publish := func(q schema.Queue, digest string) {
		content, _ := json.Marshal(q)
		s.client.HSet(t.Context(), "rsm:operations", "queue/default", content, "digest", digest)
		s.client.Publish(t.Context(), "rsm:operations", digest)
	}
	publish(plain(), "one")
	s.add(queue.Task{ID: "a", Type: "t"})
	s.wait("a", "")
	publish(plain(func(q *schema.Queue) { q.Tasks = []schema.TaskType{{Name: "x"}} }), "two")
	redistest.Wait(t, 10*time.Second, redistest.Want("versions heard", 2, heard.Load))
	s.add(queue.Task{ID: "b", Type: "t"})
	s.wait("b", "")
	redistest.Wait(t, 10*time.Second, func() error {
		roles, err := bus.ReadRoles(t.Context(), s.client)
		if err == nil && (len(roles) != 1 || roles[0].Operations != "two" || roles[0].Stats["done"] != 2) {
			err = fmt.Errorf("roles %+v", roles)
		}
		return err
	})
}

func TestCommands(t *testing.T) {
	t.Parallel()
	sh := func(script string) schema.Exec { return schema.Exec{Argv: []string{"/bin/sh", "-c", script}} }
	types := []schema.TaskType{
		{Name: "cat", Command: sh("cat")},
		{Name: "text", Command: sh("echo noise >&2; echo hello")},
		{Name: "again", Command: sh("exit 75")},
		{Name: "none", Command: schema.Exec{Argv: []string{"/no/such/program"}}},
		{Name: "slow", Command: sh("sleep 60 & sleep 60"), Timeout: 200 * time.Millisecond},
	}
	s := newSite(t, plain(func(q *schema.Queue) { q.Retention, q.Tasks = time.Hour, types }))
	env := handler.Env{Spool: t.TempDir()}
	s.run(nil, func(w *Worker) { w.Handler, w.Command = nil, Commands(env, nil) })
	for _, kind := range types {
		s.add(queue.Task{ID: kind.Name, Type: kind.Name, Payload: json.RawMessage(`{"a":1}`), Attempts: 2})
	}
	for id, want := range map[string]string{"cat": `{"id":"cat","type":"cat","queue":"default","attempt":1,"payload":{"a":1}}`, "text": `"hello"`} {
		var kept Result
		if err := json.Unmarshal(s.wait(id, queue.Finished).Result, &kept); err != nil || string(kept.Output) != want {
			t.Errorf("%s: %s, %v", id, kept.Output, err)
		}
	}
	for id, failures := range map[string]int{"again": 2, "slow": 2, "none": 1} {
		if info := s.wait(id, queue.Dead); info.Failures != failures {
			t.Errorf("%s: %+v", id, info)
		}
	}
}

func TestDeliveries(t *testing.T) {
	t.Parallel()
	s, spool := newSite(t), t.TempDir()
	d := &Deliveries{Client: s.client, Env: handler.Env{Spool: spool}}
	d.Set(schema.Operations{Handlers: []schema.Handler{{Name: "file", Queue: "default", Log: &schema.Log{File: "events.log"}}}})
	s.run(nil, func(w *Worker) { w.Handler, w.Handlers = nil, d.Find })
	s.add(queue.Task{ID: "e1:file", Type: "handle/file", Payload: json.RawMessage(`{"handler":"file","event":{"a":1},"event_id":"e1","type":"x"}`)},
		queue.Task{ID: "e1:gone", Type: "handle/gone", Payload: json.RawMessage(`{}`)})
	s.wait("e1:file", "")
	s.wait("e1:gone", queue.Scheduled)
	list, err := handler.ListDeliveries(t.Context(), s.client, 10)
	if err != nil || len(list) != 1 || !list[0].OK || list[0].Handler != "file" {
		t.Errorf("deliveries %+v, %v", list, err)
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	s, c := newSite(t), newTally()
	addr := fmt.Sprintf("127.0.0.1:%d", redistest.Ports(t, 1)[0])
	s.add(queue.Task{ID: "later", Type: "t", Delay: time.Hour}, queue.Task{ID: "a", Type: "t"})
	s.run(c.run, func(w *Worker) { w.Metrics = schema.Addr(addr) })
	s.wait("a", "")
	redistest.Wait(t, 5*time.Second, func() error {
		response, err := http.Get("http://" + addr + "/metrics")
		if err != nil {
			return err
		}
		defer response.Body.Close()
		text, _ := io.ReadAll(response.Body)
		for _, want := range []string{`rsm_queue_tasks{queue="default",state="scheduled"} 1`, `rsm_worker_tasks_total{outcome="done"} 1`, `rsm_worker_slots 4`} {
			if !strings.Contains(string(text), want) {
				return fmt.Errorf("no %s in\n%s", want, text)
			}
		}
		return nil
	})
}

func TestStartFails(t *testing.T) {
	t.Parallel()
	if err := (&Worker{}).Run(t.Context()); err == nil {
		t.Error("without a client")
	}
	w := Worker{Client: new(bus.Client), Worker: schema.Worker{Name: "w", Labels: map[string]string{"a b": "c"}}}
	if err := w.Run(t.Context()); err == nil || !strings.Contains(err.Error(), `label "a b"`) {
		t.Error(err)
	}
}
