package relay

import (
	"bytes"
	"errors"
	"io"
	"slices"

	"rsm/internal/frame"
	"rsm/runtime/proxy/command"
	"rsm/runtime/proxy/follow"
	"rsm/schema"
)

var (
	errRefused = errors.New("the server lets nobody in")
	errGone    = errors.New("the connection was cut")
)

// Errors that clients get. Libraries send a command again after MASTERDOWN; they
// must not after INDOUBT.
const (
	doubtText = "-INDOUBT the master went away before it answered: the command may have been executed or not"
	cutText   = "-MASTERDOWN the server of this connection is gone: connect again"
)

// follow takes note of where requests go now.
func (l *loop) follow() {
	t := l.shared.target()
	if t.Master != "" && l.now.Sub(t.Proof) > l.shared.fence() {
		if l.master != nil {
			l.log.Warn("fence", "master", t.Master, "last proof", t.Proof)
		}
		t = &follow.Target{Why: "the master has not proved to be one in time"}
	}
	old := l.target
	l.target = t
	if t == old {
		return
	}
	if old.Hold != t.Hold || old.Master != t.Master || !sameReplicas(old, t) {
		l.gen++
		l.turnTo(t)
		l.wakeHeld()
	} else if len(l.held) > 0 && (len(t.Replicas) > 0 || t.Master != "" && !t.Hold) {
		l.wakeHeld() // a replica may be fresh enough by now
	}
}

func sameReplicas(a, b *follow.Target) bool {
	return slices.EqualFunc(a.Replicas, b.Replicas, func(x, y follow.Replica) bool { return x.Addr == y.Addr })
}

// turnTo leaves the servers that requests no longer go to.
func (l *loop) turnTo(t *follow.Target) {
	old := l.master
	l.master = nil
	if t.Master != "" {
		l.master = l.server(t.Master)
		if l.master.deposed {
			l.cut(l.master, "it leads again")
			l.master = l.server(t.Master)
			l.master.deposed = false
		}
		if l.master != old {
			l.master.suspect, l.master.fails = 0, 0
		}
	}
	for _, s := range l.servers {
		switch {
		case s == l.master:
		case s == old && t.Master != "": // if it is a replica already, it begins anew once it has answered
			l.depose(s)
		case slices.ContainsFunc(t.Replicas, func(r follow.Replica) bool { return r.Addr == s.addr }):
		case !s.deposed:
			l.cut(s, t.Why)
		}
	}
}

// depose lets a former master answer what it was sent, for a while. Writes that
// it says to have done are in doubt: they may not be on the new master.
func (l *loop) depose(s *server) {
	s.deposed, s.patience = true, l.ns+drainTime
	l.unblockClients(s)
	for b := range s.backends {
		if b.ring.count > 0 {
			l.retire(b)
			continue
		}
		if c := b.owner; c != nil {
			l.losePin(c)
		} else {
			l.shut(b)
		}
	}
}

// unblockClients asks a former master to send away those that wait in a blocking
// command. It may stay a master for ten seconds more, on which nobody pushes
// anything; and its answer proves that nothing was taken for them.
func (l *loop) unblockClients(s *server) {
	var by *backend
	var ids []string
	for b := range s.backends {
		switch {
		case b.owner == nil && b.ready:
			by = b
		case b.owner != nil && b.realID != "" && b.owner.blocked():
			ids = append(ids, b.realID)
		}
	}
	for _, id := range ids {
		if by != nil {
			l.own(by, swallow, nil, "CLIENT", "UNBLOCK", id, "ERROR")
		}
	}
}

// cut closes every connection to a server.
func (l *loop) cut(s *server, why string) {
	for b := range s.backends {
		l.broken(b, errGone)
	}
	delete(l.servers, string(s.addr))
	l.log.Info("left", "server", s.addr, "why", why)
}

// broken decides the fate of each request that a backend leaves unanswered.
func (l *loop) broken(b *backend, err error) {
	if b.gone {
		return
	}
	if !b.ready {
		l.suspect(b.server)
	}
	if err != errGone && (b.owner == nil || !b.ready) { // what ends a pin may be its client's doing
		l.shared.ask(string(b.server.addr) + ": " + err.Error())
	}
	owner := b.owner
	if owner != nil && owner.stream != nil {
		l.breakStream(owner, b)
	}
	ended := b.execSent()
	restart := owner != nil && !owner.gone && owner.transaction != nil && (!ended || owner.listener.Read == schema.ReadReplica && b.scan.Between())
	outside := b.unanswered()
	if owner != nil && owner.transaction != nil {
		outside -= min(outside, countRequests(owner.transaction))
	}
	at := b.done
	for i := range b.ring.count {
		e := b.ring.at(i)
		switch {
		case outside > 0 || owner == nil || owner.gone || owner.transaction == nil:
			n := e.n
			if at = l.orphan(b, e, at, i == 0); e.c != nil {
				outside -= n
			}
		case e.c == nil, e.fate == swallow: // the client expects no reply
		case restart:
			owner.unanswered += e.n
		default:
			for range e.n {
				owner.putBack(redo{answer: []byte(halfDone(e.cmd))})
			}
		}
	}
	l.shut(b)
	if owner == nil || owner.gone {
		return
	}
	if !restart {
		owner.transaction = nil
		owner.state.multi = owner.state.multi && !ended
	}
	if owner.state.raw && errors.Is(err, io.EOF) { // the server ended it, not a failover
		owner.closing = true
		l.wakeClient(owner)
	}
	l.losePin(owner)
}

// halfDone is the answer to one command of a transaction that may have been
// executed.
func halfDone(cmd *command.Command) string {
	switch {
	case cmd.Kind == command.Multi:
		return "+OK\r\n"
	case cmd.Kind == command.Exec:
		return doubtText + "\r\n"
	}
	return "+QUEUED\r\n"
}

// unanswered counts the requests of clients that a backend has not answered.
func (b *backend) unanswered() int {
	n := 0
	for i := range b.ring.count {
		if e := b.ring.at(i); e.c != nil {
			n += e.n
		}
	}
	return n
}

func countRequests(b []byte) int {
	n := 0
	for len(b) > 0 {
		r, err := frame.Next(b)
		if err != nil || r.Size == 0 {
			break
		}
		b = b[r.Size:]
		n++
	}
	return n
}

// execSent reports whether a transaction may have been executed.
func (b *backend) execSent() bool {
	for i := range b.ring.count {
		if e := b.ring.at(i); e.cmd != nil && e.cmd.Kind == command.Exec {
			return b.ready
		}
	}
	return false
}

// orphan deals with the requests of one entry, whose bytes begin at `at`; it
// returns where the next one's do.
func (l *loop) orphan(b *backend, e *entry, at int, first bool) int {
	if e.streamed || e.c == nil || e.c.gone {
		if e.streamed && e.c != nil && !e.c.gone {
			e.c.putBack(redo{answer: []byte(doubtText + "\r\n")})
		}
		if e.streamed {
			return at
		}
		return at + e.size
	}
	end := at + e.size
	for i := range e.done + e.n {
		r, err := frame.Next(b.out[at:end])
		if err != nil || r.Size == 0 {
			break
		}
		if i >= e.done {
			sent := at+r.Size <= b.off && b.ready
			begun := first && i == e.done && !b.scan.Between()
			l.fateOf(b, e, b.out[at:at+r.Size], sent, begun)
		}
		at += r.Size
	}
	return end
}

// fateOf decides whether one request is done again.
func (l *loop) fateOf(b *backend, e *entry, request []byte, sent, begun bool) {
	switch c := e.c; {
	case begun && b.fate == forward: // a part of its reply is out already
		c.closing = true
		l.stats.doubts++
	case !sent, e.cmd.Repeat, !changes(e.cmd):
		l.stats.retries++
		c.putBack(redo{request: bytes.Clone(request)})
	default:
		l.stats.doubts++
		c.putBack(redo{answer: []byte(doubtText + "\r\n")})
	}
}

// breakStream is for a request that was being passed on in pieces: the rest goes
// nowhere, and as the server never had the whole, it has done nothing.
func (l *loop) breakStream(c *client, b *backend) {
	c.discard = true
	if e := b.ring.back(); e != nil && e.c == c {
		e.streamed, e.size, e.c = false, 0, nil
		c.outstanding--
		l.say(c, "-MASTERDOWN the master went away while it was sent a long request")
	}
}

// putBack inserts what must be done before all that the client sent later.
func (c *client) putBack(r redo) {
	c.diverting = true
	c.redo = slices.Insert(c.redo, c.back, r)
	c.back++
}

// losePin is for a client whose own backend is gone, or leads to a former master.
func (l *loop) losePin(c *client) {
	b := c.pin
	c.pin, c.lane, c.gen = nil, nil, 0
	if b != nil {
		b.owner = nil
		l.shut(b)
	}
	state := c.state
	c.state = pinState{lostWatch: state.lostWatch || state.watch}
	switch {
	case c.closing:
	case state.raw, state.sticky, state.subs.total > 0:
		l.say(c, cutText)
		c.closing = true
	case state.multi && c.transaction == nil:
		c.state.lost = true
	case c.transaction != nil:
		l.beginAnew(c)
	}
	if c.outstanding == 0 {
		l.quiet(c)
	}
	l.wakeClient(c)
}

// beginAnew repeats a transaction that was not executed. What the client has a
// reply for already is repeated quietly.
func (l *loop) beginAnew(c *client) {
	var again []redo
	for rest := c.transaction; len(rest) > 0; {
		r, err := frame.Next(rest)
		if err != nil || r.Size == 0 {
			break
		}
		again = append(again, redo{request: bytes.Clone(rest[:r.Size])})
		rest = rest[r.Size:]
	}
	for i := range len(again) - c.unanswered {
		again[i].quiet = true
	}
	c.transaction, c.unanswered = nil, 0
	c.redo = slices.Insert(c.redo, c.back, again...)
}
