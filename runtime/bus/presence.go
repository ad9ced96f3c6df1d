package bus

import "time"

// Presence is what a role of rsm tells of itself every few seconds, see Roles.
type Presence struct {
	// Kind is "agent", "dispatcher" or "worker".
	Kind    string `json:"kind"`
	Name    string `json:"name"`
	Host    string `json:"host"`
	Address string `json:"address,omitempty"`
	PID     int    `json:"pid"`
	Version string `json:"version"`
	// Digest names the settings that it runs with, see schema.DigestOf; Operations
	// that of the queues, handlers and rules, empty for an agent.
	Digest     string `json:"digest"`
	Operations string `json:"operations,omitempty"`
	// Refusal says why it does not follow newer Operations, empty when it does.
	Refusal string    `json:"refusal,omitempty"`
	Started time.Time `json:"started"`
	// Seen is when it wrote this, by the clock of Redis; Every is how often it does.
	Seen  time.Time     `json:"seen"`
	Every time.Duration `json:"every"`
	// Stats are figures of its kind, such as "running" and "done" of a worker.
	Stats map[string]int64 `json:"stats,omitempty"`
}
