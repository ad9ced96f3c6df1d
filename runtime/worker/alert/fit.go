package alert

import (
	"encoding/json"
	"slices"
)

// Fit makes the JSON of a notification no longer than limit bytes, as a whole fleet
// may fail at once: without the events, and if that is not enough without the last of
// the alerts, which More counts.
func (n Notification) Fit(limit int) Notification {
	if size(n) <= limit {
		return n
	}
	n.Alerts = slices.Clone(n.Alerts)
	for i := range n.Alerts {
		n.Alerts[i].Event = nil
	}
	all := n.Alerts
	n.Alerts, n.More = nil, n.More+len(all)
	for left := limit - size(n); len(n.Alerts) < len(all); n.More-- {
		next := all[len(n.Alerts)]
		if left -= size(next) + len(","); left < 0 {
			break
		}
		n.Alerts = append(n.Alerts, next)
	}
	return n
}

func size(value any) int {
	content, err := json.Marshal(value)
	if err != nil { // not of the types that are measured here
		return 0
	}
	return len(content)
}
