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
