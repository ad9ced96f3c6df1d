package alert

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"rsm/schema"
)

// Notify decides what the receivers of a group are told now. alerts are all of the
// group, in any status; g is zero but for its Key when none is stored. Ask at
// Outcome.Wake, when an alert of the group changes its status, and for every group
// when a silence was added, changed or removed. Asking more often does no harm.
func (r *Rules) Notify(g Group, alerts []Alert, env Env) Outcome {
	l := r.look(g, alerts, env)
	for _, receiver := range l.receivers() {
		l.tell(receiver)
	}
	return l.outcome()
}

// look is one look at a group: what of it is worth telling, and what comes of it.
type look struct {
	rule   *rule
	now    time.Time
	before Group
	next   Group
	alerts map[string]*Alert
	// active fire and nothing mutes them; oldest first.
	active []*Alert
	// unsilenced are those of them that a silence muted until now, expiring those that
	// one mutes that is announced to end.
	unsilenced map[string]bool
	expiring   []*Alert
	// added are who hears more of it, and after what time.
	added map[string]schema.Escalation
	sent  []Notification
	wake  time.Time
}

func (r *Rules) look(g Group, alerts []Alert, env Env) *look {
	l := &look{now: env.Now, before: g, next: g, alerts: map[string]*Alert{}, unsilenced: map[string]bool{}}
	l.next.Receivers, l.next.Known = map[string]Told{}, maps.Clone(g.Known)
	l.next.Silenced, l.next.Noticed = nil, nil
	if l.next.Known == nil {
		l.next.Known = map[string]Item{}
	}
	for i := range alerts {
		l.alerts[alerts[i].Fingerprint] = &alerts[i]
	}
	if l.next.Rule == "" && len(alerts) > 0 {
		l.next.Rule = alerts[0].Rule
	}
	if l.rule = r.byName[l.next.Rule]; l.rule == nil {
		l.rule = &rule{Rule: schema.Rule{Name: l.next.Rule}}
	}
	if l.next.Opened.IsZero() && len(alerts) > 0 {
		l.next.Opened, l.next.Labels = env.Now, groupLabels(l.rule.GroupBy, &alerts[0])
	}
	l.added = l.rule.escalated()
	l.sift(env)
	return l
}

// groupLabels are the labels of an alert that its group goes by.
func groupLabels(by []string, a *Alert) map[string]string {
	labels := make(map[string]string, len(by))
	for _, name := range by {
		labels[name] = a.Label(name)
	}
	return labels
}

// sift finds what is active, and remembers what silences mute.
func (l *look) sift(env Env) {
	closed, opens := l.rule.closed(l.now)
	silences, sets := inForce(env.Silences, l.now), inhibitors(l.rule, env.Firing)
	for _, fingerprint := range slices.Sorted(maps.Keys(l.alerts)) {
		a := l.alerts[fingerprint]
		if a.Status != Firing {
			continue
		}
		muted := inhibited(l.rule, sets, a) || a.Identity != l.rule.identity
		silenced := l.silenced(a, silences, muted || closed)
		muted = muted || silenced
		was := has(l.before.Silenced, fingerprint)
		if silenced || was && (muted || closed) {
			l.next.Silenced = append(l.next.Silenced, fingerprint)
		}
		switch {
		case muted:
			l.wakeAt(l.now.Add(recheck))
		case closed && opens.IsZero():
			l.wakeAt(l.now.Add(time.Hour))
		case closed:
			l.wakeAt(opens)
		default:
			l.active = append(l.active, a)
			if was {
				l.unsilenced[fingerprint] = true
			}
		}
	}
	slices.SortStableFunc(l.active, func(a, b *Alert) int { return a.Fired.Compare(b.Fired) })
	l.forgetNotices(env.Silences)
}

// silenced reports whether a silence mutes an alert, and finds what the end of it is
// to be announced for: not for what is quiet anyhow, and of several silences the
// last is meant.
func (l *look) silenced(a *Alert, silences []prepared, quiet bool) bool {
	var last *prepared
	for i := range silences {
		if silences[i].matches(a) && (last == nil || silences[i].Ends.After(last.Ends)) {
			last = &silences[i]
		}
	}
	if last == nil {
		return false
	}
	l.wakeAt(last.Ends)
	announce := last.Ends.Add(-last.lead())
	if quiet || slices.Contains(l.before.Noticed, last.notice()) {
		return true
	}
	if l.now.Before(announce) {
		l.wakeAt(announce)
		return true
	}
	l.expiring = append(l.expiring, a)
	if !slices.Contains(l.next.Noticed, last.notice()) {
		l.next.Noticed = append(l.next.Noticed, last.notice())
	}
	return true
}

// forgetNotices keeps only those of silences that are still there.
func (l *look) forgetNotices(silences []Silence) {
	for _, s := range silences {
		if notice := s.notice(); slices.Contains(l.before.Noticed, notice) && l.now.Before(s.Ends) {
			l.next.Noticed = append(l.next.Noticed, notice)
		}
	}
	slices.Sort(l.next.Noticed)
	l.next.Noticed = slices.Compact(l.next.Noticed)
}

// receivers are all who hear of the group now or have heard of it, sorted.
func (l *look) receivers() []string {
	names := slices.Collect(maps.Keys(l.before.Receivers))
	names = append(names, l.rule.Receivers...)
	names = slices.AppendSeq(names, maps.Keys(l.added))
	slices.Sort(names)
	return slices.Compact(names)
}

// hears are the active alerts that a receiver is told of: all, or those that went
// on for long enough.
func (l *look) hears(receiver string) (active []*Alert) {
	if slices.Contains(l.rule.Receivers, receiver) {
		return l.active
	}
	step, ok := l.added[receiver]
	if !ok {
		return nil
	}
	for _, a := range l.active {
		if at := a.Fired.Add(step.After); reached(at, l.now) {
			active = append(active, a)
		} else {
			l.wakeAt(at)
		}
	}
	return active
}

func (l *look) wakeAt(t time.Time) { l.wake = sooner(l.wake, t) }

// outcome sums it up: what nobody waits for is gone.
func (l *look) outcome() Outcome {
	out := Outcome{Notifications: l.sent, Wake: l.wake}
	waited := map[string]bool{}
	for _, told := range l.next.Receivers {
		for _, fingerprint := range told.Firing {
			waited[fingerprint] = true
		}
	}
	maps.DeleteFunc(l.next.Known, func(fingerprint string, _ Item) bool { return !waited[fingerprint] })
	firing := false
	for fingerprint, a := range l.alerts {
		firing = firing || a.Status == Firing
		if a.Status == Resolved && !waited[fingerprint] {
			out.Settled = append(out.Settled, fingerprint)
		}
	}
	slices.Sort(out.Settled)
	if !firing && len(waited) == 0 {
		return out
	}
	if !same(l.before, l.next) {
		l.next.Version++
	}
	out.Group = &l.next
	return out
}

// same compares what two states say. Known changes only when what receivers were
// told does.
func same(a, b Group) bool {
	return a.Key == b.Key && a.Rule == b.Rule && a.Opened.Equal(b.Opened) &&
		maps.Equal(a.Labels, b.Labels) && slices.Equal(a.Silenced, b.Silenced) && slices.Equal(a.Noticed, b.Noticed) &&
		maps.EqualFunc(a.Receivers, b.Receivers, func(a, b Told) bool {
			return slices.Equal(a.Firing, b.Firing) && a.Resolved == b.Resolved && a.Sent.Equal(b.Sent) && a.Count == b.Count
		})
}

// byAge sorts what is told: what fires first, oldest first.
func byAge(items []Item) {
	slices.SortStableFunc(items, func(a, b Item) int {
		return cmp.Or(cmp.Compare(a.Status, b.Status), a.Fired.Compare(b.Fired), cmp.Compare(a.Fingerprint, b.Fingerprint))
	})
}
