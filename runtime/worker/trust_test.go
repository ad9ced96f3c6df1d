package worker

import (
	"errors"
	"testing"

	"rsm/runtime/worker/handler"
	"rsm/runtime/worker/queue"
	"rsm/schema"
)

// TestTrust: a command or a handler that the worker was not told of is not run, and
// comes again without an attempt, so that it runs once the worker is told.
func TestTrust(t *testing.T) {
	t.Parallel()
	known := schema.TaskType{Name: "t", Command: schema.Exec{Argv: []string{"/bin/echo", "hello"}}}
	forged := schema.TaskType{Name: "t", Command: schema.Exec{Argv: []string{"/bin/echo", "forged"}}}
	trust := TrustOnly([]string{known.Digest("default")})
	env := handler.Env{Spool: t.TempDir()}
	task := Task{Task: queue.Task{ID: "a", Type: "t"}, Queue: "default"}
	if said, err := Commands(env, trust)(known).Run(t.Context(), task); err != nil || string(said) != `"hello"` {
		t.Errorf("what it knows: %s, %v", said, err)
	}
	_, err := Commands(env, trust)(forged).Run(t.Context(), task)
	if !errors.Is(err, ErrUntrusted) {
		t.Errorf("what it does not know: %v", err)
	}
	if f := judge(queue.Lease{}, schema.Queue{Attempts: 1}, err, 0.5); f.Verdict != queue.Later || f.Delay == 0 {
		t.Errorf("it is judged %+v", f)
	}
	elsewhere := task
	elsewhere.Queue = "other"
	if _, err := Commands(env, trust)(known).Run(t.Context(), elsewhere); !errors.Is(err, ErrUntrusted) {
		t.Errorf("for another queue: %v", err)
	}

	d := &Deliveries{Env: env, Trust: trust}
	d.Set(schema.Operations{Handlers: []schema.Handler{{Name: "x", Queue: "default", Log: &schema.Log{}, Exec: &schema.Exec{Argv: []string{"/bin/true"}}}}})
	h, ok := d.Find("x")
	if !ok {
		t.Fatal("it is not found")
	}
	if _, err := h.Run(t.Context(), task); !errors.Is(err, ErrUntrusted) {
		t.Errorf("a handler that it does not know: %v", err)
	}
	if _, ok := d.find("x"); ok {
		t.Error("another handler may use it")
	}
}
