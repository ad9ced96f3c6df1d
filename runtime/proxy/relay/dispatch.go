package relay

import (
	"rsm/internal/frame"
	"rsm/runtime/proxy/command"
)

// slow is the way of every request that is not plain, or whose lane is not known.
func (l *loop) slow(c *client, cmd *command.Command, raw []byte) bool {
	if cmd.Kind == command.Browser {
		l.log.Warn("a client speaks HTTP and is cut", "from", c.addr)
		l.stats.denied++
		l.drop(c)
		return false
	}
	if len(c.out)-c.off > maxOutput {
		c.wait = waitReader
		return false
	}
	if c.state.ending || c.outstanding >= maxPipelined {
		c.wait = waitReplies
		return false
	}
	cmd, raw, refusal := l.police(c, cmd, raw)
	switch {
	case c.wait != waitNothing:
		return false
	case refusal != "":
		return l.deny(c, refusal)
	case c.state.lost:
		return l.lostTransaction(c, cmd)
	}
	switch cmd.Kind {
	case command.Quit, command.Reset, command.Client, command.Hello:
		if done, ok := l.local(c, cmd, raw); done {
			return ok
		}
	}
	if c.pin != nil || c.heavy > l.ns || l.needsPin(c, cmd, raw) {
		return l.pinned(c, cmd, raw)
	}
	return l.together(c, cmd, raw)
}

// together sends a request over a backend that many clients share.
func (l *loop) together(c *client, cmd *command.Command, raw []byte) bool {
	server := l.route(c, cmd)
	if server == nil {
		return l.hold(c)
	}
	if !l.witnessed(c, cmd, server) {
		return false
	}
	b := l.sharedBackend(server, c.ident)
	if b == nil {
		return l.hold(c)
	}
	if c.outstanding > 0 && c.lane != b {
		c.wait = waitReplies
		return false
	}
	if !b.room() {
		c.wait = waitRoom
		b.waiters = append(b.waiters, c)
		return false
	}
	c.lane, c.waits = b, 0
	if server == l.master {
		c.gen = l.gen
	} else {
		c.gen = 0
	}
	l.enqueue(b, c, cmd, raw)
	return true
}

// enqueue hands a request to a backend.
func (l *loop) enqueue(b *backend, c *client, cmd *command.Command, raw []byte) *entry {
	b.out = append(b.out, raw...)
	e, sampled := b.ring.back(), l.seen.due()
	if sampled || e == nil || e.c != c || e.cmd != cmd || e.at != l.ns || e.fate != forward || e.streamed || e.sampled || c.quiet {
		e = b.ring.push()
		e.c, e.cmd, e.at, e.sampled = c, cmd, l.ns, sampled
		if c.quiet {
			e.fate = swallow
		}
	}
	e.n++
	e.size += len(raw)
	c.outstanding++
	c.requests++
	c.last, c.lastCommand = l.ns, cmd
	l.outgone++
	l.dirt(b)
	return e
}

// dirt has a backend flushed in this turn.
func (l *loop) dirt(b *backend) {
	if !b.dirty {
		b.dirty = true
		l.dirty = append(l.dirty, b)
	}
}

// answer gives a reply of the proxy's own, once it is its turn.
func (l *loop) answer(c *client, line string) bool {
	if c.outstanding > 0 {
		c.wait = waitReplies
		return false
	}
	l.say(c, line)
	return true
}

// incomplete is for a request that has not arrived as a whole. One that is long
// is passed on in pieces, over a backend of the client's own.
func (l *loop) incomplete(c *client, b []byte, r frame.Request) {
	if limit := c.listener.MaxRequest; limit > 0 && int64(r.Need) > limit {
		l.protocolError(c, frame.Error("request of more than "+bytesText(limit)))
		return
	}
	if r.Need <= maxInput || r.Inline || r.Name == nil {
		return
	}
	cmd := l.table.Lookup(r.Name)
	cmd, raw, refusal := l.police(c, cmd, b)
	switch {
	case c.wait != waitNothing:
		return
	case len(raw) != len(b):
		refusal = "-ERR a renamed command cannot be longer than 64 kB"
	case c.outstanding > 0:
		c.wait = waitReplies
		return
	}
	c.discard = refusal != "" || c.state.lost
	if c.discard {
		if refusal == "" {
			refusal = lostText
		}
		l.say(c, refusal)
	} else if !l.startStream(c, cmd) {
		return
	}
	c.stream, c.passed, c.paid = &frame.Scanner{}, 0, false
}

// startStream opens the way for a request that is passed on in pieces.
func (l *loop) startStream(c *client, cmd *command.Command) bool {
	return l.pinned(c, cmd, nil)
}

// passOn takes the next piece of a long request.
func (l *loop) passOn(c *client, b []byte) int {
	pin := c.pin
	if !c.discard && len(pin.out)-pin.off > maxOutput {
		c.wait = waitRoom
		pin.waiters = append(pin.waiters, c)
		return 0
	}
	n, ended, err := c.stream.Next(b)
	if err != nil {
		l.say(c, "-ERR Protocol error: "+err.Error())
		c.closing = true
		return 0
	}
	if c.last = l.ns; l.overlong(c, n) {
		return 0
	}
	if !c.discard {
		pin.out = append(pin.out, b[:n]...)
		l.dirt(pin)
		if e := pin.ring.back(); e != nil && e.c == c { // it may have been refused before its end
			e.size += n
			e.streamed = e.size > maxKept
		}
	}
	if ended {
		c.stream, c.discard = nil, false
	}
	return n
}
