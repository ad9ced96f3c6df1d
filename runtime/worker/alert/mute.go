package alert

import (
	"strings"
	"time"

	"rsm/reconcile/window"
	"rsm/schema"
)

// recheck is how soon a group is looked at again that something mutes whose end
// nobody can tell.
const recheck = 10 * time.Second

// inhibitors are the firing alerts that mute those of a rule: for each of its
// inhibitions the values of the labels that must be equal.
func inhibitors(r *rule, firing []Alert) []map[string]bool {
	sets := make([]map[string]bool, len(r.InhibitedBy))
	for i, by := range r.InhibitedBy {
		sets[i] = map[string]bool{}
		for j := range firing {
			if a := &firing[j]; a.Rule == by.Rule && a.Rule != r.Name && a.Status == Firing {
				sets[i][equalKey(by, a)] = true
			}
		}
	}
	return sets
}

func inhibited(r *rule, sets []map[string]bool, a *Alert) bool {
	for i, by := range r.InhibitedBy {
		if sets[i][equalKey(by, a)] {
			return true
		}
	}
	return false
}

// equalKey joins the labels that must be equal; one that is missing is empty.
func equalKey(by schema.Inhibition, a *Alert) string {
	values := make([]string, len(by.Equal))
	for i, label := range by.Equal {
		values[i] = a.Label(label)
	}
	return strings.Join(values, "\x00")
}

// closed tells whether a window of the rule mutes all of its alerts, and when that
// ends, zero when that is not known.
func (r *rule) closed(now time.Time) (closed bool, until time.Time) {
	if len(r.Mute) == 0 {
		return false, time.Time{}
	}
	open, next, _ := window.Open(schema.Maintenance{Deny: r.Mute}, now)
	return !open, next
}
