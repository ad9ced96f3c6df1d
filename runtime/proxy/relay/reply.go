package relay

import (
	"bytes"
	"strings"

	"rsm/internal/frame"
	"rsm/runtime/proxy/command"
	"rsm/schema"
)

// ordinary reports whether the reply that begins, or goes on, with a byte can be
// passed on without a look at it.
func (l *loop) ordinary(b *backend, e *entry, first byte) bool {
	if b.owner != nil || b.server.deposed || e.fate != forward || e.c.diverting || b.looked {
		return false
	}
	return !b.scan.Between() || first != '-' && first != '>'
}

// several passes on ordinary replies of one entry.
func (l *loop) several(b *backend, e *entry, data []byte) (int, error) {
	pos, done := 0, 0
	for done < e.n && pos < len(data) {
		if b.scan.Between() && (data[pos] == '-' || data[pos] == '>') {
			break
		}
		n, ended, err := b.scan.Next(data[pos:])
		if err != nil {
			return pos, err
		}
		pos += n
		if !ended {
			break
		}
		done++
	}
	e.replied += pos
	l.emit(b, e.c, data[:pos])
	if b.scan.Rest() > bigReply && b.shared {
		l.retire(b)
	}
	l.settle(b, e, done)
	return pos, nil
}

// single deals with one reply, or with a part of it.
func (l *loop) single(b *backend, e *entry, data []byte) (int, error) {
	if b.scan.Between() {
		switch n, kind, err := l.pushed(b, e, data); {
		case err != nil || kind == partly || kind == confirmed:
			return n, err
		case kind == message:
			b.push, b.fate = true, forward
		case !l.judge(b, e, data):
			return 0, nil
		}
		b.looked = true
	}
	n, ended, err := b.scan.Next(data)
	if err != nil {
		return n, err
	}
	e.replied += n
	switch b.fate {
	case forward:
		c := e.c
		if b.push {
			c = b.owner
		}
		l.emit(b, c, data[:n])
	case capture, later:
		b.captured = append(b.captured, data[:n]...)
	}
	switch {
	case ended && b.push:
		b.push, b.looked = false, false
	case ended:
		l.concluded(b, e)
	}
	return n, nil
}

// concluded is called when a reply that was looked at has come as a whole.
func (l *loop) concluded(b *backend, e *entry) {
	kind, owner, reply, then := b.fate, b.owner, b.captured, e.then
	c, cmd := e.c, e.cmd
	b.fate, b.captured, b.looked = forward, nil, false
	switch kind {
	case later:
		c.putBack(redo{answer: reply})
	case capture:
		then(l, b, reply)
	}
	if b.gone {
		return
	}
	if owner != nil && cmd != nil {
		owner.state.learn(cmd, b.first)
	}
	if cmd != nil && kind != swallow && strings.HasPrefix(b.first, "-") {
		l.latency(cmd).Errors++
	}
	l.settle(b, e, 1)
}

// judge decides what happens to a reply by its first line. It returns false
// while that line has not come as a whole.
func (l *loop) judge(b *backend, e *entry, data []byte) bool {
	end := bytes.IndexByte(data, '\r')
	if end < 0 {
		return false
	}
	b.first = string(data[:min(end, 128)])
	b.fate = e.fate
	refused := e.c != nil && data[0] == '-' && (notExecuted(b.first) || b.server.deposed && strings.HasPrefix(b.first, "-UNBLOCKED "))
	if refused && b.owner != nil && b.owner.transaction != nil {
		l.moveTransaction(b)
		return false
	}
	if e.fate != forward || e.c == nil {
		return true
	}
	switch {
	case b.owner != nil && b.owner.transaction != nil && e.cmd.Kind != command.Exec: // only queued
	case refused && !e.streamed && l.mayRepeat(b, e):
		l.shared.ask(string(b.server.addr) + " answered " + b.first)
		l.suspect(b.server)
		fallthrough
	case e.c.diverting && e.cmd.Repeat && !e.streamed:
		e.c.putBack(redo{request: l.request0(b, e)})
		l.stats.retries++
		b.fate = swallow
	case b.server.deposed && !e.cmd.Repeat && data[0] != '-' && changes(e.cmd):
		l.stats.doubts++
		b.fate = swallow
		if e.c.diverting {
			e.c.putBack(redo{answer: []byte(doubtText + "\r\n")})
		} else {
			l.say(e.c, doubtText)
		}
	case e.c.diverting && e.c.lasting(e.cmd) && data[0] != '-':
		e.c.putBack(redo{answer: []byte(e.c.unconfirmed() + "\r\n")})
		b.fate = swallow
	case e.c.diverting:
		b.fate = later
	}
	return true
}

// notExecuted reports whether an error proves that the command did nothing.
func notExecuted(line string) bool {
	for _, prefix := range []string{
		"-READONLY ", "-LOADING ", "-MASTERDOWN ", "-UNBLOCKED force unblock ", "-EXECABORT Transaction discarded because of: READONLY ",
	} {
		if strings.HasPrefix(line, prefix) {
			return true
		}
	}
	return false
}

// mayRepeat reports whether a refused request has somewhere else to go.
func (l *loop) mayRepeat(b *backend, e *entry) bool {
	if e.c.gone {
		return false
	}
	if e.c.listener.Read == schema.ReadReplica && strings.HasPrefix(b.first, "-READONLY ") {
		return false // it would everywhere
	}
	return e.cmd.Kind != command.Exec && (b.owner == nil || !b.owner.state.multi)
}

// moveTransaction is for a server that refuses a part of a transaction, or its
// EXEC, because it is no master any more: nothing of it was executed.
func (l *loop) moveTransaction(b *backend) {
	l.shared.ask(string(b.server.addr) + " answered " + b.first)
	l.suspect(b.server)
	c := b.owner
	for i := range b.ring.count {
		if e := b.ring.at(i); e.c != nil && e.fate != swallow {
			c.unanswered += e.n
		}
	}
	l.shut(b)
	l.losePin(c)
}

// changes reports whether a command counts as done when it is answered: not
// those that only prepare.
func changes(cmd *command.Command) bool {
	switch cmd.Kind {
	case command.Multi, command.Discard, command.Watch, command.Unwatch, command.Subscribe, command.Unsubscribe,
		command.Auth, command.Hello, command.Select:
		return false
	}
	return true
}

// request0 returns the bytes of the first request of an entry that is not
// answered. The entry is the front of its ring.
func (l *loop) request0(b *backend, e *entry) []byte {
	at := b.done
	for range e.done {
		r, _ := frame.Next(b.out[at:])
		at += r.Size
	}
	r, _ := frame.Next(b.out[at:])
	return bytes.Clone(b.out[at : at+r.Size])
}

// settle counts replies as given.
func (l *loop) settle(b *backend, e *entry, done int) {
	if done == 0 {
		return
	}
	c, cmd := e.c, e.cmd
	if e.n, e.done = e.n-done, e.done+done; e.n == 0 {
		l.answered(b, e)
		if !e.streamed {
			b.done += e.size
		}
		b.ring.pop()
	}
	l.outgone -= done
	b.used = l.ns
	if c == nil {
		if o := b.owner; o != nil && b.ring.count == 0 && o.gate == nil && o.wait == waitReplies {
			l.quiet(o)
		}
		return
	}
	l.noteWrite(c, cmd)
	c.outstanding -= done
	if c.outstanding == 0 {
		l.quiet(c)
	}
}

// quiet is called when everything that a client sent is answered.
func (l *loop) quiet(c *client) {
	c.diverting, c.back, c.state.ending, c.moved = false, 0, false, false
	if b := c.pin; b != nil && !c.gone {
		l.unpin(c)
	}
	if c.wait == waitReplies {
		c.wait = waitNothing
	}
	if c.wait == waitNothing && (len(c.redo) > 0 || len(c.in) > c.taken || c.eof || c.closing) {
		l.wakeClient(c)
	}
}

// emit appends bytes to the output of a client. One that does not read stops its
// backend.
func (l *loop) emit(b *backend, c *client, data []byte) {
	if c.gone || len(data) == 0 || c.witness != nil && l.keep(b, c, data) {
		return
	}
	if len(data) >= directWrite && c.off == len(c.out) && !c.writes {
		n, err := c.write(data)
		if err != nil && err != errAgain {
			l.drop(c)
			return
		}
		data = data[n:]
		if len(data) == 0 {
			return
		}
	}
	c.out = append(l.output(c), data...)
	if len(c.out)-c.off > maxOutput {
		l.overfull(b, c)
	}
}

// overfull is for a client that reads more slowly than it is sent. What comes
// over its own backend waits there. What comes over a shared one is taken, so
// that others need not wait, up to a limit; from then on it gets its own.
func (l *loop) overfull(b *backend, c *client) {
	c.writable(l)
	unread := len(c.out) - c.off
	if c.gone || unread <= maxOutput {
		return
	}
	c.gen = 0
	if b.owner == nil {
		c.heavy = l.ns + heavyTime
		l.retire(b)
		if !c.spilling {
			c.spilling = true
			l.spills = append(l.spills, c)
		}
		if unread < maxSpill && l.spilled < maxSpills {
			return
		}
	}
	b.blockedBy, b.blockedAt, c.blocks = c, l.ns, b
	_ = b.watch(false, b.writes)
}
