package relay

// say appends a reply of the proxy's own; nothing may be outstanding.
func (l *loop) say(c *client, line string) {
	switch {
	case c.quiet:
		return
	case c.gate != nil:
		l.add(c, []byte(line+"\r\n"), false)
		return
	}
	c.out = append(l.output(c), line...)
	c.out = append(c.out, '\r', '\n')
}

// output returns the client's output, to be appended to, and has it flushed at
// the end of the turn.
func (l *loop) output(c *client) []byte {
	if c.out == nil {
		c.out = l.buffers.get()
	}
	if !c.dirty {
		c.dirty = true
		l.flushes = append(l.flushes, c)
	}
	return c.out
}

func (c *client) writable(l *loop) {
	if err := c.flush(len(c.out)); err != nil {
		l.drop(c)
		return
	}
	if c.off == len(c.out) {
		if c.out != nil {
			l.buffers.put(c.out)
			c.out, c.off = nil, 0
		}
	} else if c.off > len(c.out)/2 {
		c.out, c.off = append(c.out[:0], c.out[c.off:]...), 0
	}
	l.caughtUp(c)
	l.finish(c)
}

// caughtUp lets a client go on that had not read its replies.
func (l *loop) caughtUp(c *client) {
	if len(c.out)-c.off > maxOutput/2 {
		return
	}
	if c.wait == waitReader {
		c.wait = waitNothing
		l.wakeClient(c)
	}
	l.unblock(c.blocks)
}

// unblock reads a backend again whose client did not take its replies.
func (l *loop) unblock(b *backend) {
	if b == nil || b.blockedBy == nil {
		return
	}
	b.blockedBy.blocks, b.blockedBy = nil, nil
	if err := b.watch(true, b.writes); err != nil {
		l.broken(b, err)
	}
}
