package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"rsm/runtime/bus"
	"rsm/runtime/worker/handler"
	"rsm/schema"
)

// mostDeliveries is how many deliveries are remembered, about.
const mostDeliveries = 10_000

// Deliveries runs tasks of type "handle/<name>" by the handlers that reconcile has
// published, and writes each attempt into the stream handler.Deliveries.
type Deliveries struct {
	Client *bus.Client
	Env    handler.Env
	// Trust is asked for every handler that does more than write below the spool
	// directory.
	Trust Trust
	known atomic.Pointer[map[string]schema.Handler]
}

// Set is for Worker.Changed.
func (d *Deliveries) Set(ops schema.Operations) {
	known := make(map[string]schema.Handler, len(ops.Handlers))
	for _, h := range ops.Handlers {
		known[h.Name] = h
	}
	d.known.Store(&known)
}

// Find is for Worker.Handlers.
func (d *Deliveries) Find(name string) (Handler, bool) {
	known := d.known.Load()
	if known == nil {
		return nil, false
	}
	h, ok := (*known)[name]
	if !ok {
		return nil, false
	}
	return HandlerFunc(func(ctx context.Context, t Task) (json.RawMessage, error) {
		if d.refuses(h) {
			return nil, fmt.Errorf("handler %s: %w", name, ErrUntrusted)
		}
		return d.run(ctx, h, t)
	}), true
}

// find returns a handler that another one asks for, unless it is not trusted.
func (d *Deliveries) find(name string) (schema.Handler, bool) {
	known := d.known.Load()
	if known == nil {
		return schema.Handler{}, false
	}
	h, ok := (*known)[name]
	return h, ok && !d.refuses(h)
}

func (d *Deliveries) refuses(h schema.Handler) bool {
	return !h.Harmless() && d.Trust.refuses(h.Digest())
}

func (d *Deliveries) run(ctx context.Context, h schema.Handler, t Task) (json.RawMessage, error) {
	env := d.Env
	env.Handler, env.Worker = d.find, t.Worker
	outcome, err := handler.Run(ctx, h, handler.Task{ID: t.ID, Attempt: t.Attempt, Payload: t.Payload}, env)
	// The log is for people: that it cannot be written is no reason to mail again.
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if bad := handler.AppendDelivery(bounded, d.Client, mostDeliveries, outcome.Delivery); bad != nil && env.Log != nil {
		env.Log.LogAttrs(ctx, slog.LevelWarn, "a delivery is not logged", slog.Any("error", bad))
	}
	if err != nil {
		return nil, err
	}
	return json.Marshal(outcome.Delivery)
}
