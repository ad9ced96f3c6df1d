package alert

import (
	"encoding/json"
	"time"
)

// The reasons of notifications.
const (
	New        = "new"        // the first of a group
	Changed    = "changed"    // alerts came or ended since the last
	Repeat     = "repeat"     // nothing changed for as long as the rule's Repeat
	Ended      = "resolved"   // all that it is about have ended
	Escalated  = "escalation" // it went on for so long that this receiver hears of it, too
	Unsilenced = "unsilenced" // a silence is over, and it still fires
	Expiring   = "expiring"   // a silence is over soon, and it still fires
	Summary    = "summary"    // several notifications that the receiver's rate held back
)

// Notification is one message to one receiver. Its JSON is the "alerts" of a
// handler's task.
type Notification struct {
	// ID is "n:<receiver>:<group>:<state>": the same state gives the same, so it is
	// the id of the task and what receivers recognize a second delivery by.
	ID string `json:"-"`
	// Status is Firing when any of the alerts is, else Resolved.
	Status   Status `json:"status"`
	Reason   string `json:"reason"`
	Receiver string `json:"receiver"`
	// Group are the labels that the alerts share by GroupBy.
	Group    map[string]string `json:"group"`
	Rule     string            `json:"rule"`
	Severity string            `json:"severity"`
	// Alerts are those that fire, oldest first, then those that ended.
	Alerts []Item `json:"alerts"`
	// More is how many alerts there was no room for, see Fit.
	More int `json:"more,omitempty"`
}

// Item is an alert as receivers see it.
type Item struct {
	Rule        string            `json:"rule"`
	Status      Status            `json:"status"`
	Severity    string            `json:"severity"`
	Labels      map[string]string `json:"labels"`
	Summary     string            `json:"summary"`
	Description string            `json:"description"`
	Value       *float64          `json:"value,omitempty"`
	Since       time.Time         `json:"since"`
	Fired       time.Time         `json:"fired"`
	Ended       time.Time         `json:"ended,omitzero"`
	// Cause and EndReason are those of Alert.
	Cause       string          `json:"cause,omitempty"`
	EndReason   string          `json:"end_reason,omitempty"`
	Fingerprint string          `json:"fingerprint"`
	Event       json.RawMessage `json:"event,omitempty"`
}
