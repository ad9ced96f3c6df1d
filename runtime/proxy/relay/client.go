package relay

import (
	"errors"
	"io"
	"time"

	"rsm/internal/frame"
	"rsm/runtime/proxy/command"
)

// wait is what keeps a client's next request from being sent.
type wait uint8

const (
	waitNothing wait = iota
	waitReplies      // earlier requests must be answered first
	waitMaster       // nobody is the master
	waitRoom         // the backend has too much to do
	waitReader       // the client does not read its replies
	waitTurn         // the client has sent more than it may
	waitAnswer       // the proxy itself is looking something up
)

// Limits of one client.
const (
	maxInput     = 64 << 10 // bytes of requests read ahead; a request that is longer is passed on in pieces
	maxPipelined = 1024     // requests not answered; the replies to more could keep others waiting
	maxKept      = 1 << 20  // bytes of a request that are kept until it is answered, to send it again
	maxOutput    = 1 << 20  // bytes of replies not read, above which no request is taken
	maxSpill     = 32 << 20 // bytes of replies not read that came over a shared backend
	maxSpills    = 256 << 20
	heavyTime    = int64(5 * time.Second) // for how long such a client gets its own backend
)

// client is one connection from outside.
type client struct {
	conn
	id       uint64
	listener *Listener
	rules    *rules
	ident    *identity
	lane     *backend // where it sent last: shared, or its pin
	pin      *backend // its own backend
	gen      int      // the loop's gen for which lane is known to be right

	in          []byte // what it sent and nobody took: in[taken:]
	taken       int
	redo        []redo // requests to be done (again) before those in `in`
	back        int    // where the next one is inserted
	diverting   bool   // replies to later requests wait behind redo
	again       bool   // the request that is being sent comes from redo
	quiet       bool   // the reply of the request that is being sent goes nowhere
	mute        mute
	heavy       int64    // until when it gets its own backend, loop's clock
	blocks      *backend // that is not read because this client does not read
	left        int64    // when it ended, loop's clock
	spilling    bool     // it is in the loop's list of those that read slowly
	transaction []byte   // what was sent since MULTI, nil when that cannot be done again
	unanswered  int      // requests of it
	outstanding int
	wait        wait
	queued      bool // in the loop's run list
	eof         bool // it will send no more
	closing     bool // closed once its output is written
	stream      *frame.Scanner
	discard     bool // the streamed request goes nowhere
	held        bool
	moved       bool     // its requests were taken from a replica that is slow
	waits       int64    // since when it waits for a master, loop's clock; 0 not
	wrote       int64    // when its last write was answered, loop's clock
	witness     *witness // of its writes, on a durable listener
	gate        *gate    // replies that wait for a replica
	state       pinState
	tokens      int    // requests that it may send in this second
	paid        bool   // the request that is being sent is counted
	passed      int64  // bytes of the request that is passed on in pieces
	permit      string // what the server said to CLIENT LIST or KILL, "+" for yes

	since, last int64 // connected, last request: loop's clock
	requests    uint64
	name        string
	addr, laddr string
	lastCommand *command.Command
}

// redo is a request that is to be done, or an answer that must not overtake it.
type redo struct {
	request []byte
	answer  []byte
	quiet   bool // the client has its reply already: part of a transaction
}

func (c *client) readable(l *loop) {
	switch {
	case c.gone:
		return
	case !c.reads && l.failed:
		l.drop(c)
		return
	case !c.reads:
		return
	case c.wait != waitNothing && len(c.in)-c.taken >= maxInput:
		_ = c.watch(false, c.writes)
		return
	}
	if c.taken == len(c.in) {
		n, err := c.read(l.scratch)
		if err != nil {
			l.ended(c, err)
			return
		}
		taken := 0
		if c.wait == waitNothing && len(c.redo) == 0 {
			taken = l.serve(c, l.scratch[:n])
		}
		if taken < n && !c.gone {
			c.keep(l, l.scratch[taken:n])
		}
		return
	}
	if len(c.in) == cap(c.in) {
		c.in = append(c.in, make([]byte, min(len(c.in), requestBytes))...)[:len(c.in)]
	}
	n, err := c.read(c.in[len(c.in):cap(c.in)])
	if err != nil {
		l.ended(c, err)
		return
	}
	c.in = c.in[:len(c.in)+n]
	l.resume(c)
}

// keep stores what could not be taken.
func (c *client) keep(l *loop, rest []byte) {
	if c.in == nil {
		c.in = l.buffers.get()
	}
	c.in, c.taken = append(c.in[:0], rest...), 0
	c.pause(l)
}

// pause stops reading a client that waits with a full buffer, and starts again.
func (c *client) pause(l *loop) {
	full := c.wait != waitNothing && len(c.in)-c.taken >= maxInput
	if err := c.watch(!full && !c.eof, c.writes); err != nil {
		l.drop(c)
	}
}

// resume goes on with what a client sent earlier.
func (l *loop) resume(c *client) {
	if c.wait == waitNothing && len(c.redo) > 0 {
		l.redo(c)
	}
	if c.wait == waitNothing && len(c.redo) == 0 && c.taken < len(c.in) {
		c.taken += l.serve(c, c.in[c.taken:])
	}
	switch {
	case c.gone:
		return
	case c.taken >= len(c.in):
		if c.in != nil {
			l.buffers.put(c.in)
			c.in, c.taken = nil, 0
		}
	case c.taken > len(c.in)/2:
		c.in, c.taken = append(c.in[:0], c.in[c.taken:]...), 0
	}
	c.pause(l)
	l.finish(c)
}

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

// ended is for a client that sends no more. What it sent is still answered.
func (l *loop) ended(c *client, err error) {
	switch {
	case err == errAgain:
		return
	case !errors.Is(err, io.EOF):
		l.drop(c)
		return
	}
	c.eof, c.left = true, l.ns
	_ = c.watch(false, c.writes)
	if c.pin != nil {
		l.leaving = append(l.leaving, c)
	}
	l.finish(c)
}

// finish closes a client that is done.
func (l *loop) finish(c *client) {
	idle := c.outstanding == 0 && c.wait == waitNothing && len(c.redo) == 0 && c.stream == nil
	if c.gone || c.gate != nil || !c.closing && !(c.eof && (idle || c.state.raw)) {
		return
	}
	if c.off == len(c.out) && !c.dirty {
		l.drop(c)
	}
}

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

// drop closes a client at once. Replies that are still to come go nowhere.
func (l *loop) drop(c *client) {
	if c.gone {
		return
	}
	l.unregister(&c.conn)
	c.close()
	if c.pin != nil {
		l.abandon(c.pin)
		c.pin = nil
	}
	l.unblock(c.blocks)
	l.leaveWitness(c)
	l.buffers.put(c.in)
	l.buffers.put(c.out)
	c.in, c.out, c.redo = nil, nil, nil
	delete(l.clients, c.id)
	l.stats.left(c)
	l.shared.left(c.listener.Name)
}

// clock converts a reading of the loop's clock.
func (l *loop) clock(ns int64) time.Time { return l.start.Add(time.Duration(ns)) }
