package relay

import (
	"slices"
	"sync/atomic"
	"time"

	"rsm/schema"
)

// Access is one request and its answer, for the access log. No values are in it.
type Access struct {
	// Time is when it was passed on, Seconds until its answer came.
	Time    time.Time `json:"time"`
	Seconds float64   `json:"seconds"`
	// Client is the address, Name what the client calls itself.
	Client   string `json:"client"`
	Name     string `json:"name,omitempty"`
	ID       uint64 `json:"id"`
	User     string `json:"user"`
	Listener string `json:"listener"`
	DB       int    `json:"db"`
	Command  string `json:"command"`
	// Args is the number of arguments, the command's name included, and Request the
	// size in bytes; 0 when it was too long to be kept.
	Args    int         `json:"args"`
	Key     string      `json:"key,omitempty"` // the first one, shortened
	Request int         `json:"request_bytes"`
	Reply   int         `json:"reply_bytes"`
	Server  schema.Addr `json:"server"`
}

// Watch gets requests as they are answered.
type Watch struct {
	// C is never closed.
	C       <-chan Access
	c       chan Access
	all     bool
	dropped atomic.Uint64
}

// Dropped is how many were left out as nobody took them from C.
func (w *Watch) Dropped() uint64 { return w.dropped.Load() }

// Watch begins to show requests: all of them, or one of 128. At most room of them
// wait to be taken, so that who is slow loses some and holds up nobody. It
// goes on until stop is called. Showing all costs the loops a multiple of their work.
func (r *Relay) Watch(all bool, room int) (w *Watch, stop func()) {
	c := make(chan Access, room)
	w = &Watch{C: c, c: c, all: all}
	for _, l := range r.shared.all {
		l.post(func(l *loop) { l.seen.watch(append(l.seen.watches, w)) })
	}
	return w, func() {
		for _, l := range r.shared.all {
			l.post(func(l *loop) {
				l.seen.watch(slices.DeleteFunc(l.seen.watches, func(other *Watch) bool { return other == w }))
			})
		}
	}
}

func (s *seen) watch(watches []*Watch) {
	s.watches = watches
	s.everyone = slices.ContainsFunc(watches, func(w *Watch) bool { return w.all })
	s.left = 1
}

// show gives a sample to those who watch. While one wants all, the others see all.
func (l *loop) show(g *glance) {
	if len(l.seen.watches) == 0 {
		return
	}
	shown := Access{
		Time: l.clock(g.at), Seconds: seconds(g.took), Client: g.c.addr, Name: g.c.name, ID: g.c.id, User: g.c.user(),
		Listener: g.c.listener.Name, DB: g.c.ident.db, Command: commandName(g.cmd), Args: g.args,
		Request: g.size, Reply: g.replied, Server: g.server.addr,
	}
	if g.key != nil {
		shown.Key = keyText(g.key[:min(len(g.key), keyLength)], len(g.key))
	}
	for _, w := range l.seen.watches {
		select {
		case w.c <- shown:
		default:
			w.dropped.Add(1)
		}
	}
}
