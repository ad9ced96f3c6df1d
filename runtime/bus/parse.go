package bus

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// MaxEvent is how many bytes an event may have.
const MaxEvent = 1 << 20

// Why Parse refuses an event.
var (
	// ErrTooLarge is returned for more than MaxEvent bytes.
	ErrTooLarge = errors.New("event is too large")
	// ErrMalformed is returned for what is no JSON object, or one whose fields id,
	// type or host are of no use.
	ErrMalformed = errors.New("event is malformed")
)

// A ts may be so far off before the time of arrival counts instead: the clock of
// its host is wrong then.
const maxAhead, maxBehind = 10 * time.Minute, 24 * time.Hour

// How long the fields that name things may be, in bytes.
const maxID, maxName = 256, 253

// Parse reads an event that has arrived now. It keeps raw. An error wraps
// ErrTooLarge or ErrMalformed and says what is wrong where.
func Parse(raw []byte, now time.Time) (Event, error) {
	if len(raw) > MaxEvent {
		return Event{}, fmt.Errorf("%w: %d bytes, at most %d are taken", ErrTooLarge, len(raw), MaxEvent)
	}
	e := Event{Raw: raw}
	if err := json.Unmarshal(raw, &e.Fields); err != nil {
		return Event{}, fmt.Errorf("%w: %s", ErrMalformed, noObject(raw, err))
	}
	if e.Fields == nil {
		return Event{}, fmt.Errorf("%w: null is no JSON object", ErrMalformed)
	}
	for _, field := range []struct {
		name string
		to   *string
		max  int
	}{{"id", &e.ID, maxID}, {"type", &e.Type, maxName}, {"host", &e.Host, maxName}} {
		var err error
		if *field.to, err = name(e.Fields[field.name], field.max); err != nil {
			return Event{}, fmt.Errorf("%w: field %s %w", ErrMalformed, field.name, err)
		}
	}
	if e.Type == "" {
		e.Type = "monitoring"
	}
	e.TS = timestamp(e.Fields["ts"], now)
	return e, nil
}

// noObject says in the words of who wrote the event why it is no object.
func noObject(raw []byte, err error) string {
	var syntax *json.SyntaxError
	var wrong *json.UnmarshalTypeError
	switch {
	case len(bytes.TrimSpace(raw)) == 0:
		return "it is empty"
	case errors.As(err, &wrong) && wrong.Field == "" && !strings.HasPrefix(wrong.Value, "number "):
		return fmt.Sprintf("a JSON %s is no JSON object", wrong.Value)
	case errors.As(err, &wrong):
		return fmt.Sprintf("%s is out of range", wrong.Value)
	case errors.As(err, &syntax):
		from := max(min(int(syntax.Offset)-1, len(raw)), 0)
		rest := raw[from:min(from+20, len(raw))]
		if near := raw[max(from-1, 0):min(from+8, len(raw))]; bytes.Contains(near, []byte("NaN")) || bytes.Contains(near, []byte("Inf")) {
			return fmt.Sprintf("NaN and Infinity are no JSON numbers (byte %d, at %q): leave the field out", from, rest)
		}
		return fmt.Sprintf("it is no JSON: %v (byte %d, at %q)", err, from, rest)
	}
	return err.Error()
}

// name reads a field that names something. A number is as good as a string.
func name(value any, longest int) (string, error) {
	text := ""
	switch v := value.(type) {
	case nil:
	case string:
		text = v
	case float64:
		text = strconv.FormatFloat(v, 'f', -1, 64)
	default:
		return "", errors.New("is neither a string nor a number")
	}
	if len(text) > longest {
		return "", fmt.Errorf("has %d bytes, at most %d are taken", len(text), longest)
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", errors.New("holds control characters")
	}
	return text, nil
}

// timestamp reads ts: milliseconds or seconds since 1970, or RFC 3339. It is now
// when there is none, or one that cannot be.
func timestamp(value any, now time.Time) time.Time {
	ts := now
	switch v := value.(type) {
	case float64:
		const seconds = 1e11 // as milliseconds, 1973; as seconds, the year 5138
		if math.Abs(v) < seconds {
			v *= 1000
		}
		if math.Abs(v) > 1e15 {
			return now
		}
		ts = time.UnixMicro(int64(v * 1000)).UTC()
	case string:
		parsed, err := time.Parse(time.RFC3339Nano, v)
		if err != nil {
			return now
		}
		ts = parsed
	}
	if ts.Sub(now) > maxAhead || now.Sub(ts) > maxBehind {
		return now
	}
	return ts
}
