package alert

import (
	"slices"
	"time"

	"rsm/schema"
)

// telling is what there is to tell one receiver.
type telling struct {
	told Told
	// hears are the active alerts that are for it, fresh those that it does not know
	// of, gone what it believes to fire and does not any more.
	hears, fresh []*Alert
	gone         []string
	unsilenced   bool
	escalation   bool
}

// tell looks at one receiver: whether there is something to tell, whether now, and
// what.
func (l *look) tell(receiver string) {
	t := l.telling(receiver)
	if !t.told.Resolved {
		t.forget()
	}
	if reason, when := t.due(l.rule, l.next.Opened); reason != "" {
		if reached(when, l.now) {
			t.told = l.send(receiver, reason, t)
		} else {
			l.wakeAt(when)
		}
	}
	if again := t.repeat(l.rule); !again.IsZero() {
		if reached(again, l.now) {
			t.told = l.send(receiver, Repeat, t)
			again = l.now.Add(l.rule.Repeat)
		}
		l.wakeAt(again)
	}
	l.announce(receiver, &t)
	if t.told.Count > 0 {
		l.next.Receivers[receiver] = t.told
	}
}

func (l *look) telling(receiver string) telling {
	t := telling{told: l.before.Receivers[receiver], hears: l.hears(receiver), escalation: !slices.Contains(l.rule.Receivers, receiver)}
	for _, a := range t.hears {
		if !has(t.told.Firing, a.Fingerprint) {
			t.fresh = append(t.fresh, a)
		}
		t.unsilenced = t.unsilenced || l.unsilenced[a.Fingerprint]
	}
	for _, fingerprint := range t.told.Firing {
		if a := l.alerts[fingerprint]; a == nil || a.Status != Firing {
			t.gone = append(t.gone, fingerprint)
		}
	}
	return t
}

// forget drops the ends that it does not want to hear of.
func (t *telling) forget() {
	t.told.Firing = without(t.told.Firing, t.gone)
	t.gone = nil
}

// due says why there is something new to tell, "" when there is not, and when that
// may be told.
func (t *telling) due(r *rule, opened time.Time) (reason string, when time.Time) {
	next := opened
	if t.told.Count > 0 {
		next = t.told.Sent.Add(r.GroupInterval)
	}
	switch fresh := len(t.fresh) > 0; {
	case fresh && t.escalation && t.told.Count == 0:
		return Escalated, opened
	case t.unsilenced:
		return Unsilenced, opened
	case fresh && t.escalation:
		return Escalated, next
	case fresh && len(t.told.Firing) == 0:
		return New, later(next, opened.Add(r.GroupWait))
	case len(t.gone) > 0 && len(t.hears) == 0:
		return Ended, next
	case fresh || len(t.gone) > 0:
		return Changed, next
	}
	return "", time.Time{}
}

// repeat is when it is told the same again, zero for never.
func (t *telling) repeat(r *rule) time.Time {
	known := len(t.hears) > 0 && len(t.told.Firing) > 0
	if !known || r.Repeat <= 0 {
		return time.Time{}
	}
	return t.told.Sent.Add(r.Repeat)
}

// announce tells that a silence is over soon, for all that it mutes.
func (l *look) announce(receiver string, t *telling) {
	if len(l.expiring) == 0 || t.escalation && len(t.told.Firing) == 0 {
		return
	}
	notice := telling{told: t.told, hears: l.expiring}
	t.told = l.send(receiver, Expiring, notice)
}

// send makes a notification, and what the receiver knows afterwards.
func (l *look) send(receiver, reason string, t telling) Told {
	told := t.told
	// A rule that no longer tells of ends still does of those that it said would.
	told.Resolved = len(t.told.Firing) > 0 && told.Resolved || l.rule.Resolved
	told.Firing = without(told.Firing, t.gone)
	var items []Item
	for _, a := range t.hears {
		item := l.rule.item(a, Firing, l.next.Known[a.Fingerprint])
		items, told.Firing = append(items, item), append(told.Firing, a.Fingerprint)
		item.Event = nil
		l.next.Known[a.Fingerprint] = item
	}
	for _, fingerprint := range t.gone {
		items = append(items, l.ended(fingerprint))
	}
	slices.Sort(told.Firing)
	told.Firing = slices.Compact(told.Firing)
	told.Sent, told.Count = l.now, told.Count+1
	l.sent = append(l.sent, l.notification(receiver, reason, items, told.Count))
	return told
}

// ended shows an alert that has ended, also one whose state is gone.
func (l *look) ended(fingerprint string) Item {
	known := l.next.Known[fingerprint]
	if a := l.alerts[fingerprint]; a != nil {
		return l.rule.item(a, Resolved, known)
	}
	known.Status, known.Ended = Resolved, l.now
	return known
}

func (l *look) notification(receiver, reason string, items []Item, count int) Notification {
	byAge(items)
	n := Notification{Receiver: receiver, Status: items[0].Status, Reason: reason, Group: l.next.Labels, Rule: l.next.Rule, Severity: items[0].Severity, Alerts: items}
	n.ID = "n:" + receiver + ":" + l.next.Key + ":" + stateOf(n, count)
	return n
}

// stateOf digests what a notification says. count tells a repeated one from the
// first.
func stateOf(n Notification, count int) string {
	state := []any{n.Reason, count}
	for _, item := range n.Alerts {
		state = append(state, item.Fingerprint, item.Status, item.Cause, item.Fired.UnixMicro())
	}
	return digest(state...)
}

// without is a list without some of its elements, which are sorted; the list stays
// as it is.
func without(list, gone []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return has(gone, s) })
}

// has looks for an element of a sorted list.
func has(list []string, element string) bool {
	_, found := slices.BinarySearch(list, element)
	return found
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// escalated are the handlers that hear of an alert only after a time, and after
// which.
func (r *rule) escalated() map[string]schema.Escalation {
	added := map[string]schema.Escalation{}
	for _, step := range r.Escalate {
		for _, receiver := range step.Receivers {
			known, ok := added[receiver]
			if !slices.Contains(r.Receivers, receiver) && (!ok || step.After < known.After) {
				added[receiver] = step
			}
		}
	}
	return added
}
