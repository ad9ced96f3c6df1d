package queue

import (
	"bytes"
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/hibiken/asynq"

	"rsm/runtime/bus"
	"rsm/runtime/worker"
	"rsm/runtime/worker/queue"
	"rsm/schema"
)

// payload has 64 bytes and is JSON.
var payload = []byte(`"` + string(bytes.Repeat([]byte("x"), 62)) + `"`)

type rsm struct{}

func (rsm) name() string { return "rsm" }

var settings = schema.Queue{Name: "default", Lease: 2 * time.Second, Timeout: time.Minute, Attempts: 3, Crashes: 3,
	Backoff: time.Second, BackoffMax: time.Minute, DeadRetention: time.Hour}

func (rsm) connect(addr string) (*bus.Client, error) {
	return bus.Connect(schema.Access{}, bus.Options{Name: "bench", Addr: schema.Addr(addr)})
}

func (r rsm) add(ctx context.Context, addr string, n int) error {
	client, err := r.connect(addr)
	if err != nil {
		return err
	}
	defer client.Close()
	q := queue.New(client.Client, settings)
	for from := 0; from < n; from += 100 {
		tasks := make([]queue.Task, min(100, n-from))
		for i := range tasks {
			tasks[i] = queue.Task{Type: "email", Payload: payload}
		}
		if _, err := q.Add(ctx, tasks...); err != nil {
			return err
		}
	}
	return nil
}

func (r rsm) work(ctx context.Context, addr string, concurrency int, done func([]byte)) error {
	client, err := r.connect(addr)
	if err != nil {
		return err
	}
	defer client.Close()
	w := worker.Worker{Client: client, Worker: schema.Worker{Name: "bench", Concurrency: concurrency, Prefetch: concurrency, Grace: time.Second},
		Settings: []schema.Queue{settings},
		Handler: worker.HandlerFunc(func(_ context.Context, t worker.Task) (json.RawMessage, error) {
			done(t.Payload)
			return nil, nil
		})}
	return w.Run(ctx)
}

func (r rsm) submit(ctx context.Context, addr string) (func([]byte) error, func(), error) {
	client, err := r.connect(addr)
	if err != nil {
		return nil, nil, err
	}
	q := queue.New(client.Client, settings)
	return func(payload []byte) error {
		_, err := q.Add(ctx, queue.Task{Type: "email", Payload: payload})
		return err
	}, func() { _ = client.Close() }, nil
}

// asynqServer is github.com/hibiken/asynq, with one Server.
type asynqServer struct {
	label string
	check time.Duration // 0 for its default of a second
}

var (
	asynqDefault = asynqServer{label: "asynq"}
	asynqOften   = asynqServer{label: "asynq, 10 ms", check: 10 * time.Millisecond}
)

func (a asynqServer) name() string { return a.label }

func (asynqServer) add(ctx context.Context, addr string, n int) error {
	client := asynq.NewClient(asynq.RedisClientOpt{Addr: addr, PoolSize: 50})
	defer client.Close()
	var all sync.WaitGroup
	errs := make(chan error, 50)
	for i := range 50 {
		all.Go(func() {
			for j := i; j < n; j += 50 {
				if _, err := client.EnqueueContext(ctx, asynq.NewTask("email", payload)); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	all.Wait()
	close(errs)
	return <-errs // nil when there is none
}

func (a asynqServer) work(ctx context.Context, addr string, concurrency int, done func([]byte)) error {
	server := asynq.NewServer(asynq.RedisClientOpt{Addr: addr}, asynq.Config{Concurrency: concurrency, TaskCheckInterval: a.check, LogLevel: asynq.FatalLevel})
	err := server.Start(asynq.HandlerFunc(func(_ context.Context, t *asynq.Task) error {
		done(t.Payload())
		return nil
	}))
	if err != nil {
		return err
	}
	<-ctx.Done()
	server.Shutdown()
	return nil
}

func (asynqServer) submit(ctx context.Context, addr string) (func([]byte) error, func(), error) {
	client := asynq.NewClient(asynq.RedisClientOpt{Addr: addr})
	return func(payload []byte) error {
		_, err := client.EnqueueContext(ctx, asynq.NewTask("email", payload))
		return err
	}, func() { _ = client.Close() }, nil
}
