package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"rsm/internal/redistest"
	"rsm/runtime/bus"
	"rsm/runtime/worker/queue"
	"rsm/schema"
)

// plain are settings of the queue "default" that suit tests.
func plain(changes ...func(*schema.Queue)) schema.Queue {
	q := schema.Queue{Name: "default", Lease: 10 * time.Second, Attempts: 3, Crashes: 3, Backoff: time.Millisecond, BackoffMax: 5 * time.Millisecond, DeadRetention: time.Hour}
	for _, change := range changes {
		change(&q)
	}
	return q
}

// site is a Redis with queues, and workers on them.
type site struct {
	*testing.T
	server *redistest.Server
	client *bus.Client
	queues []schema.Queue
	*queue.Queue
}

func newSite(t *testing.T, queues ...schema.Queue) *site {
	t.Helper()
	if len(queues) == 0 {
		queues = []schema.Queue{plain()}
	}
	server := redistest.Start(t)
	s := &site{T: t, server: server, client: connect(t, schema.Access{}, schema.Addr(server.Addr())), queues: queues}
	s.Queue = queue.New(s.client.Client, queues[0])
	return s
}

func connect(t *testing.T, access schema.Access, addr schema.Addr) *bus.Client {
	t.Helper()
	client, err := bus.Connect(access, bus.Options{Name: "rsm-test", Addr: addr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// run starts a worker. stop ends it and waits; the end of the test does, too.
func (s *site) run(h HandlerFunc, changes ...func(*Worker)) (stop func()) {
	s.Helper()
	w := &Worker{Client: s.client, Worker: schema.Worker{Name: "w1", Concurrency: 4, Prefetch: 4, Grace: 5 * time.Second},
		Settings: s.queues, Handler: h, Log: slog.New(slog.NewTextHandler(testLog{s.T}, &slog.HandlerOptions{Level: slog.LevelWarn}))}
	for _, change := range changes {
		change(w)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				s.Error(err)
			}
		case <-time.After(20 * time.Second):
			s.Error("the worker does not end")
		}
	})
	s.Cleanup(stop)
	return stop
}

type testLog struct{ *testing.T }

func (l testLog) Write(p []byte) (int, error) { l.Logf("%s", p); return len(p), nil }

func (s *site) add(tasks ...queue.Task) []queue.Receipt {
	s.Helper()
	receipts, err := s.Add(s.Context(), tasks...)
	if err != nil {
		s.Fatal(err)
	}
	return receipts
}

func numbered(n int, kind string) (tasks []queue.Task) {
	for i := range n {
		tasks = append(tasks, queue.Task{ID: fmt.Sprint("t", i), Type: kind, Payload: fmt.Appendf(nil, `{"n":%d}`, i)})
	}
	return tasks
}

// wait waits until a task is in a state, "" for gone.
func (s *site) wait(id string, state queue.State) (info queue.Info) {
	s.Helper()
	redistest.Wait(s, 10*time.Second, func() error {
		var err error
		info, err = s.Get(s.Context(), id)
		if errors.Is(err, queue.ErrNotFound) && state == "" {
			return nil
		}
		if err == nil && info.State != state {
			err = fmt.Errorf("%s is %s, want %s", id, info.State, state)
		}
		return err
	})
	return info
}

// idle waits until no task is left in the queue and checks that no record is.
func (s *site) idle() {
	s.Helper()
	redistest.Wait(s, 30*time.Second, func() error {
		st, err := s.Stats(s.Context())
		if err == nil && st.Pending+st.Active+st.Scheduled > 0 {
			err = fmt.Errorf("left: %+v", st)
		}
		return err
	})
	for _, name := range []string{"lease", "own", "sched"} {
		if s.client.Exists(s.Context(), "rsm:{"+s.Name()+"}:"+name).Val() != 0 {
			s.Errorf("%s is left", name)
		}
	}
}

// tally counts runs of tasks.
type tally struct {
	mu   sync.Mutex
	runs map[string]int
	by   map[string]int
}

func newTally() *tally { return &tally{runs: map[string]int{}, by: map[string]int{}} }

func (c *tally) run(_ context.Context, t Task) (json.RawMessage, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.runs[t.ID]++
	c.by[t.Worker]++
	return nil, nil
}

func (c *tally) of(id string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.runs[id]
}
