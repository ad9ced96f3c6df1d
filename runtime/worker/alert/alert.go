package alert

import "time"

// maxEvent is how many bytes of an event are kept with an alert; of a longer one
// nothing is.
const maxEvent = 64 << 10

// Advance moves an alert by a verdict on an event; old is nil when there is none.
// An event older than the last that counted changes nothing. next is nil when there
// is no alert. After a change of the status, also from or to no alert, the group of
// it is due at once.
func (r *Rules) Advance(old *Alert, v Verdict, e Event, now time.Time) (next *Alert, changed bool) {
	rule := r.byName[v.Rule]
	at := earlier(e.TS, now)
	switch {
	case rule == nil || v.State == Unknown:
		return old, false
	case old == nil && v.State != True:
		return nil, false
	case old != nil && at.Before(old.Last):
		return old, false
	case old != nil && old.Identity != rule.identity && old.Status != Resolved:
		return r.Due(*old, now)
	case old != nil && old.Status == Resolved && v.State != True:
		return old, false
	case old == nil || old.Status == Resolved:
		next = rule.raise(v, e, at, now)
	default:
		copied := *old
		next = &copied
		next.see(rule, v, e, at, now)
	}
	if old != nil {
		next.follow(old)
	}
	switch next.Status {
	case Pending:
		next = next.pend(rule, v.State, at)
	case Firing:
		next.hold(rule, v.State, at, now)
	}
	if next != nil {
		next.rewake()
	}
	return next, true
}

// follow takes over from the state before: also of an alert that begins again
// before all have heard of its end.
func (a *Alert) follow(old *Alert) {
	a.Version = old.Version + 1
	if a.Fired.IsZero() {
		a.Fired, a.Ended, a.EndReason = old.Fired, old.Ended, old.EndReason
	}
}

// raise makes a new alert.
func (r *rule) raise(v Verdict, e Event, at, now time.Time) *Alert {
	a := &Alert{Version: 1, Fingerprint: v.Fingerprint, Rule: r.Name, Identity: r.identity, Status: Pending, Labels: r.labels(e), Cause: e.ID}
	a.see(r, v, e, at, now)
	a.Group = digest(r.Name, groupLabels(r.GroupBy, a))
	a.Since, a.Until = at, now.Add(r.For)
	return a
}

// see keeps what an event tells.
func (a *Alert) see(r *rule, v Verdict, e Event, at, now time.Time) {
	a.Severity, a.Value, a.Last, a.Event = r.Severity, v.Value, at, nil
	if len(e.Raw) <= maxEvent {
		a.Event = e.Raw
	}
	a.Expires = time.Time{}
	if r.Stale > 0 {
		a.Expires = now.Add(r.Stale)
	}
}

// pend lets a pending alert fire when it has held for long enough by the time of
// the events, and ends it when it does not hold.
func (a *Alert) pend(r *rule, state State, at time.Time) *Alert {
	switch {
	case state != True:
		return a.drop()
	case at.Sub(a.Since) >= r.For:
		a.fire(at)
	}
	return a
}

// drop is what is left of a pending alert that ends: nothing, or the end of the
// time that it fired before, which is perhaps still to be told.
func (a *Alert) drop() *Alert {
	if a.Ended.IsZero() {
		return nil
	}
	a.Status, a.Since, a.Until, a.Expires = Resolved, a.Fired, time.Time{}, time.Time{}
	return a
}

func (a *Alert) fire(at time.Time) {
	a.Status, a.Fired, a.Ended, a.EndReason = Firing, at, time.Time{}, ""
	a.Until, a.Clearing = time.Time{}, time.Time{}
}

// hold keeps a firing alert, or ends it when it has been cleared for KeepFor.
func (a *Alert) hold(r *rule, state State, at, now time.Time) {
	switch {
	case state == True:
		a.Clearing, a.Until = time.Time{}, time.Time{}
		return
	case state == Cleared && a.Clearing.IsZero():
		a.Clearing, a.Until = at, now.Add(r.KeepFor)
	}
	if !a.Clearing.IsZero() && at.Sub(a.Clearing) >= r.KeepFor {
		a.resolve(a.Clearing.Add(r.KeepFor), "")
	}
}

func (a *Alert) resolve(at time.Time, reason string) {
	a.Status, a.Ended, a.EndReason = Resolved, at, reason
	a.Until, a.Expires, a.Clearing = time.Time{}, time.Time{}, time.Time{}
}

// Due moves an alert by time alone; ask at a.Wake, and for every alert when the
// rules have changed and now and then: one whose rule is gone, or is another now,
// ends.
func (r *Rules) Due(a Alert, now time.Time) (next *Alert, changed bool) {
	old := a
	_, why := r.of(a.Rule, a.Identity)
	switch {
	case a.Status == Resolved:
		return &old, false
	case why != "":
		next = a.end(now, why)
	case reached(a.Expires, now) && (a.Until.IsZero() || !a.Until.Before(a.Expires)):
		next = a.end(a.Expires, "stale")
	case !reached(a.Until, now):
		return &old, false
	case a.Status == Pending:
		a.fire(a.Until)
		next = &a
	default:
		next = a.end(a.Until, "")
	}
	if next != nil {
		next.Version = old.Version + 1
		next.rewake()
	}
	return next, true
}

func (a *Alert) end(at time.Time, reason string) *Alert {
	if a.Status == Pending {
		return a.drop()
	}
	a.resolve(at, reason)
	return a
}

// rewake sets Wake to the earlier of what it waits for.
func (a *Alert) rewake() { a.Wake = sooner(a.Until, a.Expires) }

// sooner is the earlier time; zero means never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func reached(t, now time.Time) bool { return !t.IsZero() && !now.Before(t) }
