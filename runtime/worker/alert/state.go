package alert

import (
	"encoding/json"
	"time"
)

// Status is how far an alert is.
type Status string

const (
	// Pending: the expression holds, but not yet for as long as For asks. Nobody is
	// notified of it.
	Pending Status = "pending"
	// Firing: it is worth telling.
	Firing Status = "firing"
	// Resolved: it has ended, and stays only until all who must hear of that have.
	Resolved Status = "resolved"
)

// Alert is the state of one alert, stored by its Fingerprint.
type Alert struct {
	Version     int64  `json:"version"`
	Fingerprint string `json:"fingerprint"`
	// Rule raised it, and Identity is a digest of what makes its alerts what they
	// are: when the rule's differs, it is another rule under the same name.
	Rule     string `json:"rule"`
	Identity string `json:"identity"`
	// Group is the key of the group that it belongs to.
	Group    string            `json:"group"`
	Status   Status            `json:"status"`
	Severity string            `json:"severity"`
	Labels   map[string]string `json:"labels"`
	// Value is that of the last verdict, nil when there is none.
	Value *float64 `json:"value,omitempty"`
	// Since is when the expression began to hold, Fired when the alert began to
	// fire, Ended when it ended the last time; zero when it did not.
	Since time.Time `json:"since"`
	Fired time.Time `json:"fired,omitzero"`
	Ended time.Time `json:"ended,omitzero"`
	// Cause is the ID of the event that raised it.
	Cause string `json:"cause,omitempty"`
	// EndReason is empty when the rule's expression ended it, else "stale", "rule
	// removed" or "rule changed".
	EndReason string `json:"end_reason,omitempty"`
	// Clearing is when what clears it came, zero when nothing did; it ends KeepFor
	// later.
	Clearing time.Time `json:"clearing,omitzero"`
	// Last is the TS of the last event that counted, and Event what it was.
	Last  time.Time       `json:"last"`
	Event json.RawMessage `json:"event,omitempty"`
	// Wake is when Due has something to do, zero for never: the earlier of Until, when
	// For or KeepFor is over, and Expires, when it is stale. It is the clock of who
	// asks that counts here, not that of the events.
	Wake    time.Time `json:"wake,omitzero"`
	Until   time.Time `json:"until,omitzero"`
	Expires time.Time `json:"expires,omitzero"`
}

// Label is the value of a label. "rule" and "severity" are labels, too.
func (a *Alert) Label(name string) string {
	if value, ok := a.Labels[name]; ok {
		return value
	}
	switch name {
	case "rule":
		return a.Rule
	case "severity":
		return a.Severity
	}
	return ""
}

// Group is what the receivers of the alerts of one group were told, stored by its
// Key.
type Group struct {
	Version int64 `json:"version"`
	// Key is Alert.Group.
	Key  string `json:"key"`
	Rule string `json:"rule"`
	// Labels are those of GroupBy.
	Labels map[string]string `json:"labels"`
	// Opened is when it was first looked at; GroupWait is counted from here.
	Opened time.Time `json:"opened"`
	// Receivers are what each was told, by the name of the handler.
	Receivers map[string]Told `json:"receivers,omitempty"`
	// Known are alerts as they were told of, by fingerprint, so that their end can
	// be told even when their own state is gone.
	Known map[string]Item `json:"known,omitempty"`
	// Silenced are the fingerprints of firing alerts that a silence muted when it was
	// last looked at, sorted.
	Silenced []string `json:"silenced,omitempty"`
	// Noticed are the silences whose end was announced, sorted.
	Noticed []string `json:"noticed,omitempty"`
}

// Told is what one receiver knows of a group.
type Told struct {
	// Firing are the fingerprints of the alerts that it believes to fire, sorted.
	Firing []string `json:"firing,omitempty"`
	// Resolved says whether it wants to hear of their end.
	Resolved bool `json:"resolved"`
	// Sent is when it was last told something, and Count how often it was.
	Sent  time.Time `json:"sent"`
	Count int       `json:"count"`
}

// Env is what Notify knows beside the group.
type Env struct {
	Now time.Time
	// Firing are alerts of any rule; those that do not fire are passed over. Only
	// rules that others are inhibited by need be there, see Rules.Inhibitors.
	Firing []Alert
	// Silences are all of them; those that are over or have not begun are passed
	// over.
	Silences []Silence
}

// Outcome is what Notify decides.
type Outcome struct {
	// Group is the next state, nil when nothing is left to remember. It has changed
	// when it is nil or its Version is another.
	Group *Group
	// Notifications are to be sent, once the state is stored.
	Notifications []Notification
	// Settled are the fingerprints of resolved alerts that nobody waits for any more:
	// their states are to be deleted, each on condition of its Version.
	Settled []string
	// Wake is when to ask again if none of the alerts changes its status before,
	// zero for never.
	Wake time.Time
}
