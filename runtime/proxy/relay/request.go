package relay

import "rsm/internal/frame"

// serve takes requests from b for as long as they can be sent on, and returns
// how many bytes it took.
func (l *loop) serve(c *client, b []byte) int {
	taken := 0
	for taken < len(b) && c.wait == waitNothing && !c.closing {
		switch {
		case c.state.unread:
			c.pin.out = append(c.pin.out, b[taken:]...)
			l.dirt(c.pin)
			return len(b)
		case c.stream != nil:
			n := l.passOn(c, b[taken:])
			taken += n
			if n == 0 {
				return taken
			}
			continue
		}
		r, err := frame.Next(b[taken:])
		switch {
		case err != nil:
			l.protocolError(c, err)
			if c.state.unread {
				continue
			}
			return taken
		case r.Size == 0:
			l.incomplete(c, b[taken:], r)
			if c.stream == nil {
				return taken
			}
			continue
		case r.Inline:
			if !l.inline(c, b[taken:taken+r.Size]) {
				if c.state.unread {
					continue
				}
				return taken
			}
		case r.Args > 0 && !l.request(c, b[taken:taken+r.Size], r.Name):
			return taken
		}
		taken += r.Size
	}
	return taken
}

// request sends one request on. It returns false, and c.wait says why, when that
// cannot be done now.
func (l *loop) request(c *client, raw, name []byte) bool {
	cmd := l.table.Lookup(name)
	if c.mute != loud {
		ok := l.muted(c, cmd, raw)
		c.paid = c.paid && !ok
		return ok
	}
	if c.gen == l.gen && c.outstanding < maxPipelined && c.rules.fast[cmd.ID] && c.lane.room() {
		l.enqueue(c.lane, c, cmd, raw)
		return true
	}
	ok := l.slow(c, cmd, raw)
	c.paid = c.paid && !ok
	return ok
}

// inline sends on a request that is a line, as an array.
func (l *loop) inline(c *client, line []byte) bool {
	args, err := frame.SplitInline(line)
	if err != nil {
		l.protocolError(c, err)
		return false
	}
	if len(args) == 0 {
		return true
	}
	return l.request(c, frame.Append(nil, args...), args[0])
}

// protocolError answers bytes that are no request, in its turn, and closes.
func (l *loop) protocolError(c *client, err error) {
	switch {
	case c.state.raw && c.rules.open: // replies have no turn any more: let the server say it
		c.state.unread = true
		return
	case c.state.raw:
		l.drop(c)
		return
	}
	if c.outstanding > 0 || len(c.redo) > 0 {
		c.wait = waitReplies
		return
	}
	l.say(c, "-ERR Protocol error: "+err.Error())
	c.closing = true
}
