package alert

import "time"

// Summary is the summary of an alert as it is now, "" when the rule is gone.
func (r *Rules) Summary(a Alert) string {
	rule, why := r.of(a.Rule, a.Identity)
	if rule == nil || why != "" {
		return ""
	}
	return rule.item(&a, a.Status, Item{}).Summary
}

// Quiet says what keeps a firing alert quiet now, "" when nothing does. env has all
// alerts that fire and all silences.
func (r *Rules) Quiet(a Alert, env Env) string {
	if a.Status != Firing {
		return ""
	}
	var last *prepared
	for _, s := range inForce(env.Silences, env.Now) {
		if s.matches(&a) && (last == nil || s.Ends.After(last.Ends)) {
			last = &s
		}
	}
	if last != nil {
		return "silence of " + last.Creator + ": " + last.Reason
	}
	rule, why := r.of(a.Rule, a.Identity)
	if rule == nil || why != "" {
		return ""
	}
	if closed, until := rule.closed(env.Now); closed {
		if until.IsZero() {
			return "mute window"
		}
		return "mute window until " + until.UTC().Format(time.RFC3339)
	}
	for i, set := range inhibitors(rule, env.Firing) {
		if by := rule.InhibitedBy[i]; set[equalKey(by, &a)] {
			return "inhibited by " + by.Rule
		}
	}
	return ""
}
