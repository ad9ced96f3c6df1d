package worker

import (
	"context"
	"encoding/json"
	"fmt"

	"rsm/runtime/worker/handler"
	"rsm/schema"
)

// Input is what a command reads on its standard input, as JSON.
type Input struct {
	ID      string          `json:"id"`
	Type    string          `json:"type"`
	Queue   string          `json:"queue"`
	Attempt int             `json:"attempt"`
	Payload json.RawMessage `json:"payload"`
}

// Commands runs the commands of queues, see handler.Exec: no shell, in a process
// group that ends with it, and its standard output, up to 16 KiB from its end, is the
// result, as JSON when it is some and else as a string. A command that ends with
// another code than 0 is run again; 126 and 127, which say that there is no such
// command, make the task dead. A command that is not trusted is not run.
func Commands(env handler.Env, trust Trust) func(schema.TaskType) Handler {
	return func(kind schema.TaskType) Handler {
		return HandlerFunc(func(ctx context.Context, t Task) (json.RawMessage, error) {
			if trust.refuses(kind.Digest(t.Queue)) {
				return nil, fmt.Errorf("command of %s: %w", kind.Name, ErrUntrusted)
			}
			payload := t.Payload
			if payload == nil {
				payload = json.RawMessage("null")
			}
			input, err := json.Marshal(Input{ID: t.ID, Type: t.Type, Queue: t.Queue, Attempt: t.Attempt, Payload: payload})
			if err != nil {
				return nil, fmt.Errorf("write task for %s: %w", kind.Name, err)
			}
			said, err := handler.Exec(ctx, kind.Command, handler.Task{ID: t.ID, Attempt: t.Attempt, Payload: payload}, input, env)
			if err != nil || said == "" {
				return nil, err
			}
			if json.Valid([]byte(said)) {
				return json.RawMessage(said), nil
			}
			return json.Marshal(said)
		})
	}
}
