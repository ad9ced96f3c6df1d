package worker

import (
	"context"
	"os"
	"time"

	"rsm/runtime/bus"
	"rsm/runtime/worker/queue"
)

// announceEvery is how often a worker tells that it is alive.
const announceEvery = 5 * time.Second

// announce tells that the worker is alive until ctx ends.
func (r *run) announce(ctx context.Context) {
	var bad trouble
	for {
		wait := announceEvery
		now, err := queue.Beat(ctx, r.Client.Client, r.Name)
		if err == nil {
			r.ahead.Store(int64(now.Sub(r.Now())))
			err = bus.Announce(ctx, r.Client, r.presence())
		}
		if err != nil {
			wait = bad.next()
			if bad.first() && ctx.Err() == nil {
				r.Log.Warn("cannot tell that the worker is alive, try again", "error", err)
			}
		} else if bad.over() {
			r.Log.Info("reach the master again")
		}
		select {
		case <-ctx.Done():
			return
		case <-r.renewed:
		case <-time.After(wait):
		}
	}
}

func (r *run) presence() bus.Presence {
	p := bus.Presence{Kind: "worker", Name: r.Name, Host: r.Host, Address: r.Address, PID: os.Getpid(), Version: r.Version,
		Digest: r.Digest, Started: r.started, Every: announceEvery}
	p.Operations, _ = r.follows.Load().(string)
	p.Refusal, _ = r.refusal.Load().(string)
	p.Stats = map[string]int64{"running": r.running.Load(), "reserved": r.open.Load(), "done": r.done.Load(), "failed": r.failed.Load(),
		"slots": int64(r.Concurrency)}
	return p
}

// withdraw takes back that the worker is alive.
func (r *run) withdraw(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := bus.Withdraw(ctx, r.Client, r.presence()); err != nil {
		r.Log.Warn("cannot tell that the worker is gone", "error", err)
	}
}
