package relay

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"rsm/internal/frame"
	"rsm/runtime/proxy/command"
)

// local answers what only the proxy can answer. done is false when the request
// is for a server after all; ok is false when the client must wait.
func (l *loop) local(c *client, cmd *command.Command, raw []byte) (done, ok bool) {
	switch {
	case raw == nil || c.state.raw:
		return false, false
	case cmd.Kind == command.Quit:
		ok = l.answer(c, "+OK")
		c.closing = ok
		return true, ok
	case cmd.Kind == command.Reset && len(frame.Args(raw)) == 1:
		return true, l.reset(c)
	case cmd.Kind == command.Client && !c.state.multi && c.transaction == nil:
		c.last, c.lastCommand = l.ns, cmd
		return l.clientCommand(c, frame.Args(raw))
	}
	return false, false
}

// reset makes a client what it was when it connected.
func (l *loop) reset(c *client) bool {
	if !l.answer(c, "+RESET") {
		return false
	}
	if c.pin != nil {
		l.abandon(c.pin)
	}
	c.pin, c.lane, c.gen, c.transaction, c.state = nil, nil, 0, nil, pinState{}
	c.ident, c.name = l.baseIdentity(c.listener), ""
	return true
}

// identify notes who the client will be if the server agrees.
func (l *loop) identify(c *client, e *entry, cmd *command.Command, raw []byte) {
	next, name := *c.ident, c.name
	args := frame.Args(raw)
	words := make([]string, len(args))
	for i, arg := range args {
		words[i] = string(arg)
	}
	switch {
	case cmd.Kind == command.Select && len(words) == 2:
		next.db, _ = strconv.Atoi(words[1])
	case cmd.Kind == command.Auth && len(words) == 2:
		next.user, next.password, next.login = "", words[1], false
	case cmd.Kind == command.Auth && len(words) == 3:
		next.user, next.password, next.login = words[1], words[2], false
	case cmd.Kind == command.Hello:
		next, name = helloIdentity(next, name, words)
	}
	e.fate = capture
	e.then = func(l *loop, b *backend, reply []byte) {
		if reply[0] != '-' {
			c.ident, c.gen, c.name = l.identity(next), 0, name
			b.ident, b.name = c.ident, name
		}
		if cmd.Kind == command.Hello {
			reply = withID(reply, c.id)
		}
		l.emit(b, c, reply)
	}
}

// helloIdentity reads HELLO [version [AUTH user password] [SETNAME name]].
func helloIdentity(next identity, name string, words []string) (identity, string) {
	if len(words) > 1 {
		next.proto, _ = strconv.Atoi(words[1])
	}
	for i := 2; i < len(words); i++ {
		switch strings.ToLower(words[i]) {
		case "auth":
			if i+2 < len(words) {
				next.user, next.password, next.login = words[i+1], words[i+2], false
			}
			i += 2
		case "setname":
			if i+1 < len(words) {
				name = words[i+1]
			}
			i++
		}
	}
	return next, name
}

// withID puts the client's own id where the server has that of the backend.
func withID(reply []byte, id uint64) []byte {
	mark := []byte("$2\r\nid\r\n:")
	i := bytes.Index(reply, mark)
	if i < 0 {
		return reply
	}
	i += len(mark)
	end := i + bytes.IndexByte(reply[i:], '\r')
	return append(strconv.AppendUint(bytes.Clone(reply[:i]), id, 10), reply[end:]...)
}

// clientCommand answers the subcommands of CLIENT that are about clients of the
// proxy.
func (l *loop) clientCommand(c *client, args [][]byte) (done, ok bool) {
	if len(args) < 2 {
		return false, false
	}
	sub, n := strings.ToLower(string(args[1])), len(args)
	switch {
	case sub == "id" && n == 2, sub == "getname" && n == 2, sub == "setname" && n == 3 && validName(args[2]),
		sub == "info" && n == 2, sub == "list", sub == "kill" && n > 2, sub == "reply" && n == 3 && muteOf(args[2]) != unknown:
	case refersTo(args) > 0 && !c.again:
	default:
		return false, false
	}
	if c.outstanding > 0 {
		c.wait = waitReplies
		return true, false
	}
	if c.state.subs.total > 0 && c.ident.proto == 2 {
		return false, false // the server refuses it
	}
	if sub == "list" || sub == "kill" {
		if c.permit == "" {
			return true, l.askPermit(c, sub)
		}
		permit := c.permit
		if c.permit = ""; permit != "+" {
			l.say(c, permit)
			return true, true
		}
	}
	switch sub {
	case "id":
		l.say(c, ":"+strconv.FormatUint(c.id, 10))
	case "setname":
		c.name = string(args[2])
		if c.pin != nil {
			c.pin.name = c.name
			l.own(c.pin, swallow, nil, "CLIENT", "SETNAME", c.name)
		}
		l.say(c, "+OK")
	case "getname":
		if c.name == "" && c.ident.proto == 3 {
			l.say(c, "_")
		} else if c.name == "" {
			l.say(c, "$-1")
		} else {
			l.sayText(c, c.name)
		}
	case "info":
		l.sayText(c, l.line(c)+"\n")
	case "unblock", "tracking":
		return l.withRealID(c, args)
	case "reply":
		l.setMute(c, muteOf(args[2]))
	case "list":
		return l.clientList(c, args[2:])
	case "kill":
		return l.clientKill(c, args[2:])
	}
	return true, true
}

// askPermit asks the server whether the client may do to others what it asked for:
// with the same command, but about nobody. Then the request is looked at again.
func (l *loop) askPermit(c *client, sub string) bool {
	if c.pin == nil && !l.pinTo(c, l.route(c, l.table.Lookup([]byte("client")))) {
		return false
	}
	l.own(c.pin, capture, func(_ *loop, _ *backend, reply []byte) {
		c.permit = "+"
		if bytes.HasPrefix(reply, []byte("-NO")) { // NOAUTH, NOPERM
			c.permit = string(bytes.TrimSpace(reply))
		}
	}, "CLIENT", sub, "ID", "0")
	c.wait = waitReplies
	return false
}

// mute is what CLIENT REPLY asks for.
type mute uint8

const (
	loud mute = iota
	off
	skip // the next reply only
	unknown
)

func muteOf(arg []byte) mute {
	switch strings.ToLower(string(arg)) {
	case "on":
		return loud
	case "off":
		return off
	case "skip":
		return skip
	}
	return unknown
}

func (l *loop) setMute(c *client, want mute) {
	switch {
	case want == loud:
		c.mute, c.quiet = loud, false
		l.say(c, "+OK")
	case c.mute != off:
		c.mute = want
	}
}

// muted sends a request whose reply the client does not want.
func (l *loop) muted(c *client, cmd *command.Command, raw []byte) bool {
	before := c.mute
	c.quiet = true
	ok := l.slow(c, cmd, raw)
	c.quiet = false
	if ok && before == skip && c.mute == skip {
		c.mute = loud
	}
	return ok
}

// validName reports whether CLIENT SETNAME takes a name; if not, the server says
// so itself.
func validName(name []byte) bool {
	for _, b := range name {
		if b < '!' || b > '~' {
			return false
		}
	}
	return true
}

// sayText replies with a text: a bulk, or in RESP3 a verbatim string.
func (l *loop) sayText(c *client, text string) {
	if c.ident.proto == 3 && strings.HasSuffix(text, "\n") {
		c.out = fmt.Appendf(l.output(c), "=%d\r\ntxt:%s\r\n", len(text)+4, text)
		return
	}
	c.out = frame.AppendBulk(l.output(c), []byte(text))
}

// line describes a client as CLIENT LIST does.
func (l *loop) line(c *client) string {
	cmd, flags := "NULL", "N"
	if c.lastCommand != nil {
		cmd = c.lastCommand.Name
	}
	if c.state.multi {
		flags = "x"
	}
	user := c.ident.user
	if user == "" {
		user = "default"
	}
	multi := -1
	if c.state.multi {
		multi = 0
	}
	return fmt.Sprintf("id=%d addr=%s laddr=%s fd=%d name=%s age=%d idle=%d flags=%s db=%d sub=%d psub=%d ssub=%d multi=%d "+
		"qbuf=%d qbuf-free=%d obl=%d oll=0 omem=%d events=r cmd=%s user=%s redir=-1 resp=%d",
		c.id, c.addr, c.laddr, c.id, c.name, (l.ns-c.since)/1e9, (l.ns-c.last)/1e9, flags, c.ident.db,
		c.state.subs.count[0], c.state.subs.count[1], c.state.subs.count[2], multi,
		len(c.in)-c.taken, cap(c.in)-len(c.in), len(c.out)-c.off, cap(c.out), cmd, user, c.ident.proto)
}
