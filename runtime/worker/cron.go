package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"rsm/reconcile/window"
	"rsm/runtime/worker/queue"
	"rsm/schema"
)

// cronMemory is for how long an occurrence is remembered after it was added: by how
// much the clocks of workers may differ.
const cronMemory = time.Hour

// cron adds the tasks of a queue that come by themselves. Every worker of the queue
// does: the id and the unique key of an occurrence are its name and time, so it is
// added once. What would have come while no worker ran does not come later.
func (r *run) cron(ctx context.Context, l *line) {
	next := map[string]time.Time{}
	for ctx.Err() == nil {
		now := r.serverTime()
		wait := time.Minute // clocks are set now and then
		for _, c := range l.Settings().Cron {
			if at, ok := next[c.Name]; ok && !at.After(now) {
				r.occur(ctx, l, c, at)
				delete(next, c.Name)
			}
			at, ok := next[c.Name]
			if !ok {
				if at, ok = occurrence(c, now); !ok {
					continue
				}
				next[c.Name] = at
			}
			wait = min(wait, at.Sub(now))
		}
		sleep(ctx, max(wait, time.Millisecond))
	}
}

// withReports adds the reports that come by themselves to the queues of their
// handlers.
func withReports(ops schema.Operations) []schema.Queue {
	queues := slices.Clone(ops.Queues)
	for _, h := range ops.Handlers {
		i := slices.IndexFunc(queues, func(q schema.Queue) bool { return q.Name == h.Queue })
		if i < 0 || h.Report == nil || h.Report.Cron == "" {
			continue
		}
		report := schema.CronTask{Name: "report/" + h.Name, Cron: h.Report.Cron, Zone: h.Report.Zone, Type: "handle/" + h.Name}
		queues[i].Cron = append(slices.Clone(queues[i].Cron), report)
	}
	return queues
}

// serverTime is the time of Redis, as it was last asked for it.
func (r *run) serverTime() time.Time { return r.Now().Add(time.Duration(r.ahead.Load())) }

// occurrence is the first time after now, of whole seconds, at which a task comes.
func occurrence(c schema.CronTask, now time.Time) (at time.Time, ok bool) {
	every := schema.Maintenance{Allow: []schema.Window{{Cron: c.Cron, Zone: c.Zone, For: time.Millisecond}}}
	// Inside of the millisecond that began now is the time that is over.
	open, at, _ := window.Open(every, now.Truncate(time.Millisecond).Add(time.Millisecond))
	return at, !open && !at.IsZero()
}

// occur adds one occurrence, and tries for as long as it takes.
func (r *run) occur(ctx context.Context, l *line, c schema.CronTask, at time.Time) {
	id := "cron:" + c.Name + ":" + at.UTC().Format(time.RFC3339)
	task := queue.Task{ID: id, Type: c.Type, Payload: c.Payload, Unique: &queue.Unique{Key: id, Scope: queue.UntilTTL, TTL: cronMemory}}
	if name, ok := strings.CutPrefix(c.Type, "handle/"); ok && c.Payload == nil {
		task.Payload = fmt.Appendf(nil, `{"handler":%q,"until":%q}`, name, at.UTC().Format(time.RFC3339))
	}
	var bad trouble
	for ctx.Err() == nil {
		_, err := l.Add(ctx, task)
		switch {
		case err == nil:
			return
		case errors.Is(err, queue.ErrFull) || errors.Is(err, queue.ErrDraining):
			r.Log.Error("a cron task does not come", "queue", l.name, "cron", c.Name, "at", at, "error", err)
			return
		case bad.tries == 0:
			r.Log.Warn("cannot add a cron task, try again", "queue", l.name, "cron", c.Name, "at", at, "error", err)
		}
		sleep(ctx, bad.next())
	}
}
