package relay

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"rsm/schema"
)

// Report is what a relay has done and does now.
type Report struct {
	Loops     []LoopReport
	Listeners []ListenerReport // by name; with those that were closed
	Servers   []ServerReport   // by address; those that have connections
	// Commands were answered at least once, by name.
	Commands []CommandReport
	// States counts the clients by what they do, see ClientReport.State.
	States map[string]int
	Held   HeldReport
	Counters
}

// HeldReport is who waits for a master now.
type HeldReport struct {
	Clients int `json:"clients"`
	// Bytes of their requests, and since when the first of them waits, in seconds.
	Bytes   int64   `json:"bytes"`
	Longest float64 `json:"longest_seconds"`
}

// Counters count since the relay was made, and never fall.
type Counters struct {
	Opened   uint64 `json:"opened"`   // connections to servers
	Rejected uint64 `json:"rejected"` // clients for which there was no place
	Holds    uint64 `json:"holds"`    // times that a client had to wait for a master
	Refusals uint64 `json:"refusals"` // of those, how many ended with an error
	Retries  uint64 `json:"retries"`  // requests that were sent again
	Doubts   uint64 `json:"doubts"`   // requests whose fate nobody knows
	Denied   uint64 `json:"denied"`   // requests that the rules of a listener refused
	// Unconfirmed are writes of a durable listener that were answered with an error
	// as no replica said in time that it has them.
	Unconfirmed uint64 `json:"unconfirmed"`
}

// LoopReport is one event loop.
type LoopReport struct {
	Clients  int `json:"clients"`
	Backends int `json:"backends"`
	InFlight int `json:"in_flight"` // requests that are not answered yet
	// Turns are how often it looked for something to do.
	Turns uint64 `json:"turns"`
}

// ListenerReport is the traffic of one listener.
type ListenerReport struct {
	Name     string `json:"name"`
	Clients  int    `json:"clients"`  // now
	Accepted uint64 `json:"accepted"` // ever
	// Received are bytes from clients, Sent bytes to them.
	Received uint64 `json:"received_bytes"`
	Sent     uint64 `json:"sent_bytes"`
}

// ServerReport is the connections to one server.
type ServerReport struct {
	Addr schema.Addr `json:"address"`
	// Shared connections carry the requests of many clients, each Pinned one those
	// of a single client, Idle ones wait for work; Opening ones are not logged in
	// yet, and Retired ones only finish what they were sent.
	Shared  int `json:"shared"`
	Pinned  int `json:"pinned"`
	Idle    int `json:"idle"`
	Opening int `json:"opening"`
	Retired int `json:"retired"`
	// InFlight requests are not answered yet; some may not be sent.
	InFlight int `json:"in_flight"`
	// Deposed servers were the master and answer what they still owe.
	Deposed bool `json:"deposed"`
	// Failures are attempts to connect that came to nothing since the last success.
	Failures int `json:"failures"`
}

// CommandReport is the answers to one command.
type CommandReport struct {
	Name string // "unknown" for those that the server does not know
	Latency
}

// Seconds is the time that all answers took together.
func (l Latency) Seconds() float64 { return float64(l.Sum) / 1e6 }

func seconds(ns int64) float64 { return time.Duration(ns).Seconds() }

// Bound is the upper bound of a bucket; 0 for the last one, which has none.
func Bound(bucket int) time.Duration {
	if bucket >= Buckets-1 {
		return 0
	}
	return time.Duration(1<<bucket) * time.Microsecond
}

// Quantile estimates in what time a share of the answers came, from 0 to 1. It is
// right to a factor of two, and never more than eight seconds. 0 without answers.
func (l Latency) Quantile(share float64) time.Duration {
	rank, sum := share*float64(l.Count), 0.0
	for i, n := range l.Counts {
		if n > 0 && sum+float64(n) >= rank {
			low, high := float64(int(1)<<i/2), float64(int(1)<<i)
			return time.Duration((low + (high-low)*(rank-sum)/float64(n)) * float64(time.Microsecond))
		}
		sum += float64(n)
	}
	return 0
}

// Add counts the answers of another in.
func (l *Latency) Add(m Latency) {
	l.Count, l.Errors, l.Sum = l.Count+m.Count, l.Errors+m.Errors, l.Sum+m.Sum
	for i, n := range m.Counts {
		l.Counts[i] += n
	}
}

// ask has every loop answer f, and returns the answers in no order. The error is
// that of ctx, as a loop may be stuck or have ended.
func ask[T any](ctx context.Context, r *Relay, f func(*loop) T) ([]T, error) {
	answers := make(chan T, len(r.shared.all))
	for _, l := range r.shared.all {
		l.post(func(l *loop) { answers <- f(l) })
	}
	all := make([]T, 0, len(r.shared.all))
	for range r.shared.all {
		select {
		case answer := <-answers:
			all = append(all, answer)
		case <-ctx.Done():
			return nil, fmt.Errorf("ask event loops: %w", ctx.Err())
		}
	}
	return all, nil
}

// Report asks all loops. It costs each of them some microseconds, and a
// millisecond with 10,000 clients.
func (r *Relay) Report(ctx context.Context) (Report, error) {
	parts, err := ask(ctx, r, (*loop).report)
	if err != nil {
		return Report{}, err
	}
	sum := newTally()
	for _, part := range parts {
		sum.add(part)
	}
	r.shared.mu.Lock()
	sum.Rejected = r.shared.rejected
	r.shared.mu.Unlock()
	return sum.report(), nil
}

// tally is a report in the making.
type tally struct {
	Report
	listeners map[string]*ListenerReport
	servers   map[schema.Addr]*ServerReport
	commands  map[string]*Latency
}

func newTally() *tally {
	return &tally{
		Report:    Report{States: map[string]int{}},
		listeners: map[string]*ListenerReport{}, servers: map[schema.Addr]*ServerReport{}, commands: map[string]*Latency{},
	}
}

// at returns what a map has for a key, a new value if need be.
func at[K comparable, V any](m map[K]*V, key K) *V {
	if m[key] == nil {
		m[key] = new(V)
	}
	return m[key]
}

func (t *tally) add(part *tally) {
	t.Loops = append(t.Loops, part.Loops...)
	t.Held.Clients, t.Held.Bytes = t.Held.Clients+part.Held.Clients, t.Held.Bytes+part.Held.Bytes
	t.Held.Longest = max(t.Held.Longest, part.Held.Longest)
	t.Opened, t.Holds, t.Refusals = t.Opened+part.Opened, t.Holds+part.Holds, t.Refusals+part.Refusals
	t.Unconfirmed += part.Unconfirmed
	t.Retries, t.Doubts, t.Denied = t.Retries+part.Retries, t.Doubts+part.Doubts, t.Denied+part.Denied
	for state, n := range part.States {
		t.States[state] += n
	}
	for name, other := range part.listeners {
		mine := at(t.listeners, name)
		mine.Clients, mine.Accepted = mine.Clients+other.Clients, mine.Accepted+other.Accepted
		mine.Received, mine.Sent = mine.Received+other.Received, mine.Sent+other.Sent
	}
	for addr, other := range part.servers {
		mine := at(t.servers, addr)
		mine.Shared, mine.Pinned, mine.Idle = mine.Shared+other.Shared, mine.Pinned+other.Pinned, mine.Idle+other.Idle
		mine.Opening, mine.Retired = mine.Opening+other.Opening, mine.Retired+other.Retired
		mine.InFlight, mine.Failures = mine.InFlight+other.InFlight, max(mine.Failures, other.Failures)
		mine.Deposed = mine.Deposed || other.Deposed
	}
	for name, other := range part.commands {
		at(t.commands, name).Add(*other)
	}
}

// report sorts what was counted.
func (t *tally) report() Report {
	for _, name := range slices.Sorted(maps.Keys(t.listeners)) {
		l := *t.listeners[name]
		l.Name = name
		t.Listeners = append(t.Listeners, l)
	}
	for _, addr := range slices.SortedFunc(maps.Keys(t.servers), func(a, b schema.Addr) int { return strings.Compare(string(a), string(b)) }) {
		s := *t.servers[addr]
		s.Addr = addr
		t.Servers = append(t.Servers, s)
	}
	for _, name := range slices.Sorted(maps.Keys(t.commands)) {
		t.Commands = append(t.Commands, CommandReport{Name: name, Latency: *t.commands[name]})
	}
	return t.Report
}
