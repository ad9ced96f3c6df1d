package queue

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// MaxPayload is how many bytes the payload of a task may have. What is larger
// belongs elsewhere, and the payload says where.
const MaxPayload = 1 << 20

// MaxID is how many bytes the id of a task or a unique key may have.
const MaxID = 256

// Priority says which tasks of a queue come first.
type Priority int

// The priorities. Among tasks for a worker or for labels, those of Low come like
// Normal.
const (
	Low    Priority = -1
	Normal Priority = 0
	High   Priority = 1
)

// Scope is for how long a unique key is held.
type Scope string

// The scopes of a unique key. A task that is dead, deleted or cancelled holds none.
const (
	// UntilStart is until a worker takes the task.
	UntilStart Scope = "until_start"
	// UntilDone is until it is done, over all retries.
	UntilDone Scope = "until_done"
	// UntilTTL is for the TTL, also when it is done before.
	UntilTTL Scope = "until_ttl"
)

// Unique keeps a second task with the same key out.
type Unique struct {
	Key   string
	Scope Scope
	// TTL bounds every scope, to the millisecond; 0 means no bound, and UntilTTL
	// needs one.
	TTL time.Duration
}

// Task is a piece of work. Only Type is needed.
type Task struct {
	// ID tells it from all others of its queue, and adding the same id again does
	// nothing: "" means a new ULID. It has no blanks and does not begin with "{".
	ID string
	// Type picks the handler, such as "mail/welcome".
	Type string
	// Payload is JSON, at most MaxPayload bytes; nil means null.
	Payload  json.RawMessage
	Priority Priority
	// RunAt is when it may start, Delay how long from now by the clock of Redis.
	// At most one is set.
	RunAt time.Time
	Delay time.Duration
	// Worker is the only one that may run it, or Labels are what a worker must have.
	// At most one is set.
	Worker string
	Labels map[string]string
	// Attempts, Timeout and Retention are those of the queue when 0; a negative
	// Timeout means no limit, a negative Retention that the result is not kept.
	Attempts           int
	Timeout, Retention time.Duration
	Unique             *Unique
}

// message is what the hash of messages holds for a task. The payload stands last,
// see decode.
type message struct {
	Type    string          `json:"t"`
	Options *options        `json:"o,omitempty"`
	Payload json.RawMessage `json:"p"`
}

type options struct {
	Priority  Priority          `json:"pr,omitempty"`
	Worker    string            `json:"w,omitempty"`
	Labels    map[string]string `json:"l,omitempty"`
	Attempts  int               `json:"n,omitempty"`
	Timeout   int64             `json:"t,omitempty"` // milliseconds
	Retention int64             `json:"r,omitempty"`
	Unique    string            `json:"u,omitempty"`
}

// extra is what the script must know of a task beside its message.
type extra struct {
	At    int64  `json:"at,omitempty"`
	Delay int64  `json:"delay,omitempty"`
	Lane  string `json:"lane,omitempty"`
	Key   string `json:"u,omitempty"`
	Scope string `json:"s,omitempty"`
	TTL   *int64 `json:"ttl,omitempty"`
}

var (
	goodType = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,127}$`)
	goodID   = regexp.MustCompile(`^[^\x00-\x20\x7f{][^\x00-\x20\x7f]*$`)
	goodWord = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$`)
)

// Encode checks a task and returns the three arguments of Q.enqueue, see Prelude.
// A task without an ID gets one, which is the first of them.
func (t Task) Encode() (id, msg, more string, err error) {
	if t.ID == "" {
		t.ID = NewID()
	}
	if err := t.check(); err != nil {
		return t.ID, "", "", fmt.Errorf("task %.80q: %w", t.ID, err)
	}
	if more, err = t.extra(); err != nil {
		return t.ID, "", "", fmt.Errorf("task %.80q: %w", t.ID, err)
	}
	msg, err = t.message()
	if err != nil {
		return t.ID, "", "", fmt.Errorf("task %.80q: %w", t.ID, err)
	}
	return t.ID, msg, more, nil
}

func (t Task) check() error {
	switch {
	case len(t.ID) > MaxID || !goodID.MatchString(t.ID):
		return fmt.Errorf("the id must be 1 to %d bytes without blanks and not begin with {", MaxID)
	case !goodType.MatchString(t.Type):
		return fmt.Errorf("type %.80q: a type is 1 to 128 letters, digits and . _ : / @ -", t.Type)
	case len(t.Payload) > MaxPayload:
		return fmt.Errorf("the payload has %d bytes, and may have %d: put the data elsewhere, and where that is in the payload", len(t.Payload), MaxPayload)
	case t.Payload != nil && !json.Valid(t.Payload):
		return fmt.Errorf("the payload is not JSON: %w", whyInvalid(t.Payload))
	case t.Priority < Low || t.Priority > High:
		return fmt.Errorf("priority %d: it is -1, 0 or 1", t.Priority)
	case !t.RunAt.IsZero() && t.Delay != 0:
		return errors.New("it has both a time and a delay: give one")
	case t.Delay < 0:
		return fmt.Errorf("delay %s is negative", t.Delay)
	case t.Worker != "" && len(t.Labels) > 0:
		return errors.New("it asks for both a worker and labels: give one")
	case t.Worker != "" && !goodWord.MatchString(t.Worker):
		return fmt.Errorf("worker %.80q: a name is letters, digits and . _ : / -", t.Worker)
	case t.Attempts < 0:
		return fmt.Errorf("attempts %d: it is 1 or more, or 0 for that of the queue", t.Attempts)
	}
	return t.Unique.check()
}

func (u *Unique) check() error {
	switch {
	case u == nil:
		return nil
	case u.Key == "" || len(u.Key) > MaxID:
		return fmt.Errorf("the unique key must be 1 to %d bytes", MaxID)
	case u.Scope != UntilStart && u.Scope != UntilDone && u.Scope != UntilTTL:
		return fmt.Errorf("unique scope %q: it is until_start, until_done or until_ttl", u.Scope)
	case u.TTL < 0 || u.TTL > 0 && u.TTL < time.Millisecond:
		return fmt.Errorf("unique TTL %s: it is a millisecond or more", u.TTL)
	case u.Scope == UntilTTL && u.TTL == 0:
		return errors.New("unique until_ttl needs a TTL")
	}
	return nil
}

// whyInvalid is what encoding/json says of bytes that are not JSON.
func whyInvalid(content []byte) error {
	var any json.RawMessage
	return json.Unmarshal(content, &any)
}

func (t Task) extra() (string, error) {
	lane, err := t.lane()
	if err != nil {
		return "", err
	}
	x := extra{Delay: roundUp(t.Delay), Lane: lane}
	if !t.RunAt.IsZero() {
		x.At = t.RunAt.UnixMilli()
	}
	if t.Unique != nil {
		ttl := t.Unique.TTL.Milliseconds()
		letter := map[Scope]string{UntilStart: "s", UntilDone: "d", UntilTTL: "t"}
		x.Key, x.Scope, x.TTL = t.Unique.Key, letter[t.Unique.Scope], &ttl
	}
	if x == (extra{}) {
		return "", nil
	}
	content, err := json.Marshal(x)
	return string(content), err
}

// lane is the line that a task waits in, "" for the shared one: "@<worker>" or
// "#<label>=<value>,…", after "+" when it goes to the front of that, "high" or
// "low".
func (t Task) lane() (string, error) {
	front := ""
	if t.Priority == High {
		front = "+"
	}
	switch {
	case t.Worker != "":
		return front + "@" + t.Worker, nil
	case len(t.Labels) > 0:
		pairs, err := LabelPairs(t.Labels)
		return front + "#" + strings.Join(pairs, ","), err
	case t.Priority == High:
		return "high", nil
	case t.Priority == Low:
		return "low", nil
	}
	return "", nil
}

// LabelPairs writes labels as sorted "name=value".
func LabelPairs(labels map[string]string) ([]string, error) {
	var pairs []string
	for name, value := range labels {
		if !goodWord.MatchString(name) || !goodWord.MatchString(value) {
			return nil, fmt.Errorf("label %.80q=%.80q: name and value are letters, digits and . _ : / -", name, value)
		}
		pairs = append(pairs, name+"="+value)
	}
	slices.Sort(pairs)
	return pairs, nil
}

func (t Task) message() (string, error) {
	o := options{Priority: t.Priority, Worker: t.Worker, Labels: t.Labels, Attempts: t.Attempts,
		Timeout: milliseconds(t.Timeout), Retention: milliseconds(t.Retention)}
	if t.Unique != nil {
		o.Unique = t.Unique.Key
	}
	out := append([]byte(`{"t":"`), t.Type...)
	out = append(out, '"')
	if o.Priority != 0 || o.Worker != "" || o.Labels != nil || o.Attempts != 0 || o.Timeout != 0 || o.Retention != 0 || o.Unique != "" {
		content, err := json.Marshal(o)
		if err != nil {
			return "", err
		}
		out = append(append(out, `,"o":`...), content...)
	}
	if t.Payload != nil {
		out = append(append(out, `,"p":`...), t.Payload...)
	}
	return string(append(out, '}')), nil
}

// rawMark stands before what a program pushed onto the list by itself.
const rawMark = "R"

// decode reads a message. What a program pushed by itself is the payload, and its
// field "type", if any, the type; an error says why it is no JSON, and Payload is
// set all the same.
func decode(id, msg string) (Task, error) {
	t := Task{ID: id}
	if raw, ok := strings.CutPrefix(msg, rawMark); ok {
		return decodeRaw(t, []byte(raw))
	}
	if kind, payload, ok := plain(msg); ok { // most, and ten times as fast
		t.Type, t.Payload = kind, payload
		return t, nil
	}
	var m message
	if err := json.Unmarshal([]byte(msg), &m); err != nil {
		t.Payload = []byte(msg)
		return t, fmt.Errorf("read message: %w", err)
	}
	t.Type, t.Payload = m.Type, m.Payload
	if o := m.Options; o != nil {
		t.Priority, t.Worker, t.Labels, t.Attempts = o.Priority, o.Worker, o.Labels, o.Attempts
		t.Timeout, t.Retention = time.Duration(o.Timeout)*time.Millisecond, time.Duration(o.Retention)*time.Millisecond
		if o.Unique != "" {
			t.Unique = &Unique{Key: o.Unique}
		}
	}
	return t, nil
}

// plain reads a message that has a type and a payload alone.
func plain(msg string) (kind string, payload json.RawMessage, ok bool) {
	rest, ok := strings.CutPrefix(msg, `{"t":"`)
	if !ok {
		return "", nil, false
	}
	kind, rest, _ = strings.Cut(rest, `"`)
	rest, ok = strings.CutPrefix(rest, `,"p":`)
	if !ok || !strings.HasSuffix(rest, "}") {
		return "", nil, false
	}
	return kind, json.RawMessage(rest[:len(rest)-1]), true
}

func decodeRaw(t Task, raw []byte) (Task, error) {
	t.Payload = raw
	if len(raw) > MaxPayload {
		return t, fmt.Errorf("it has %d bytes, and may have %d", len(raw), MaxPayload)
	}
	if !json.Valid(raw) {
		return t, fmt.Errorf("it is not JSON: %w", whyInvalid(raw))
	}
	var typed struct {
		Type string `json:"type"`
	}
	if bytes.HasPrefix(bytes.TrimLeft(raw, " \t\r\n"), []byte("{")) && json.Unmarshal(raw, &typed) == nil {
		t.Type = typed.Type
	}
	return t, nil
}

// milliseconds keeps a negative duration negative, and a tiny one above 0.
func milliseconds(d time.Duration) int64 {
	if d < 0 {
		return -1
	}
	return roundUp(d)
}

func roundUp(d time.Duration) int64 {
	return int64((d + time.Millisecond - 1) / time.Millisecond)
}
