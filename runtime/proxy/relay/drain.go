package relay

import (
	"context"
	"time"
)

const (
	endText     = "-MASTERDOWN the proxy ends: connect again"
	unblockText = "-UNBLOCKED force unblock from blocking operation, the proxy ends"
	// firstTime is how long a new client may take for its first request while the
	// proxy ends.
	firstTime = int64(time.Second)
)

// Drain ends the clients: those that do nothing at once, blocked ones with an
// error, and the others when they are answered, or with an error when ctx ends.
// Who has just come may ask once.
func (r *Relay) Drain(ctx context.Context) {
	for ctx.Err() == nil {
		left := 0
		counts, err := ask(ctx, r, (*loop).drain)
		for _, n := range counts {
			left += n
		}
		if err == nil && left == 0 {
			return
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_, _ = ask(ctx, r, func(l *loop) struct{} { l.dismiss(); return struct{}{} })
}

// drain closes who has nothing to wait for, and returns how many are left.
func (l *loop) drain() int {
	for _, c := range l.clients {
		if c.idle() && !c.closing && c.reads {
			c.readable(l) // what it has sent already is still answered
		}
		switch {
		case c.gone:
		case c.closing:
			l.finish(c)
		case c.pin != nil && !c.state.multi && c.transaction == nil && !c.state.raw && c.blocked():
			l.farewell(c, unblockText)
		case c.requests == 0 && l.ns-c.since < firstTime:
		case c.idle(), c.state.raw:
			l.drop(c)
		}
	}
	return len(l.clients)
}

// idle reports whether a client waits for nothing.
func (c *client) idle() bool {
	return c.outstanding == 0 && c.wait == waitNothing && c.taken == len(c.in) && len(c.redo) == 0 && c.stream == nil &&
		!c.state.multi && c.transaction == nil && c.off == len(c.out)
}

// dismiss tells everybody who still waits that it is in vain.
func (l *loop) dismiss() {
	for _, c := range l.clients {
		switch {
		case c.gone, c.state.raw, c.stream != nil:
		case c.outstanding == 0 && c.wait == waitMaster:
			l.farewell(c, endText)
		case c.outstanding > 0:
			l.farewell(c, doubtText)
		}
	}
}

// farewell is the last that a client hears.
func (l *loop) farewell(c *client, text string) {
	if b := c.pin; b != nil {
		c.pin, c.lane = nil, nil
		b.owner = nil
		l.shut(b)
	}
	c.redo, c.in, c.taken, c.wait = nil, nil, 0, waitNothing
	l.say(c, text)
	c.closing = true
	c.writable(l)
}
