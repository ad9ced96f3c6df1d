package alert

import "time"

// Silence mutes alerts by their labels for a time. A person made it and said why.
type Silence struct {
	Version int64  `json:"version"`
	ID      string `json:"id"`
	// Matchers must all match.
	Matchers []Matcher `json:"matchers"`
	Creator  string    `json:"creator"`
	Reason   string    `json:"reason"`
	Starts   time.Time `json:"starts"`
	Ends     time.Time `json:"ends"`
	// UntilResolved ends it before Ends, as soon as what it mutes has ended.
	UntilResolved bool `json:"until_resolved,omitempty"`
	// Matched tells that it has muted something.
	Matched bool `json:"matched,omitempty"`
}

// Matcher is a condition on a label. An alert that has no such label has it empty.
type Matcher struct {
	Label string `json:"label"`
	// Op is "=", "!=", "=~" or "!~"; the latter two match the whole value against a
	// regular expression.
	Op    string `json:"op"`
	Value string `json:"value"`
}
