package alert

import (
	"errors"
	"time"

	"rsm/schema"
)

var errStub = errors.New("not written yet")

// Rules are compiled rules; safe for concurrent use.
type Rules struct{}

// Compile prepares rules. The error joins what is wrong with each; those that are
// right work all the same, and alerts of the others stay as they are.
func Compile(rules []schema.Rule) (*Rules, error) { return &Rules{}, errStub }

// Verdicts asks each rule of the event's type.
func (r *Rules) Verdicts(e Event) []Verdict { return nil }

// Advance moves an alert by a verdict on an event; old is nil when there is none.
// An event older than the last that counted changes nothing. next is nil when there
// is no alert. After a change of next.Status (also from or to no alert) the group
// next.Group (or old.Group) is due at once.
func (r *Rules) Advance(old *Alert, v Verdict, e Event, now time.Time) (next *Alert, changed bool) {
	return old, false
}

// Due moves an alert by time alone; ask at a.Wake, and for every alert when rules
// have changed: one whose rule is gone, or is another now, ends.
func (r *Rules) Due(a Alert, now time.Time) (next *Alert, changed bool) { return &a, false }

// Notify decides what the receivers of a group are told now. alerts are all of the
// group, in any status; g is zero but for its Key when none is stored. Asking more
// often than needed does no harm.
func (r *Rules) Notify(g Group, alerts []Alert, env Env) Outcome { return Outcome{} }

// Inhibitors are the names of the rules that others are inhibited by: their firing
// alerts belong in Env.Firing.
func (r *Rules) Inhibitors() []string { return nil }

// Validate says what a silence lacks, nil when it can be used.
func (s Silence) Validate() error { return nil }

// ParseMatcher reads "label=value", "label!=value", "label=~regexp" or
// "label!~regexp".
func ParseMatcher(text string) (Matcher, error) { return Matcher{}, errStub }

// Next tells what becomes of a silence: nil when it is over. firing are all alerts;
// ask when alerts change their status and at s.Ends.
func (s Silence) Next(alerts []Alert, now time.Time) (next *Silence, changed bool) { return &s, false }

// Pass lets notifications through up to rate a minute, and what was held back as
// one once there is room. rate 0 means no limit. sent are to be sent once next is
// stored; ask again with nothing new at next.Wake. next is nil when nothing is left
// to remember.
func (b Budget) Pass(receiver string, rate int, in []Notification, now time.Time) (next *Budget, sent []Notification) {
	return &b, in
}
