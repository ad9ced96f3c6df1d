package relay

import (
	"fmt"
	"time"

	"rsm/runtime/proxy/command"
	"rsm/runtime/proxy/follow"
	"rsm/schema"
)

// route returns the server that a request goes to which shares a connection, nil
// when there is none now.
func (l *loop) route(c *client, cmd *command.Command) *server {
	if c.listener.Read == schema.ReadPreferReplica && cmd.Read {
		if s := l.replica(c); s != nil {
			return s
		}
	}
	return l.home(c)
}

// home returns the server for everything else, and for all that goes over a
// client's own backend, where reads and writes follow each other: the master, or a
// replica when the client may not write.
func (l *loop) home(c *client) *server {
	switch {
	case c.listener.Read == schema.ReadReplica:
		return l.replica(c)
	case l.master == nil || l.target.Hold || !l.tabled:
		return nil
	}
	return l.master
}

// replica chooses a replica that may answer a client's reads, in the proxy's zone
// if there is one; nil when there is none.
func (l *loop) replica(c *client) *server {
	if s := l.among(c, true); s != nil {
		return s
	}
	return l.among(c, false)
}

// among chooses one of the replicas that are near, or of those that are not.
// Clients take turns by their number, and each comes back to its own; those whose
// replica is out are spread over the others.
func (l *loop) among(c *client, near bool) *server {
	all, able, place := 0, 0, 0
	for _, r := range l.target.Replicas {
		if l.shared.near(r.Addr) == near {
			all++
		}
	}
	for _, r := range l.target.Replicas {
		if l.shared.near(r.Addr) != near {
			continue
		}
		if l.able(c, r) {
			if able++; place == int(c.id%uint64(all)) {
				return l.server(r.Addr)
			}
		}
		place++
	}
	if able == 0 {
		return nil
	}
	nth := int(c.id / uint64(all) % uint64(able))
	for _, r := range l.target.Replicas {
		if l.shared.near(r.Addr) != near || !l.able(c, r) {
			continue
		}
		if nth--; nth < 0 {
			return l.server(r.Addr)
		}
	}
	return nil
}

// able reports whether a replica may answer a client's reads now.
func (l *loop) able(c *client, r follow.Replica) bool {
	if s := l.servers[string(r.Addr)]; s != nil && (s.deposed || s.suspect > l.ns) {
		return false
	}
	return l.fresh(c, r)
}

// fresh reports whether a replica has what a client may not miss.
func (l *loop) fresh(c *client, r follow.Replica) bool {
	if lag := c.listener.MaxLag; lag > 0 && l.now.Sub(r.FreshAsOf) > lag {
		return false
	}
	return !c.listener.ReadYourWrites || c.wrote == 0 || r.FreshAsOf.After(l.clock(c.wrote))
}

// noteWrite remembers when a client's write was answered. The clock is read anew,
// as the loop's own stands still during a turn in which the write may have been
// sent, too: a replica that is as fresh as the turn's beginning need not have it.
func (l *loop) noteWrite(c *client, cmd *command.Command) {
	if c.listener.ReadYourWrites && !cmd.Read && !cmd.Repeat && changes(cmd) {
		c.wrote = int64(time.Since(l.start))
	}
}

// whyNoReplica says in words why no replica may answer a client.
func (l *loop) whyNoReplica(c *client) string {
	newest, known := time.Duration(0), false
	for _, r := range l.target.Replicas {
		if age := l.now.Sub(r.FreshAsOf); !r.FreshAsOf.IsZero() && (!known || age < newest) {
			newest, known = age, true
		}
	}
	lag := c.listener.MaxLag
	switch {
	case len(l.target.Replicas) == 0 && l.target.Master == "":
		return "no replica: " + l.target.Why
	case len(l.target.Replicas) == 0:
		return "no replica: none follows the master " + string(l.target.Master)
	case lag > 0 && !known:
		return fmt.Sprintf("no replica is known to be at most %v old", lag)
	case lag > 0 && newest > lag:
		return fmt.Sprintf("no replica is fresh enough: the data of the best is %v old, and may be %v", newest.Round(time.Millisecond), lag)
	}
	return "no replica can be reached"
}

// overdue ends what replicas have not answered for longer than their data may be
// old: one that hangs, and answers later, would answer with what it had then. The
// reads are done again elsewhere, but once only, as they may be slow themselves.
func (l *loop) overdue(b *backend) bool {
	e := b.ring.front()
	if e == nil || e.c == nil || b.owner != nil || b.server == l.master || b.blockedBy != nil || !b.scan.Between() {
		return false
	}
	lag := e.c.listener.MaxLag
	if lag == 0 || e.c.moved || e.c.gone || l.ns-e.at <= int64(max(lag, leastLag)) {
		return false
	}
	for i := range b.ring.count {
		if c := b.ring.at(i).c; c != nil {
			c.moved = true
		}
	}
	return true
}

// leastLag is how long a replica may take to answer however fresh it must be.
const leastLag = 100 * time.Millisecond
