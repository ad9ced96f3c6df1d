package handler

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
)

// The kinds of messages.
const (
	Event  = "event"
	Alerts = "alerts"
	Fleet  = "report"
)

// Message is what templates see of a task.
type Message struct {
	// Kind is Event, Alerts or Fleet (a report).
	Kind string
	// Handler, Task and Cluster name where it comes from. Cluster may be empty.
	Handler, Task, Cluster string
	// Time is when the event happened, the first alert fired or the report ends.
	Time time.Time

	// ID, Type and Host are those of an event, Fields the object as it was sent.
	ID, Type, Host string
	Fields         map[string]any

	// Status is "firing" or "resolved", Reason why this is told now. Rule, Severity
	// and Group are what the alerts share.
	Status, Reason, Rule, Severity string
	Group                          map[string]string
	// Alerts are all, Firing and Resolved those of them.
	Alerts, Firing, Resolved []Alert
	// More is how many alerts the message had no room for.
	More int

	// Report is what a report says, nil in others.
	Report *Summary

	payload []byte
}

// Alert is one alert of a message.
type Alert struct {
	Rule        string            `json:"rule"`
	Status      string            `json:"status"`
	Severity    string            `json:"severity"`
	Labels      map[string]string `json:"labels"`
	Summary     string            `json:"summary"`
	Description string            `json:"description"`
	Value       *float64          `json:"value"`
	Since       time.Time         `json:"since"`
	Fired       time.Time         `json:"fired"`
	Ended       time.Time         `json:"ended"`
	EndReason   string            `json:"end_reason"`
	Fingerprint string            `json:"fingerprint"`
	Event       map[string]any    `json:"event"`
}

// payload is the JSON of a task.
type payload struct {
	Event   map[string]any `json:"event"`
	EventID string         `json:"event_id"`
	Type    string         `json:"type"`
	Host    string         `json:"host"`
	TS      time.Time      `json:"ts"`
	// Until is the moment that a report looks back from, for one that comes by
	// itself.
	Until  time.Time `json:"until"`
	Alerts *struct {
		Status   string            `json:"status"`
		Reason   string            `json:"reason"`
		Rule     string            `json:"rule"`
		Severity string            `json:"severity"`
		Group    map[string]string `json:"group"`
		Alerts   []Alert           `json:"alerts"`
		More     int               `json:"more"`
	} `json:"alerts"`
}

// parse reads the payload of a task. now counts for one that has no time.
func parse(task Task, handler, cluster string, now time.Time) (*Message, error) {
	var p payload
	if err := json.Unmarshal(task.Payload, &p); err != nil {
		return nil, permanent("read task %s: its payload is not what handlers take: %w", task.ID, err)
	}
	m := &Message{Kind: Event, Handler: handler, Task: task.ID, Cluster: cluster, payload: bytes.TrimSpace(task.Payload)}
	m.ID, m.Type, m.Host, m.Fields = p.EventID, p.Type, p.Host, p.Event
	for _, m.Time = range []time.Time{p.Until, p.TS, now.UTC()} {
		if !m.Time.IsZero() {
			break
		}
	}
	if p.Alerts == nil {
		return m, nil
	}
	m.Kind, m.Status, m.Reason, m.Rule, m.Severity = Alerts, p.Alerts.Status, p.Alerts.Reason, p.Alerts.Rule, p.Alerts.Severity
	m.Group, m.Alerts, m.More = p.Alerts.Group, p.Alerts.Alerts, p.Alerts.More
	for _, a := range m.Alerts {
		if a.Status == "resolved" {
			m.Resolved = append(m.Resolved, a)
		} else {
			m.Firing = append(m.Firing, a)
		}
		if p.TS.IsZero() && !a.Fired.IsZero() && a.Fired.Before(m.Time) {
			m.Time = a.Fired
		}
	}
	return m, nil
}

// field is a text field of an event, "" when there is none.
func (m *Message) field(names ...string) string {
	for _, name := range names {
		if text, ok := m.Fields[name].(string); ok && strings.TrimSpace(text) != "" {
			return text
		}
	}
	return ""
}

// Title is what the event says of itself in one line, "" when it says nothing:
// its field subject, title or summary.
func (m *Message) Title() string { return m.field("subject", "title", "summary") }

// Body is what the event says in words, "" when it says nothing: its field text,
// body or message.
func (m *Message) Body() string { return m.field("text", "body", "message") }

// Details are the fields of the event but those that Title, Body and the envelope
// of the event show.
func (m *Message) Details() map[string]any {
	left := map[string]any{}
	for name, value := range m.Fields {
		switch name {
		case "id", "type", "host", "ts", "v", "subject", "title", "summary", "text", "body", "message":
			if _, isText := value.(string); isText || name == "ts" || name == "v" || name == "id" {
				continue
			}
		}
		left[name] = value
	}
	return left
}
