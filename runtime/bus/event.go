package bus

import (
	"encoding/json"
	"time"
)

// Event is one message of an agent, or of any program that publishes JSON objects
// on Channel.
type Event struct {
	// ID tells it from all others, also when it is sent twice: field "id". Whoever
	// has none gets one when it enters the stream.
	ID string
	// Type is field "type", "monitoring" when there is none. It picks rules and
	// handlers.
	Type string
	// Host is field "host", empty when there is none.
	Host string
	// TS is field "ts", milliseconds since 1970 or RFC 3339; when there is none, or
	// one that is far off, the time at which it entered the stream.
	TS time.Time
	// Fields is the whole object: float64, string, bool, nil, []any, map[string]any.
	Fields map[string]any
	// Raw is the object as it was sent.
	Raw json.RawMessage
}
