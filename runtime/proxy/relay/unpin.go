package relay

// unpin gives a client's backend back, as soon as the server keeps nothing for it.
func (l *loop) unpin(c *client) {
	if !c.state.multi {
		c.transaction = nil
	}
	b := c.pin
	if !c.state.clean() || c.stream != nil {
		if b.server.deposed {
			l.losePin(c)
		}
		return
	}
	strange := c.state.strange
	c.pin, c.lane, c.state.strange, b.owner = nil, nil, false, nil
	if strange {
		l.cleanse(b)
	} else {
		l.giveBack(b)
	}
}

// abandon takes a backend from a client that has left it in any state.
func (l *loop) abandon(b *backend) {
	dirty, raw := b.owner.state.strange || !b.owner.state.clean(), b.owner.state.raw || b.owner.stream != nil
	b.owner = nil
	if raw || b.ring.count > 0 || b.gone || b.server.deposed {
		l.shut(b)
		return
	}
	if dirty {
		l.cleanse(b)
	} else {
		l.giveBack(b)
	}
}

// cleanse gives a backend back when the server has forgotten what it kept for it.
func (l *loop) cleanse(b *backend) {
	l.own(b, capture, func(l *loop, b *backend, reply []byte) {
		if string(reply) != "+RESET\r\n" {
			l.shut(b)
			return
		}
		b.ident, b.name = nil, ""
		l.giveBack(b)
	}, "RESET")
}
