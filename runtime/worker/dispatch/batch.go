package dispatch

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"rsm/runtime/bus"
	"rsm/runtime/worker/alert"
	"rsm/schema"
)

// batch is some events on their way. It decides and does no I/O.
type batch struct {
	plan *plan
	of   schema.Dispatcher
	now  time.Time
	// open are the events that are not done yet, plain those that nothing comes of.
	open  []*judged
	plain []string
	heard map[string]heard
	// stirred says that an alert has changed its status.
	stirred bool
}

// judged is an event with what rules and handlers say of it.
type judged struct {
	entry, origin string
	arrived       time.Time
	event         bus.Event
	// reason says why it is no event, raw is it then.
	reason, raw string
	verdicts    []alert.Verdict
	tasks       []task
	// lost says what a handler cannot get, failed what could not be evaluated.
	lost, failed error
}

// known is an alert as it is stored.
type known struct {
	raw   string
	alert *alert.Alert
	// passed is the time of the last event that ended nothing, see overtaken; "" for
	// none.
	passed string
}

// newKnown reads the alert of a fingerprint; what is another one counts as none.
func newKnown(fingerprint, raw string) known {
	k := known{raw: raw, alert: decode[alert.Alert](raw)}
	if k.alert != nil && k.alert.Fingerprint != fingerprint {
		k.alert = nil
	}
	return k
}

func newBatch(p *plan, of schema.Dispatcher) *batch {
	return &batch{plan: p, of: of, heard: map[string]heard{}}
}

// join adds the batches that wait behind it: that saves Redis work when it is slow.
func (b *batch) join(waiting <-chan *batch) *batch {
	for range len(waiting) {
		next, ok := <-waiting
		if !ok {
			break
		}
		// Those that were evaluated by other rules meanwhile say the same of handlers
		// and alerts that are still there.
		b.plan = next.plan
		b.open, b.plain = append(b.open, next.open...), append(b.plain, next.plain...)
		for name, h := range next.heard {
			if h.last >= b.heard[name].last {
				b.heard[name] = h
			}
		}
	}
	return b
}

// judge adds an entry of the stream.
func (b *batch) judge(entry, text string) *judged {
	j := &judged{entry: entry, arrived: arrival(entry), raw: text}
	b.look(j)
	switch {
	case j.reason == "" && j.lost == nil && len(j.verdicts)+len(j.tasks) == 0:
		b.plain = append(b.plain, entry)
	default:
		b.open = append(b.open, j)
	}
	return j
}

// look reads and evaluates. An event must not end the dispatcher, whatever is in
// it: what fails as nobody thought of is a reason, too.
func (b *batch) look(j *judged) {
	defer func() {
		if crash := recover(); crash != nil {
			j.reason = fmt.Sprintf("the evaluation crashed: %v", crash)
		}
	}()
	event, err := bus.Parse([]byte(j.raw), j.arrived)
	if err != nil {
		j.reason = err.Error()
		return
	}
	if j.origin = event.ID; event.ID == "" {
		event.ID = j.entry
	}
	j.event = event
	b.hear(j)
	for _, v := range b.plan.rules.Verdicts(alert.Event(event)) {
		if v.State != alert.Unknown {
			j.verdicts = append(j.verdicts, v)
		}
	}
	j.tasks, j.lost, j.failed = b.plan.tasks(event)
}

// hear keeps a sign of life.
func (b *batch) hear(j *judged) {
	interval, _ := j.event.Fields["interval"].(float64)
	name, _ := j.event.Fields["agent"].(string)
	const longest = 24 * 3600 * 1000
	if b.of.Silent <= 0 || interval < 1 || interval > longest || j.event.Type == "agent" || name == "" && j.event.Host == "" {
		return
	}
	a := Agent{Agent: name, Host: j.event.Host, Interval: int64(interval), Last: j.arrived.UnixMilli()}
	key := a.Host + "/" + a.Agent
	if before, ok := b.heard[key]; ok && before.last > a.Last {
		return
	}
	limit := time.Duration(b.of.Silent)*time.Duration(a.Interval)*time.Millisecond + b.of.Grace
	b.heard[key] = heard{name: key, known: encode(a), last: a.Last, deadline: j.arrived.Add(limit)}
}

// fingerprints are those of the alerts that it is about, and of those among them
// that events are about of which no next one is promised.
func (b *batch) fingerprints() (list, single []string) {
	seen := map[string]bool{}
	for _, j := range b.open {
		for _, v := range j.verdicts {
			if !seen[v.Fingerprint] {
				seen[v.Fingerprint] = true
				list = append(list, v.Fingerprint)
			}
			if j.single() {
				single = append(single, v.Fingerprint)
			}
		}
	}
	return list, unique(single)
}

// commit is what is to be done, and which event each unit comes of. Events follow
// each other: a state that one leaves is what the next one finds.
func (b *batch) commit(states map[string]known) (*commit, []*judged) {
	c := &commit{max: b.plan.max, plain: b.plain}
	for _, h := range b.heard {
		c.heard = append(c.heard, h)
	}
	var of []*judged
	for _, j := range b.open {
		u := b.unit(j, states)
		if len(u.states)+len(u.commands)+len(u.tasks) == 0 {
			c.plain = append(c.plain, j.entry)
			continue
		}
		c.units, of = append(c.units, u), append(of, j)
	}
	return c, of
}

// unit is what comes of one event.
func (b *batch) unit(j *judged, states map[string]known) *unit {
	u := &unit{entry: j.entry, origin: j.origin, tasks: j.tasks}
	if j.reason != "" {
		u.bury(j.reason, j)
		return u
	}
	if j.lost != nil {
		u.bury(j.lost.Error(), j)
	}
	for _, v := range j.verdicts {
		before := states[v.Fingerprint]
		next, changed := b.plan.rules.Advance(before.alert, v, alert.Event(j.event), b.now)
		if before.alert == nil && j.single() {
			changed = u.overtaken(v, &before, j.event.TS) && changed
			states[v.Fingerprint] = before
		}
		if !changed {
			continue
		}
		b.stirred = b.stirred || statusOf(before.alert) != statusOf(next)
		states[v.Fingerprint] = u.moved(before, next, b.now)
	}
	return u
}

// single says that no next event is promised.
func (j *judged) single() bool { return j.event.Fields["interval"] == nil }

// overtaken sees to it that an event which ends an alert does so, too, when another
// dispatcher is late with the one that raises it, as no further event mends that: it
// leaves a note, and whoever raises an alert looks for one. It reports whether the
// alert may be raised.
func (u *unit) overtaken(v alert.Verdict, before *known, at time.Time) bool {
	if v.State == alert.True {
		u.set(passed, v.Fingerprint, before.passed, keep)
		last, _ := strconv.ParseInt(before.passed, 10, 64)
		return at.UnixMilli() >= last
	}
	// Notes are not compared, only what they are about: else those who leave notes
	// would be in each other's way.
	if after := strconv.FormatInt(at.UnixMilli(), 10); v.State == alert.Cleared && after > before.passed { // of equal length until the year 2286
		u.set(Alerts, v.Fingerprint, before.raw, keep)
		u.do("HSET", passed, v.Fingerprint, after)
		u.do("PEXPIRE", passed, "300000")
		before.passed = after
	}
	return true
}

// bury keeps what is no good, for people to look at.
func (u *unit) bury(reason string, j *judged) {
	u.do("XADD", Dead, "MAXLEN", "~", "1000", "*", "reason", reason, "id", j.entry, "j", j.raw[:min(len(j.raw), longestDead)])
}

// longestDead is how many bytes are kept of what is dead.
const longestDead = 16 << 10

// settled keeps open what has to be done again.
func (b *batch) settled(of []*judged, said []string) {
	b.open, b.plain, b.heard = nil, nil, map[string]heard{}
	for i, j := range of {
		if said[i] == conflict {
			b.open = append(b.open, j)
		}
	}
}

// arrival is when an entry was added, by the clock of Redis, which its id begins
// with.
func arrival(entry string) time.Time {
	ms, _, _ := strings.Cut(entry, "-")
	n, _ := strconv.ParseInt(ms, 10, 64)
	return time.UnixMilli(n).UTC()
}
