package dispatch

import (
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"time"

	"rsm/runtime/worker/alert"
)

// unit is what is done in Redis as a whole or not at all.
type unit struct {
	// entry is the event in the stream that it comes of, to be acknowledged; "" for
	// none. origin is the id that the event brought along, "" for none.
	entry, origin string
	states        []state
	commands      [][]string
	tasks         []task
}

// state is a field of a hash that must still have the value that was read, "" for
// none.
type state struct{ key, field, before, after string }

// What a state may become beside a new value.
const (
	keep   = "="
	remove = "-"
)

// task is what queue.Task.Encode returned, for a queue.
type task struct{ queue, id, message, extra string }

func (u *unit) do(words ...string) { u.commands = append(u.commands, words) }

func (u *unit) set(key, field, before, after string) {
	u.states = append(u.states, state{key, field, before, after})
}

// wake sets when something is due; a zero time means never.
func (u *unit) wake(name string, at time.Time) {
	if at.IsZero() {
		u.do("ZREM", due, name)
		return
	}
	u.do("ZADD", due, strconv.FormatInt(at.UnixMilli(), 10), name)
}

// moved stores the next state of an alert, nil for none, with what lists it. It
// returns what is stored then.
func (u *unit) moved(before known, next *alert.Alert, now time.Time) known {
	old, after := before.alert, remove
	fingerprint, wake := "", time.Time{}
	if old != nil {
		fingerprint = old.Fingerprint
	}
	if next != nil {
		fingerprint, wake, after = next.Fingerprint, next.Wake, encode(next)
	}
	u.set(Alerts, fingerprint, before.raw, after)
	u.wake("a:"+fingerprint, wake)
	if statusOf(old) != statusOf(next) || groupOf(old) != groupOf(next) {
		u.index(old, next, now)
	}
	if next == nil {
		after = ""
	}
	return known{after, next, before.passed}
}

// index keeps what lists alerts, and makes their groups due.
func (u *unit) index(old, next *alert.Alert, now time.Time) {
	if old != nil {
		u.do("HINCRBY", Counts, string(old.Status), "-1")
		u.do("SREM", firing+old.Rule, old.Fingerprint)
		if groupOf(next) != old.Group {
			u.do("SREM", members+old.Group, old.Fingerprint)
			u.changed(old.Group, now)
		}
	}
	if next == nil {
		return
	}
	u.do("HINCRBY", Counts, string(next.Status), "1")
	if next.Status == alert.Firing {
		u.do("SADD", firing+next.Rule, next.Fingerprint)
	}
	u.do("SADD", members+next.Group, next.Fingerprint)
	u.changed(next.Group, now)
}

// changed makes a group due now, and whoever looks at it meanwhile look again.
func (u *unit) changed(group string, now time.Time) {
	u.do("HINCRBY", revisions, group, "1")
	u.wake("g:"+group, now)
}

// words are the arguments of the script for a unit: entry, origin; states (key,
// field, digest of the value before, value after); commands (number of words,
// words); tasks (number of the queue, id, message, extra).
func (u *unit) words(args []any, queue func(name string) int) []any {
	args = append(args, u.entry, u.origin, len(u.states))
	for _, s := range u.states {
		args = append(args, s.key, s.field, sum(s.before), s.after)
	}
	args = append(args, len(u.commands))
	for _, words := range u.commands {
		args = append(args, len(words))
		for _, word := range words {
			args = append(args, word)
		}
	}
	args = append(args, len(u.tasks))
	for _, t := range u.tasks {
		args = append(args, queue(t.queue), t.id, t.message, t.extra)
	}
	return args
}

// sum is what the script compares values by, as they may be long.
func sum(value string) string {
	if value == "" {
		return ""
	}
	digest := sha1.Sum([]byte(value))
	return hex.EncodeToString(digest[:])
}

func encode(value any) string {
	content, err := json.Marshal(value)
	if err != nil { // not of the types that are stored here
		return "{}"
	}
	return string(content)
}

// decode reads a state; what cannot be read counts as none, and is replaced.
func decode[T any](value string) *T {
	if value == "" {
		return nil
	}
	decoded := new(T)
	if json.Unmarshal([]byte(value), decoded) != nil {
		return nil
	}
	return decoded
}

func statusOf(a *alert.Alert) alert.Status {
	if a == nil {
		return ""
	}
	return a.Status
}

func groupOf(a *alert.Alert) string {
	if a == nil {
		return ""
	}
	return a.Group
}
