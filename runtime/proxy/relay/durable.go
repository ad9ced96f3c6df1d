package relay

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"rsm/runtime/proxy/command"
)

// Writes of a durable listener are answered once a replica has them, too. Their
// replies, and all that come after them for the same client, wait in the client's
// gate. Whether a replica has them is asked of the master by WAIT, on a connection
// that is for nothing else, the witness: there it counts all that the master
// executed before, whoever sent it (Redis 7.0, server.c, woff), and who does not
// write need not wait for it. One WAIT is for all writes that were answered since
// the one before.

// witness asks one server what its replicas have.
type witness struct {
	*backend
	up      bool // it has answered, so that it is with the process that gets all later writes
	users   int  // clients that rely on it
	waiting []*gate
	// round counts the questions. What is answered now is for the next one.
	round  uint64
	asking bool
	due    bool
}

// The answers to writes that the master has. Libraries must not send those again;
// after NOREPLICAS, by which a server refuses a write, go-redis and Sidekiq do.
const (
	unconfirmedText = "-UNCONFIRMED written on the master, but no replica has confirmed it within %d ms"
	unaskedText     = "-UNCONFIRMED written on the master, but it does not tell whether a replica has it: "
	goneText        = "-INDOUBT written on the master, but that went away before a replica confirmed it"
)

// lasting reports whether a reply means that something may have been written.
func (c *client) lasting(cmd *command.Command) bool {
	if !c.listener.Durable || cmd == nil || c.state.raw {
		return false
	}
	if c.state.multi || c.transaction != nil {
		return cmd.Kind == command.Exec
	}
	return changesData(cmd) && cmd.Kind != command.Stream
}

// witnessed reports whether a command may be sent: not a write before the witness
// is there. A witness that came later might speak with another process than the
// one that has executed the write, and died, and was started anew.
func (l *loop) witnessed(c *client, cmd *command.Command, s *server) bool {
	if s == nil || !c.lasting(cmd) {
		return true
	}
	if w := c.witness; w == nil || w.gone || w.server != s || !sameUser(w.ident, c.ident) {
		if c.outstanding > 0 {
			c.wait = waitReplies
			return false
		}
		if l.leaveWitness(c); !l.findWitness(c, s) {
			return l.hold(c)
		}
	}
	if !c.witness.up {
		c.wait = waitRoom
		c.witness.waiters = append(c.witness.waiters, c)
		return false
	}
	return true
}

func sameUser(a, b *identity) bool {
	return a == b || a.user == b.user && a.password == b.password && a.login == b.login
}

// findWitness gives a client the witness of its identity.
func (l *loop) findWitness(c *client, s *server) bool {
	plain := *c.ident
	plain.db, plain.proto = 0, 2
	who := l.identity(plain)
	w := s.witnesses[who]
	if w == nil {
		b := l.lease(s, who)
		if b == nil {
			return false
		}
		w = &witness{backend: b, round: 1}
		b.witness = w
		if s.witnesses == nil {
			s.witnesses = map[*identity]*witness{}
		}
		s.witnesses[who] = w
		l.own(b, capture, func(*loop, *backend, []byte) { w.up = true }, "PING")
	}
	w.users++
	c.witness = w
	return true
}

// leaveWitness is for a client that needs another one, or none.
func (l *loop) leaveWitness(c *client) {
	if c.witness != nil {
		c.witness.users--
		c.witness = nil
	}
	if c.gate != nil {
		c.gate.client, c.gate = nil, nil
	}
}

// inquire has a witness ask at the end of the turn.
func (l *loop) inquire(w *witness) {
	if !w.asking && !w.due && !w.gone {
		w.due = true
		l.due = append(l.due, w)
	}
}

// inquiries sends what became due. All that is in a gate now was executed before.
func (l *loop) inquiries() {
	for _, w := range l.due {
		if w.due = false; w.gone {
			continue
		}
		patience := time.Millisecond
		for _, g := range w.waiting {
			if g.client != nil {
				patience = max(patience, g.client.listener.DurableTimeout)
			}
		}
		round := w.round
		w.asking, w.round = true, round+1
		l.own(w.backend, swallow, nil, "PING") // any command makes the connection ask about all before it
		l.own(w.backend, capture, func(l *loop, _ *backend, reply []byte) { l.told(w, round, reply) },
			"WAIT", "1", strconv.FormatInt(patience.Milliseconds(), 10))
	}
	l.due = l.due[:0]
}

// told takes the answer to a question.
func (l *loop) told(w *witness, round uint64, reply []byte) {
	w.asking = false
	yes, no := reply[0] == ':' && reply[1] != '0', unaskedText+string(reply[1:len(reply)-2])
	for _, g := range w.waiting {
		if g.client == nil {
			continue
		}
		n := 0
		for n < len(g.marks) && g.marks[n].round <= round {
			g.marks[n].sure = g.marks[n].sure || yes
			n++
		}
		switch {
		case reply[0] != ':':
			l.fail(g, n, no)
		case !yes:
			l.fail(g, n, g.client.unconfirmed())
		}
		l.letOut(g)
	}
	w.waiting = slices.DeleteFunc(w.waiting, func(g *gate) bool {
		if g.client == nil && cap(g.bytes) <= bufferSize && len(l.gates) < maxFree {
			l.gates = append(l.gates, g)
		}
		return g.client == nil
	})
	for _, g := range w.waiting {
		if slices.ContainsFunc(g.marks, func(m mark) bool { return m.write && !m.sure }) {
			l.inquire(w)
			break
		}
	}
}

func (c *client) unconfirmed() string {
	return fmt.Sprintf(unconfirmedText, c.listener.DurableTimeout.Milliseconds())
}

// tendWitnesses ends the patience of those who wait for a replica.
func (l *loop) tendWitnesses(s *server) {
	for _, w := range s.witnesses {
		for _, g := range w.waiting {
			c, late := g.client, 0
			if c == nil {
				continue
			}
			for late < len(g.marks) && l.ns-g.marks[late].at >= int64(c.listener.DurableTimeout) {
				late++
			}
			switch {
			case late == 0:
			case c.closing && !g.scan.Between(): // the rest of that reply never comes
				l.drop(c)
			default:
				l.fail(g, late, c.unconfirmed())
				l.letOut(g)
			}
		}
	}
}

// sweepWitnesses lets those go that nobody needs. A server may close connections
// that are idle; a question each second keeps it from that.
func (l *loop) sweepWitnesses(s *server) {
	for _, w := range s.witnesses {
		switch {
		case w.ring.count > 0:
		case w.users == 0:
			l.shut(w.backend)
		default:
			l.own(w.backend, swallow, nil, "PING")
		}
	}
}

// lost is for a witness whose connection has ended. Nobody can say any more
// whether a replica has what it was to ask about: who asks on another connection
// may be told about another process, that was started anew without it.
func (w *witness) lost(l *loop) {
	delete(w.server.witnesses, w.ident)
	for _, g := range w.waiting {
		if g.client != nil {
			l.fail(g, len(g.marks), goneText)
			l.letOut(g)
		}
	}
}
