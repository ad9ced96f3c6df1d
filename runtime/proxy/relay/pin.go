package relay

import (
	"bytes"
	"strings"

	"rsm/internal/frame"
	"rsm/runtime/proxy/command"
)

// maxTransaction is how much of a transaction is kept, to begin it anew on the
// next master.
const maxTransaction = 64 << 10

// pinState is what the server keeps for a client's own connection.
type pinState struct {
	multi, watch bool
	ending       bool // EXEC or DISCARD is on its way
	subs         subscriptions
	sticky       bool    // for as long as the client stays
	strange      bool    // nobody knows what: it is reset before others get it
	raw          bool    // replies cannot be counted any more
	unread       bool    // nor can requests
	renamed      *string // by the transaction
	// What a client lost with its pin.
	lost      bool // a transaction
	lostWatch bool
}

func (s *pinState) clean() bool {
	return !s.multi && !s.watch && !s.sticky && !s.raw && s.subs.total == 0
}

// learn takes note of what a reply says about the connection.
func (s *pinState) learn(cmd *command.Command, line string) {
	ok := line == "+OK"
	switch cmd.Kind {
	case command.Multi:
		s.multi = s.multi || ok
	case command.Exec, command.Discard:
		s.multi, s.watch = false, false
	case command.Watch:
		s.watch = s.watch || ok
	case command.Unwatch:
		s.watch = s.watch && !ok
	case command.Auth, command.Hello, command.Select:
		s.sticky = s.sticky || line == "+QUEUED"
	}
}

// needsPin reports whether a command needs a backend of its own.
func (l *loop) needsPin(c *client, cmd *command.Command, raw []byte) bool {
	switch cmd.Kind {
	case command.Plain, command.Exec, command.Discard, command.Unwatch, command.Quit, command.Reset:
		return false
	case command.Script:
		args := frame.Args(raw)
		return len(args) > 1 && bytes.EqualFold(args[1], []byte("debug"))
	}
	return true
}

// pinned sends a request over the client's own backend. raw is nil for one that
// is passed on in pieces.
func (l *loop) pinned(c *client, cmd *command.Command, raw []byte) bool {
	to := l.home(c)
	if c.pin != nil {
		to = c.pin.server
	}
	if !l.witnessed(c, cmd, to) || c.pin == nil && !l.pinTo(c, to) {
		return false
	}
	b := c.pin
	switch {
	case b.server == l.master && l.target.Hold && !c.state.raw:
		return l.hold(c)
	case !b.room():
		c.wait = waitRoom
		b.waiters = append(b.waiters, c)
		return false
	case c.state.raw:
		b.out = append(b.out, raw...)
		l.dirt(b)
		return true
	case (becomes(cmd) || cmd.Kind == command.Multi) && c.outstanding > 0 && !c.state.multi && c.transaction == nil:
		c.wait = waitReplies // who the client is then depends on them, or what begins anew
		return false
	case l.endsCounting(c, cmd, raw):
		if b.ring.count > 0 { // replies to the proxy itself count, too
			c.wait = waitReplies
			return false
		}
		c.state.raw, c.state.sticky = true, true
		return l.pinned(c, cmd, raw)
	}
	if c.state.lostWatch && cmd.Kind == command.Exec {
		return l.watchFailed(c)
	}
	l.pinnedEntry(c, b, cmd, raw)
	return true
}

// becomes reports whether a command changes who the client is.
func becomes(cmd *command.Command) bool {
	return cmd.Kind == command.Auth || cmd.Kind == command.Hello || cmd.Kind == command.Select
}

// pinTo gives a client a backend of its own.
func (l *loop) pinTo(c *client, server *server) bool {
	if server == nil {
		return l.hold(c)
	}
	if c.outstanding > 0 {
		c.wait = waitReplies
		return false
	}
	b := l.lease(server, c.ident)
	if b == nil {
		return l.hold(c)
	}
	b.owner, c.pin, c.lane, c.gen, c.waits = c, b, b, 0, 0
	if b.name != c.name { // so that people who look at the server see it
		b.name = c.name
		l.own(b, swallow, nil, "CLIENT", "SETNAME", c.name)
	}
	return true
}

// pinnedEntry queues a request and prepares for what its reply changes.
func (l *loop) pinnedEntry(c *client, b *backend, cmd *command.Command, raw []byte) {
	if cmd.Kind == command.Wait && c.transaction == nil { // any command makes the connection ask about all writes before it
		l.own(b, swallow, nil, "PING")
	}
	l.remember(c, cmd, raw)
	before := b.ring.back()
	e := l.enqueue(b, c, cmd, raw)
	if e == before && cmd.Kind != command.Plain { // one entry for each
		e.n--
		e.size -= len(raw)
		e = b.ring.push()
		*e = entry{c: c, cmd: cmd, at: l.ns, n: 1, size: len(raw)}
	}
	switch cmd.Kind {
	case command.Blocking:
		c.state.strange = c.state.strange || !cmd.Read && !cmd.Write
	case command.Subscribe, command.Unsubscribe:
		e.words = len(frame.Args(raw)) - 1
	case command.Auth, command.Hello, command.Select:
		if !c.state.multi && c.transaction == nil {
			l.identify(c, e, cmd, raw)
		}
	case command.Client:
		c.state.sticky = c.state.sticky || changesConnection(raw)
		if args := frame.Args(raw); c.transaction != nil && len(args) == 3 && bytes.EqualFold(args[1], []byte("setname")) {
			name := string(args[2])
			c.state.renamed = &name
		}
	case command.Discard:
		c.state.ending, c.state.renamed = c.transaction != nil, nil
	case command.Exec:
		c.state.ending = c.transaction != nil
		if c.state.renamed != nil {
			e.fate, e.then = capture, executed
		}
	}
}

// executed notes the name that a transaction gave the client.
func executed(l *loop, b *backend, reply []byte) {
	if c := b.owner; c != nil {
		if c.state.renamed != nil && reply[0] == '*' {
			c.name, b.name = *c.state.renamed, *c.state.renamed
		}
		c.state.renamed = nil
		l.emit(b, c, reply)
	}
}

// changesConnection reports whether a CLIENT command is about the connection that
// it is sent on, and stays in force.
func changesConnection(raw []byte) bool {
	args := frame.Args(raw)
	if len(args) < 2 {
		return false
	}
	switch strings.ToLower(string(args[1])) {
	case "tracking", "no-evict", "no-touch", "caching", "reply":
		return true
	}
	return false
}

// endsCounting reports whether a command makes it impossible to tell which reply
// belongs to which request.
func (l *loop) endsCounting(c *client, cmd *command.Command, raw []byte) bool {
	switch cmd.Kind {
	case command.Stream:
		return true
	case command.Script:
		args := frame.Args(raw)
		return len(args) > 1 && bytes.EqualFold(args[1], []byte("debug")) &&
			(c.transaction != nil || len(args) == 3 && !bytes.EqualFold(args[2], []byte("no")))
	case command.Subscribe:
		return c.transaction != nil || c.state.multi
	case command.Client:
		args := frame.Args(raw)
		return c.transaction != nil && len(args) > 1 && bytes.EqualFold(args[1], []byte("reply"))
	}
	return false
}

// remember keeps a transaction, for the case that it must begin anew.
func (l *loop) remember(c *client, cmd *command.Command, raw []byte) {
	switch {
	case cmd.Kind == command.Multi && !c.state.multi && c.transaction == nil:
		c.transaction = []byte{}
	case c.transaction == nil:
		return
	}
	if c.transaction = append(c.transaction, raw...); len(c.transaction) > maxTransaction || raw == nil {
		c.transaction = nil
	}
}

// own queues a request of the proxy itself.
func (l *loop) own(b *backend, f fate, then func(*loop, *backend, []byte), args ...string) {
	words := make([][]byte, len(args))
	for i, arg := range args {
		words[i] = []byte(arg)
	}
	size := len(b.out)
	b.out = frame.Append(b.out, words...)
	e := b.ring.push()
	*e = entry{at: l.ns, n: 1, size: len(b.out) - size, fate: f, then: then}
	l.outgone++
	l.dirt(b)
}

func nullOf(c *client) string {
	if c.ident.proto == 3 {
		return "_"
	}
	return "*-1"
}

// watchFailed answers EXEC for a client whose WATCH went with the old master:
// as if a watched key had changed.
func (l *loop) watchFailed(c *client) bool {
	if c.outstanding > 0 {
		c.wait = waitReplies
		return false
	}
	l.abandon(c.pin)
	c.pin, c.lane, c.transaction, c.state = nil, nil, nil, pinState{}
	l.say(c, nullOf(c))
	return true
}

const lostText = "-MASTERDOWN the transaction was lost with the master that it began on"

// lostTransaction answers for a client whose MULTI went with the old master.
func (l *loop) lostTransaction(c *client, cmd *command.Command) bool {
	text := lostText
	switch cmd.Kind {
	case command.Exec:
		text = "-EXECABORT Transaction discarded because the master that it began on is gone"
	case command.Discard, command.Reset:
		text = "+OK"
	}
	if !l.answer(c, text) {
		return false
	}
	if cmd.Kind == command.Exec || cmd.Kind == command.Discard || cmd.Kind == command.Reset {
		c.state = pinState{}
	}
	return true
}
