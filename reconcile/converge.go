package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"rsm/schema"
)

// Pause is how long Converge waits before it looks again while everything that
// is held passes by itself.
const Pause = 500 * time.Millisecond

// silentLooks is how many looks in a row a server may leave unanswered before
// Converge gives up: a busy one misses a look now and then.
const silentLooks = 3

// Pass observes, plans and applies once.
func (a *Applier) Pass(ctx context.Context, c *schema.Cluster) (*Report, error) {
	state, err := a.Observer.Observe(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("observe %s: %w", c.Name, err)
	}
	plan := NewPlan(c, state, a.Allow)
	if len(plan.Steps) == 0 {
		return &Report{Cluster: c.Name, Remaining: plan}, nil
	}
	return a.Apply(ctx, c, plan), nil
}

// Converge repeats passes until there is no drift, or only such that does not
// pass by itself, or the context ends. The reports' steps are joined.
func (a *Applier) Converge(ctx context.Context, c *schema.Cluster) (*Report, error) {
	total := &Report{Cluster: c.Name}
	started, said, silent := a.now(), "", 0
	for {
		report, err := a.Pass(ctx, c)
		if err != nil {
			return total, err
		}
		total.Steps = append(total.Steps, report.Steps...)
		total.Replans += report.Replans
		total.Err, total.Error, total.Remaining = report.Err, report.Error, report.Remaining
		total.Duration = a.now().Sub(started)
		rest := report.Remaining
		again := rest != nil && (rest.Waiting() || len(rest.Steps) > 0)
		if rest != nil && !again && unanswered(rest) {
			silent++
			again = silent < silentLooks
		} else {
			silent = 0
		}
		if report.Err != nil && !errors.Is(report.Err, ErrStale) || !again {
			return total, nil
		}
		if len(rest.Steps) == 0 {
			said = a.say(c.Name, rest.Held, said)
		}
		if err := a.sleep(ctx, Pause); err != nil {
			total.Err, total.Error = err, err.Error()
			return total, nil
		}
	}
}

// unanswered reports whether nothing is held but what passes by itself and
// servers that do not answer.
func unanswered(p *Plan) bool {
	return len(p.Held) > 0 && len(p.Invalid) == 0 && !slices.ContainsFunc(p.Held, func(h Held) bool {
		return !h.Wait && !slices.ContainsFunc(h.Causes, func(d Drift) bool { return d.Field == fieldReach })
	})
}

// say tells what Converge waits for, when that is not what it said before.
func (a *Applier) say(cluster string, held []Held, before string) string {
	text := ""
	for _, h := range held {
		text += sep(text) + h.Subject + ": " + h.Reason
	}
	if text != before && a.Notify != nil {
		a.Notify(Event{Time: a.now(), Cluster: cluster, Type: "held", Text: text})
	}
	return text
}
