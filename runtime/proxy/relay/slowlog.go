package relay

import (
	"context"
	"slices"
	"time"

	"rsm/runtime/proxy/command"
	"rsm/schema"
)

// slowSize is how many slow requests each loop remembers.
const slowSize = 128

// Slow is a request that took long. Its values and all but its first key are not
// kept.
type Slow struct {
	// Time is when it was passed on, Seconds until its answer came.
	Time    time.Time `json:"time"`
	Seconds float64   `json:"seconds"`
	// Client is the address, Name what the client calls itself.
	Client   string `json:"client"`
	Name     string `json:"name,omitempty"`
	ID       uint64 `json:"id"`
	Listener string `json:"listener"`
	Command  string `json:"command"`
	// Args is the number of arguments, the command's name included; 0 when it was
	// too long to be kept.
	Args int `json:"args"`
	// Requests of this command were sent one after the other; the first is meant.
	Requests int         `json:"requests"`
	Key      string      `json:"key,omitempty"` // the first one, shortened
	DB       int         `json:"db"`
	Server   schema.Addr `json:"server"`
}

// slowLog has the last slow requests.
type slowLog struct {
	items [slowSize]slowItem
	count int // ever
}

type slowItem struct {
	at, took       int64
	cmd            *command.Command
	id             uint64
	addr, name     string
	listener       string
	server         schema.Addr
	args, requests int
	keyed          bool
	key            shortKey
}

func (s *slowLog) note(g *glance) {
	i := &s.items[s.count%slowSize]
	s.count++
	i.at, i.took, i.cmd, i.id = g.at, g.took, g.cmd, g.c.id
	i.addr, i.name, i.listener, i.server = g.c.addr, g.c.name, g.c.listener.Name, g.server.addr
	i.args, i.requests, i.keyed = g.args, g.requests, g.key != nil
	i.key.set(g)
}

func (s *slowLog) list(l *loop) []Slow {
	var all []Slow
	for n := range min(s.count, slowSize) {
		i := &s.items[n]
		slow := Slow{
			Time: l.clock(i.at), Seconds: seconds(i.took), Client: i.addr, Name: i.name, ID: i.id, Listener: i.listener,
			Command: commandName(i.cmd), Args: i.args, Requests: i.requests, DB: i.key.db, Server: i.server,
		}
		if i.keyed {
			slow.Key = i.key.String()
		}
		all = append(all, slow)
	}
	return all
}

// Slow returns the last requests that took longer than the proxy's SlowLog, the
// newest first, at most limit. The time in which a request was held for want of a
// master does not count, nor do commands that are there to wait.
func (r *Relay) Slow(ctx context.Context, limit int) ([]Slow, error) {
	parts, err := ask(ctx, r, func(l *loop) []Slow { return l.seen.slows.list(l) })
	if err != nil {
		return nil, err
	}
	all := slices.Concat(parts...)
	slices.SortFunc(all, func(a, b Slow) int { return b.Time.Compare(a.Time) })
	return all[:min(limit, len(all))], nil
}
