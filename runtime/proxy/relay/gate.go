package relay

import "rsm/internal/frame"

// gate is where replies wait. While a client has one it counts as one request
// that is not answered, so that nothing overtakes them.
type gate struct {
	client  *client // nil when nothing waits any more
	witness *witness
	bytes   []byte
	marks   []mark
	scan    frame.Scanner
}

// mark is a run of replies in a gate.
type mark struct {
	end   int    // of its bytes
	n     int    // replies that have come as a whole
	write bool   // they wait for a replica
	sure  bool   // one has them
	round uint64 // the question that is about them
	at    int64  // when they came
}

// keep puts replies, the last of which may be a part of one, into the client's
// gate. It returns false when they need not wait.
func (l *loop) keep(b *backend, c *client, data []byte) bool {
	e, write := b.ring.front(), false
	if e != nil && e.c == c && !b.push {
		failed := data[0] == '-'
		if b.looked {
			failed = b.first[0] == '-'
		}
		write = c.lasting(e.cmd) && !failed
	}
	if c.gate == nil {
		if !write {
			return false
		}
		l.newGate(c)
	}
	g := c.gate
	if l.add(c, data, write); c.gone {
		return true
	}
	if write {
		l.inquire(g.witness)
	}
	if g.witness.gone {
		l.fail(g, len(g.marks), goneText)
	}
	if l.letOut(g); len(g.bytes) > maxSpill { // it goes on sending without an answer
		l.log.Warn("too many replies wait for a replica", "client", c.addr)
		l.drop(c)
	}
	return true
}

func (l *loop) newGate(c *client) {
	g := &gate{}
	if n := len(l.gates); n > 0 {
		g, l.gates = l.gates[n-1], l.gates[:n-1]
	}
	g.client, g.witness = c, c.witness
	c.gate, c.gen = g, 0
	c.outstanding++
	g.witness.waiting = append(g.witness.waiting, g)
}

// add adds bytes to the end of a client's gate.
func (l *loop) add(c *client, data []byte, write bool) {
	g := c.gate
	for len(data) > 0 {
		next := mark{write: write, round: g.witness.round, at: l.ns}
		last := len(g.marks) - 1
		if g.scan.Between() && (last < 0 || !g.marks[last].joins(next)) {
			g.marks = append(g.marks, next)
			last++
		}
		n, ended, err := g.scan.Next(data)
		if err != nil {
			l.drop(c)
			return
		}
		g.bytes, data = append(g.bytes, data[:n]...), data[n:]
		m := &g.marks[last]
		if m.end = len(g.bytes); ended {
			m.n++
		}
	}
}

// joins reports whether what is marked by the other has the same fate.
func (m mark) joins(other mark) bool {
	return m.write == other.write && m.sure == other.sure && m.round == other.round && m.at == other.at
}

// letOut lets the replies out that wait for nothing any more.
func (l *loop) letOut(g *gate) {
	c, end, n := g.client, 0, 0
	if c == nil {
		return
	}
	for _, m := range g.marks {
		if m.write && !m.sure {
			break
		}
		end = m.end
		n++
	}
	if n == 0 {
		return
	}
	c.out = append(l.output(c), g.bytes[:end]...)
	if n == len(g.marks) && !g.scan.Between() {
		n-- // the rest of it follows
	}
	g.bytes, g.marks = append(g.bytes[:0], g.bytes[end:]...), append(g.marks[:0], g.marks[n:]...)
	for i := range g.marks {
		g.marks[i].end -= end
	}
	if len(g.marks) > 0 {
		return
	}
	g.client, c.gate = nil, nil
	if c.outstanding--; c.outstanding == 0 {
		l.quiet(c)
	}
}

// fail puts an error in the place of each write's reply in the first marks. One
// that has not come as a whole waits for its end.
func (l *loop) fail(g *gate, marks int, text string) {
	var bytes []byte
	from := 0
	for i := range g.marks {
		m := &g.marks[i]
		part := g.bytes[from:m.end]
		from = m.end
		if i < marks && m.write && !m.sure && (g.scan.Between() || i < len(g.marks)-1) {
			for range m.n {
				bytes = append(append(bytes, text...), '\r', '\n')
				l.stats.unconfirmed++
			}
			m.sure = true
		} else {
			bytes = append(bytes, part...)
		}
		m.end = len(bytes)
	}
	g.bytes = bytes
}
