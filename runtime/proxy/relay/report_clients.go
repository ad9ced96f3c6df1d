package relay

import (
	"cmp"
	"context"
	"slices"

	"rsm/schema"
)

// ClientReport is one client.
type ClientReport struct {
	ID       uint64 `json:"id"`
	Addr     string `json:"address"`
	Name     string `json:"name,omitempty"` // what it calls itself
	User     string `json:"user"`
	DB       int    `json:"db"`
	Protocol int    `json:"protocol"` // 2 or 3
	Listener string `json:"listener"`
	// State is what it does: "idle", "busy" (waits for answers), "held" (for a
	// master), "waiting" (for room at the server), "stalled" (does not read its
	// replies), "delayed" (sent more than it may), "pinned" (has a connection of its
	// own), "transaction" or "subscribed" (and what for).
	State string `json:"state"`
	// Server is where its last request went.
	Server schema.Addr `json:"server,omitempty"`
	// Age is since it connected, Idle since its last request, in seconds.
	Age      float64 `json:"age_seconds"`
	Idle     float64 `json:"idle_seconds"`
	Requests uint64  `json:"requests"`
	InFlight int     `json:"in_flight"`
	// Received are bytes from it, Sent bytes to it.
	Received uint64 `json:"received_bytes"`
	Sent     uint64 `json:"sent_bytes"`
	Command  string `json:"command,omitempty"` // the last one
}

// Order is what clients are sorted by.
type Order string

// The values of Order: the most requests first, the most bytes both ways, or the
// longest idle.
const (
	ByRequests Order = "requests"
	ByBytes    Order = "bytes"
	ByIdle     Order = "idle"
)

// Clients returns the first clients by an order, at most limit.
func (r *Relay) Clients(ctx context.Context, by Order, limit int) ([]ClientReport, error) {
	parts, err := ask(ctx, r, func(l *loop) []ClientReport { return l.first(by, limit) })
	if err != nil {
		return nil, err
	}
	all := slices.Concat(parts...)
	slices.SortFunc(all, func(a, b ClientReport) int {
		return cmp.Or(cmp.Compare(a.rank(by), b.rank(by)), cmp.Compare(a.ID, b.ID))
	})
	return all[:min(limit, len(all))], nil
}

// rank is the place of a client in an order: the least comes first.
func (c *ClientReport) rank(by Order) int64 {
	switch by {
	case ByBytes:
		return -int64(c.Received + c.Sent)
	case ByIdle:
		return -int64(c.Idle * 1e9)
	}
	return -int64(c.Requests)
}

// first returns the first clients of a loop. Reports are made of those alone, as
// there may be thousands of others.
func (l *loop) first(by Order, limit int) []ClientReport {
	type ranked struct {
		rank int64
		c    *client
	}
	var best []ranked
	for _, c := range l.clients {
		r := ranked{(&ClientReport{Requests: c.requests, Received: c.received, Sent: c.sent, Idle: seconds(l.ns - c.last)}).rank(by), c}
		if len(best) >= limit && (limit == 0 || r.rank >= best[len(best)-1].rank) {
			continue
		}
		i, _ := slices.BinarySearchFunc(best, r, func(a, b ranked) int { return cmp.Compare(a.rank, b.rank) })
		best = slices.Insert(best, i, r)
		best = best[:min(limit, len(best))]
	}
	reports := make([]ClientReport, 0, len(best))
	for _, r := range best {
		reports = append(reports, l.describe(r.c))
	}
	return reports
}

func (l *loop) describe(c *client) ClientReport {
	r := ClientReport{
		ID: c.id, Addr: c.addr, Name: c.name, User: c.user(), DB: c.ident.db, Protocol: c.ident.proto, Listener: c.listener.Name,
		State: c.doing(), Age: seconds(l.ns - c.since), Idle: seconds(l.ns - c.last),
		Requests: c.requests, InFlight: c.outstanding, Received: c.received, Sent: c.sent, Command: commandName(c.lastCommand),
	}
	if c.lane != nil {
		r.Server = c.lane.server.addr
	}
	return r
}

// Alive has every loop answer; the error says that one does not.
func (r *Relay) Alive(ctx context.Context) error {
	_, err := ask(ctx, r, func(*loop) struct{} { return struct{}{} })
	return err
}

// user is who the client is to the server.
func (c *client) user() string {
	if c.ident.user == "" {
		return "default"
	}
	return c.ident.user
}
