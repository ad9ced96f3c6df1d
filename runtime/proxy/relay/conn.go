package relay

// peer is what a loop calls when a connection can go on.
type peer interface {
	readable(l *loop)
	writable(l *loop)
}

// conn is a wire with what is still to be written to it.
type conn struct {
	wire wire
	out  []byte
	off  int // out[:off] is written
	// Bytes that came and went so far.
	received, sent uint64
	// What the poller was told to wait for.
	reads, writes bool
	dirty         bool // in the loop's list of those to flush
	gone          bool // closed
}

// flush writes out[off:end]. After errAgain the poller is asked to tell when
// there is room.
func (c *conn) flush(end int) error {
	for c.off < end {
		n, err := c.write(c.out[c.off:end])
		if err == errAgain {
			return c.watch(c.reads, true)
		}
		if err != nil {
			return err
		}
		c.off += n
	}
	if c.writes {
		return c.watch(c.reads, false)
	}
	return nil
}

// read and write are those of the wire, counted.
func (c *conn) read(b []byte) (int, error) {
	n, err := c.wire.read(b)
	c.received += uint64(n)
	return n, err
}

func (c *conn) write(b []byte) (int, error) {
	n, err := c.wire.write(b)
	c.sent += uint64(n)
	return n, err
}

// watch changes what the poller waits for, if it changes.
func (c *conn) watch(read, write bool) error {
	if c.gone || read == c.reads && write == c.writes {
		return nil
	}
	c.reads, c.writes = read, write
	return c.wire.watch(read, write)
}

func (c *conn) close() {
	if !c.gone {
		c.gone = true
		c.wire.close()
	}
}
