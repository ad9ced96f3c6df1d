package dispatch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"rsm/runtime/bus"
	"rsm/runtime/worker/alert"
)

const (
	// lookEvery is how often what is due is looked for.
	lookEvery = 250 * time.Millisecond
	// atOnce is how much of it is taken at once.
	atOnce = 200
)

// watchTime does what comes of time until ctx ends.
func (d *Dispatcher) watchTime(ctx context.Context) error {
	failed := trouble{log: d.Log, what: "look at what is due"}
	known := ""
	for ctx.Err() == nil {
		more, err := d.passTime(ctx, &known)
		if err != nil {
			d.meter.errors.Inc()
			failed.wait(ctx, err)
			continue
		}
		if failed.over(); more {
			continue
		}
		timer := time.NewTimer(around(lookEvery))
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-d.hurry:
		}
		timer.Stop()
	}
	return nil
}

// passTime looks once. more says that there is more.
func (d *Dispatcher) passTime(ctx context.Context, rules *string) (more bool, err error) {
	of, p := d.Role.Dispatcher, d.plan.Load()
	most := atOnce
	if p == nil { // agents are watched all the same
		most = 0
	} else if err := d.rulesChanged(ctx, p, rules); err != nil {
		return false, err
	}
	reply, err := lookScript.Run(ctx, d.client, nil, bus.Stream, bus.Group, most, of.Silent, of.Grace.Milliseconds()).Slice()
	if err != nil {
		return false, fmt.Errorf("look: %w", err)
	}
	if len(reply) != 2 {
		return false, errors.New("look: the script gave no list")
	}
	now, _ := reply[0].(int64)
	d.clock.set(time.UnixMilli(now))
	names := byKind(reply[1])
	if p == nil || len(names) == 0 {
		return false, nil
	}
	if err := d.undue(ctx, names); err != nil {
		return false, err
	}
	l := &lookout{d: d, plan: p, now: d.clock.Now()}
	for _, kind := range []struct {
		name string
		do   func(context.Context, []string) error
	}{{"a", l.alerts}, {"g", l.groups}, {"b", l.budgets}, {"s", l.silences}} {
		if list := names[kind.name]; len(list) > 0 {
			if err := kind.do(ctx, list); err != nil {
				return false, err
			}
		}
	}
	found, _ := reply[1].([]any)
	return len(found) == atOnce, nil
}

// byKind sorts what is due.
func byKind(found any) map[string][]string {
	names := map[string][]string{}
	list, _ := found.([]any)
	for _, one := range list {
		text, _ := one.(string)
		kind, name, _ := strings.Cut(text, ":")
		names[kind] = append(names[kind], name)
	}
	return names
}

// undue takes out what is nothing that can be due: somebody else wrote it.
func (d *Dispatcher) undue(ctx context.Context, names map[string][]string) error {
	for kind, list := range names {
		if slices.Contains([]string{"a", "g", "b", "s"}, kind) {
			continue
		}
		for _, name := range list {
			d.Log.Warn("forget what is due", "key", due, "name", kind+":"+name)
			if err := d.client.ZRem(ctx, due, kind, kind+":"+name).Err(); err != nil {
				return fmt.Errorf("look: %w", err)
			}
		}
	}
	return nil
}

// newRules makes everything due when the rules are not those that everything was
// looked at with. ARGV: the digest.
var newRules = redis.NewScript(`
if redis.call('GET', '` + rulesKey + `') == ARGV[1] then return 0 end
local clock = redis.call('TIME')
local now = clock[1] * 1000
for _, of in ipairs({{'` + Alerts + `', 'a:'}, {'` + Groups + `', 'g:'}, {'` + Budgets + `', 'b:'}}) do
  for _, name in ipairs(redis.call('HKEYS', of[1])) do redis.call('ZADD', '` + due + `', now, of[2] .. name) end
end
redis.call('SET', '` + rulesKey + `', ARGV[1])
return 1`)

func (d *Dispatcher) rulesChanged(ctx context.Context, p *plan, known *string) error {
	if *known == p.digest {
		return nil
	}
	if err := newRules.Run(ctx, d.client, nil, p.digest).Err(); err != nil {
		return fmt.Errorf("look at all alerts: %w", err)
	}
	*known = p.digest
	return nil
}

// lookout looks at what is due at one moment.
type lookout struct {
	d    *Dispatcher
	plan *plan
	now  time.Time
}

// do does units, and says what became of them.
func (l *lookout) do(ctx context.Context, units []*unit) ([]string, error) {
	if len(units) == 0 {
		return nil, nil
	}
	c := commit{max: l.plan.max, units: units}
	r, err := c.run(ctx, l.d.client)
	if err != nil {
		return nil, err
	}
	l.d.meter.result(r)
	return r.units, nil
}

// alerts lets time pass for alerts. One that an event has moved meanwhile is due
// again when that says.
func (l *lookout) alerts(ctx context.Context, fingerprints []string) error {
	states, err := l.d.states(ctx, fingerprints)
	if err != nil {
		return err
	}
	var units []*unit
	for _, fingerprint := range fingerprints {
		before, u := states[fingerprint], &unit{}
		switch {
		case before.alert == nil:
			u.set(Alerts, fingerprint, before.raw, keep)
			u.wake("a:"+fingerprint, time.Time{})
		default:
			next, changed := l.plan.rules.Due(*before.alert, l.now)
			if changed {
				u.moved(before, next, l.now)
				defer l.d.soon() // its group is due
				break
			}
			u.set(Alerts, fingerprint, before.raw, keep)
			u.wake("a:"+fingerprint, before.alert.Wake)
		}
		units = append(units, u)
	}
	_, err = l.do(ctx, units)
	return err
}

// budgets sends what rates have held back.
func (l *lookout) budgets(ctx context.Context, receivers []string) error {
	values, err := l.d.fields(ctx, Budgets, receivers)
	if err != nil {
		return err
	}
	var units []*unit
	for _, receiver := range receivers {
		u := &unit{}
		l.spend(u, values, receiver, nil)
		units = append(units, u)
	}
	_, err = l.do(ctx, units)
	return err
}

// spend lets notifications to a receiver through, as far as its rate allows.
func (l *lookout) spend(u *unit, budgets map[string]string, receiver string, list []alert.Notification) {
	before := budgets[receiver]
	budget := decode[alert.Budget](before)
	if budget == nil {
		budget = &alert.Budget{}
	}
	next, sent := budget.Pass(l.plan.handler[receiver].Rate, list, l.now)
	after := ""
	if next != nil {
		after = encode(next)
		u.wake("b:"+receiver, next.Wake)
	} else if before != "" || list == nil {
		u.wake("b:"+receiver, time.Time{})
	}
	switch {
	case after != "":
		u.set(Budgets, receiver, before, after)
	case before != "":
		u.set(Budgets, receiver, before, remove)
	}
	budgets[receiver] = after
	for _, n := range sent {
		t, err := l.plan.tell(n)
		if err != nil { // the rule names a handler that is not there any more
			l.d.meter.failed.Inc()
			l.d.Log.Error("notification is lost", "error", err)
			continue
		}
		u.tasks = append(u.tasks, t)
	}
}

// silences ends silences.
func (l *lookout) silences(ctx context.Context, ids []string) error {
	values, err := l.d.fields(ctx, Silences, ids)
	if err != nil {
		return err
	}
	var alerts []alert.Alert // read when needed
	var units []*unit
	for _, id := range ids {
		before, u := values[id], &unit{}
		s := decode[alert.Silence](before)
		if s == nil || s.ID != id {
			u.set(Silences, id, before, keep)
			u.wake("s:"+id, time.Time{})
			units = append(units, u)
			continue
		}
		if s.UntilResolved && alerts == nil {
			if alerts, err = ReadAlerts(ctx, l.d.client); err != nil {
				return err
			}
		}
		next, changed := s.Next(alerts, l.now)
		l.silence(u, before, s, next, changed)
		units = append(units, u)
	}
	_, err = l.do(ctx, units)
	return err
}

// silenceCheck is how often a silence that lasts until all is well is looked at.
const silenceCheck = 2 * time.Second

func (l *lookout) silence(u *unit, before string, old, next *alert.Silence, changed bool) {
	after, wake := keep, old.Ends
	switch {
	case next == nil:
		after, wake = remove, time.Time{}
		u.do("TOUCH")
	case changed:
		after = encode(next)
	}
	if next != nil && next.UntilResolved {
		wake = l.now.Add(silenceCheck)
		if wake.After(next.Ends) {
			wake = next.Ends
		}
	}
	u.set(Silences, old.ID, before, after)
	u.wake("s:"+old.ID, wake)
}

// unique sorts names and drops those that come again.
func unique(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}
