package alert

import (
	"maps"
	"slices"
	"time"
)

// Budget is what one receiver was sent in the last minute, and what its rate holds
// back. Stored by the name of the receiver, in one step with the group that its
// notifications come from.
type Budget struct {
	Version int64 `json:"version"`
	// Sent are the times of the notifications of the last minute, oldest first.
	Sent []time.Time `json:"sent,omitempty"`
	// Held are the notifications that came too fast, as one.
	Held *Notification `json:"held,omitempty"`
	// HeldID is the ID of the first of those.
	HeldID string `json:"held_id,omitempty"`
	// Wake is when to ask again: there is room for what is held back, or nothing left
	// to remember.
	Wake time.Time `json:"wake"`
}

// Pass lets notifications to one receiver through, up to rate a minute; what is
// held back leaves as one when there is room. rate 0 means no limit. sent are to be
// sent once next is stored. Ask again with nothing new at next.Wake. next is nil
// when nothing is left to remember.
func (b Budget) Pass(rate int, in []Notification, now time.Time) (next *Budget, sent []Notification) {
	after := b
	after.Version++
	after.Sent = slices.DeleteFunc(slices.Clone(b.Sent), func(t time.Time) bool { return !now.Before(t.Add(time.Minute)) })
	room := func() bool { return rate <= 0 || len(after.Sent) < rate }
	send := func(n Notification) {
		sent = append(sent, n)
		if rate > 0 {
			after.Sent = append(after.Sent, now)
		}
	}
	for _, n := range in {
		if after.Held == nil && room() {
			send(n)
			continue
		}
		after.hold(n)
	}
	if after.Held != nil && room() {
		n := *after.Held
		n.ID = after.HeldID
		after.Held, after.HeldID = nil, ""
		send(n)
	}
	if after.Held == nil && len(after.Sent) == 0 {
		return nil, sent
	}
	after.Wake = after.Sent[0].Add(time.Minute)
	if after.Held == nil {
		after.Wake = after.Sent[len(after.Sent)-1].Add(time.Minute)
	}
	return &after, sent
}

// hold adds a notification to those that wait. Of an alert the last state counts.
func (b *Budget) hold(n Notification) {
	if b.Held == nil {
		b.Held, b.HeldID = &n, n.ID
		return
	}
	merged := *b.Held
	merged.Reason = Summary
	if merged.Rule != n.Rule {
		merged.Rule = ""
	}
	if !maps.Equal(merged.Group, n.Group) {
		merged.Group = map[string]string{}
	}
	if rank(n.Severity) > rank(merged.Severity) {
		merged.Severity = n.Severity
	}
	merged.Alerts = slices.DeleteFunc(slices.Clone(merged.Alerts), func(old Item) bool {
		return slices.ContainsFunc(n.Alerts, func(i Item) bool { return i.Fingerprint == old.Fingerprint })
	})
	merged.Alerts = append(merged.Alerts, n.Alerts...)
	byAge(merged.Alerts)
	merged.Status = merged.Alerts[0].Status
	b.Held = &merged
	b.HeldID = "n:" + n.Receiver + ":rate:" + digest(b.HeldID, n.ID)
}

// rank orders severities; one that is not known is below all.
func rank(severity string) int {
	return slices.Index([]string{"info", "warning", "critical"}, severity)
}
