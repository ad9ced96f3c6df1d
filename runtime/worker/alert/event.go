package alert

import (
	"encoding/json"
	"strings"
	"time"
)

// Event is what rules look at; it has the fields of bus.Event and converts from it.
type Event struct {
	// ID tells it from others.
	ID string
	// Type picks the rules.
	Type string
	// Host is where it comes from, empty when it does not say.
	Host string
	// TS is when it happened.
	TS time.Time
	// Fields is the whole object: float64, string, bool, nil, []any, map[string]any.
	Fields map[string]any
	// Raw is the object as it was sent.
	Raw json.RawMessage
}

// field finds a field by its name, or by its path with dots: "mem.free".
func field(fields map[string]any, path string) (any, bool) {
	if value, ok := fields[path]; ok {
		return value, true
	}
	name, rest, nested := strings.Cut(path, ".")
	if !nested {
		return nil, false
	}
	inner, ok := fields[name].(map[string]any)
	if !ok {
		return nil, false
	}
	return field(inner, rest)
}
