// Worker adds tasks to a queue and runs them, by the Go packages of rsm.
//
//	go run ./examples/worker -redis 127.0.0.1:6379
//
// Any other program may add tasks, too: redis-cli LPUSH task_list '{"type":"greet","name":"Ada"}'
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"time"

	"rsm/runtime/bus"
	"rsm/runtime/worker"
	"rsm/runtime/worker/queue"
	"rsm/schema"
)

func main() {
	addr := flag.String("redis", "127.0.0.1:6379", "`host:port` of a Redis that stands alone")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, schema.Addr(*addr)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// settings of the queue. Those of a spec are read by workers that leave
// Worker.Settings empty.
var settings = schema.Queue{
	Name:     "default",
	Lease:    10 * time.Second, // another worker runs the task when this one is silent for so long
	Timeout:  time.Minute,
	Attempts: 3, Backoff: time.Second, BackoffMax: time.Minute,
	Crashes:       3,
	Retention:     time.Hour, // of results
	DeadRetention: 24 * time.Hour,
}

// greeting is the payload of our tasks.
type greeting struct {
	Name string `json:"name"`
}

func run(ctx context.Context, addr schema.Addr) error {
	client, err := bus.Connect(schema.Access{}, bus.Options{Name: "example", Addr: addr})
	if err != nil {
		return err
	}
	defer client.Close()

	// Tasks are added to a queue. The same id a second time does nothing, so an Add
	// that failed is safe to repeat.
	tasks := queue.New(client.Client, settings)
	if _, err := tasks.Add(ctx,
		queue.Task{ID: "hello-ada", Type: "greet", Payload: json.RawMessage(`{"name":"Ada"}`)},
		queue.Task{ID: "hello-bob", Type: "greet", Payload: json.RawMessage(`{"name":"Bob"}`), Delay: 500 * time.Millisecond},
		queue.Task{ID: "hello-nobody", Type: "greet", Payload: json.RawMessage(`{}`)},
	); err != nil {
		return err
	}

	mux := new(worker.Mux)
	mux.Use(logged)
	mux.HandleFunc("greet", greet)
	w := worker.Worker{
		Client:   client,
		Worker:   schema.Worker{Name: "example", Concurrency: 10, Grace: 5 * time.Second},
		Settings: []schema.Queue{settings},
		Handler:  mux,
	}
	working, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- w.Run(working) }()

	err = tasks.WaitIdle(ctx)
	stop() // what runs is waited for, up to Grace
	if end := <-ended; err == nil {
		err = end
	}
	if err != nil {
		return err
	}
	return tell(ctx, tasks)
}

// greet runs one task.
func greet(_ context.Context, t worker.Task) (json.RawMessage, error) {
	var g greeting
	if err := json.Unmarshal(t.Payload, &g); err != nil || g.Name == "" {
		return nil, queue.Permanent(fmt.Errorf("nobody to greet in %s", t.Payload)) // to try again would not help
	}
	return json.Marshal("Hello, " + g.Name + "!")
}

// logged is a middleware.
func logged(next worker.Handler) worker.Handler {
	return worker.HandlerFunc(func(ctx context.Context, t worker.Task) (json.RawMessage, error) {
		began := time.Now()
		result, err := next.Run(ctx, t)
		slog.Info("task", "id", t.ID, "attempt", t.Attempt, "took", time.Since(began), "error", err)
		return result, err
	})
}

// tell prints what became of the tasks.
func tell(ctx context.Context, tasks *queue.Queue) error {
	for _, state := range []queue.State{queue.Finished, queue.Dead} {
		list, _, err := tasks.List(ctx, state, queue.Page{})
		if err != nil {
			return err
		}
		for _, t := range list {
			fmt.Printf("%s: %s %s%s\n", t.ID, t.State, output(t.Result), t.LastError)
		}
	}
	return nil
}

func output(result json.RawMessage) string {
	var r worker.Result
	_ = json.Unmarshal(result, &r) // empty for a dead one
	return string(r.Output)
}
