package relay

import (
	"bytes"
	"errors"
	"io"
	"slices"

	"rsm/internal/frame"
	"rsm/runtime/proxy/command"
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
