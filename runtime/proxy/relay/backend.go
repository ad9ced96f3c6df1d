package relay

import (
	"errors"
	"fmt"

	"rsm/internal/frame"
)

// Limits of one backend.
const (
	maxUnanswered = 8 << 20   // bytes sent and not answered, above which clients wait
	bigReply      = 256 << 10 // a reply of more than this takes the backend for itself
)

// backend is one connection to a server.
type backend struct {
	conn         // out[done:] is what is not answered yet
	server       *server
	ident        *identity
	owner        *client // whose pin it is, nil when it is shared or idle
	ring         ring
	scan         frame.Scanner
	fate         fate
	first        string // how the reply that is being read begins
	done         int
	in           []byte // the start of a line whose end has not come
	captured     []byte
	greeting     int // replies of the greeting that are still to come
	greetingSize int // bytes of it: until it is answered nothing else is sent
	opened       int64
	used         int64
	shared       bool
	outdated     bool // is closed once it has answered
	retired      bool // was shared, and is idle once it has answered
	ready        bool
	looked       bool      // fate is of the reply that is being read
	push         bool      // what is being read is no reply
	realID       string    // CLIENT ID at the server
	name         string    // CLIENT SETNAME
	blockedBy    *client   // who does not read the reply that has come
	blockedAt    int64     // since when
	waiters      []*client // wait for room
	witness      *witness  // that it is of
}

// room reports whether the backend takes one more request.
func (b *backend) room() bool { return len(b.out)-b.done < maxUnanswered }

func (b *backend) writable(l *loop) {
	end := len(b.out)
	if !b.ready {
		end = b.greetingSize
	}
	if err := b.flush(end); err != nil {
		l.broken(b, err)
		return
	}
	e := b.ring.front()
	if e != nil && e.streamed && b.ring.count == 1 || b.owner != nil && b.owner.state.raw {
		b.done = b.off // nobody asks for it again
	}
	l.trim(b)
}

// trim forgets what is answered, and lets those go on who waited for room.
func (l *loop) trim(b *backend) {
	switch {
	case b.done == len(b.out):
		if cap(b.out) > 1<<20 {
			b.out = nil
		}
		b.out, b.done, b.off = b.out[:0], 0, 0
	case b.done > len(b.out)/2 && b.done > requestBytes:
		b.out = append(b.out[:0], b.out[b.done:]...)
		b.off -= b.done
		b.done = 0
	}
	if len(b.waiters) > 0 && len(b.out)-b.done < maxUnanswered/2 && len(b.out)-b.off < maxOutput/2 {
		for _, c := range b.waiters {
			if c.wait == waitRoom {
				c.wait = waitNothing
				l.wakeClient(c)
			}
		}
		b.waiters = nil
	}
}

func (b *backend) readable(l *loop) {
	if !b.reads && l.failed {
		l.broken(b, errGone)
	}
	for range 4 { // then others get their turn
		if b.gone || b.blockedBy != nil {
			return
		}
		keep := copy(l.replies, b.in)
		n, err := b.read(l.replies[keep:])
		if err == errAgain {
			return
		}
		if err != nil {
			l.broken(b, err)
			return
		}
		data := l.replies[:keep+n]
		b.in = b.in[:0]
		used, err := l.replied(b, data)
		if b.gone {
			return
		}
		if err != nil {
			l.broken(b, fmt.Errorf("read reply: %w", err))
			return
		}
		if used < len(data) {
			if len(data)-used > len(l.replies)/2 {
				l.broken(b, errors.New("read reply: a message that does not end"))
				return
			}
			b.in = append(b.in, data[used:]...)
		}
		if keep+n < len(l.replies) {
			break
		}
	}
	if !b.gone {
		l.trim(b)
	}
}

// replied passes replies on and returns how many bytes it is done with.
func (l *loop) replied(b *backend, data []byte) (int, error) {
	pos := 0
	for pos < len(data) && !b.gone {
		n, err := 0, error(nil)
		switch e := b.ring.front(); {
		case e == nil || b.owner != nil && b.owner.state.raw:
			n, err = l.unasked(b, data[pos:])
		case l.ordinary(b, e, data[pos]):
			n, err = l.several(b, e, data[pos:])
		default:
			n, err = l.single(b, e, data[pos:])
		}
		pos += n
		if err != nil || n == 0 {
			return pos, err
		}
	}
	return pos, nil
}
