package relay

import (
	"strconv"
	"strings"

	"rsm/internal/frame"
	"rsm/runtime/proxy/command"
	"rsm/schema"
)

// Listener is one address that clients connect to, with its rules.
type Listener struct{ schema.Listener }

func (l *Listener) readsReplica() bool {
	return l.Read == schema.ReadReplica || l.Read == schema.ReadPreferReplica
}

// rules are what a listener lets pass, by the IDs of a command table.
type rules struct {
	listener *Listener
	table    *command.Table
	// fast are the commands that need no second look.
	fast []bool
	// denied are refused; some are only with a subcommand.
	denied    []bool
	deniedSub map[int]bool
	subs      []bool // commands of which some subcommands are denied
	aliases   map[string]*command.Command
	open      bool // nothing is refused
}

// newRules compiles the rules of a listener.
func newRules(of *Listener, table *command.Table) *rules {
	r := &rules{
		listener: of, table: table,
		fast: make([]bool, table.Len()), denied: make([]bool, table.Len()), subs: make([]bool, table.Len()),
		deniedSub: map[int]bool{}, aliases: map[string]*command.Command{},
	}
	for _, name := range of.Deny {
		parent, sub, _ := strings.Cut(name, "|")
		cmd := table.Lookup([]byte(parent))
		if sub == "" {
			r.denied[cmd.ID] = cmd.ID != 0
		} else if found := table.Sub(cmd, []byte(sub)); found != nil {
			r.subs[cmd.ID], r.deniedSub[found.ID] = true, true
		}
	}
	for alias, name := range of.Rename {
		cmd := table.Lookup([]byte(name))
		r.denied[cmd.ID] = cmd.ID != 0
		if cmd.ID != 0 {
			r.aliases[alias] = cmd
		}
	}
	r.open = len(of.Deny)+len(of.Rename) == 0 && !of.ReadOnly && of.Read != schema.ReadReplica
	for id := range table.Len() {
		cmd := table.At(id)
		r.fast[id] = cmd.Kind == command.Plain && !r.denied[id] && !r.subs[id] && !of.readsReplica() &&
			r.aliases[cmd.Name] == nil && of.Rate == 0 && of.MaxRequest == 0 && !(of.ReadOnly && changesData(cmd)) && !(of.Durable && !cmd.Read)
	}
	return r
}

// changesData reports whether a command may change data.
func changesData(cmd *command.Command) bool {
	if cmd.Read || cmd.Repeat {
		return false
	}
	switch cmd.Kind {
	case command.Plain, command.Blocking, command.Script, command.Stream:
		return true
	}
	return false
}

// police applies the rules of the listener: it returns the command that is
// meant and the bytes to send, or a refusal. It may make the client wait.
func (l *loop) police(c *client, cmd *command.Command, raw []byte) (*command.Command, []byte, string) {
	r := c.rules
	if c.again {
		return cmd, raw, ""
	}
	if limit := r.listener.Rate; limit > 0 {
		if c.tokens <= 0 && !c.paid {
			c.wait = waitTurn
			l.delayed = append(l.delayed, c)
			return cmd, raw, ""
		}
		if !c.paid { // it may come here again, when it had to wait
			c.tokens--
			c.paid = true
		}
	}
	if limit := r.listener.MaxRequest; limit > 0 && int64(len(raw)) > limit {
		return cmd, raw, "-ERR request of more than " + bytesText(limit)
	}
	real, raw := r.meant(cmd, raw)
	renamed := real != cmd
	if cmd = real; r.denied[cmd.ID] && !renamed || r.subs[cmd.ID] && r.subDenied(cmd, raw) {
		return cmd, raw, "-NOPERM this proxy does not let clients run '" + cmd.Name + "' here"
	}
	if (r.listener.ReadOnly || r.listener.Read == schema.ReadReplica) && changesData(cmd) {
		if !l.tabled { // what it is, is not known yet
			l.hold(c)
		}
		return cmd, raw, "-NOPERM only reads are taken here, '" + cmd.Name + "' is none"
	}
	return cmd, raw, ""
}

// meant returns the command that a name stands for, and the request with its own
// name.
func (r *rules) meant(cmd *command.Command, raw []byte) (*command.Command, []byte) {
	if len(r.aliases) == 0 {
		return cmd, raw
	}
	args := frame.Args(raw)
	if len(args) == 0 {
		return cmd, raw
	}
	real := r.aliases[strings.ToLower(string(args[0]))]
	if real == nil {
		return cmd, raw
	}
	args[0] = []byte(real.Name)
	return real, frame.Append(nil, args...)
}

// spoil makes a transaction fail of which a command was refused.
func (l *loop) spoil(c *client) {
	if c.pin != nil && c.state.multi {
		l.own(c.pin, swallow, nil, "RSM.REFUSED")
		c.transaction = nil // it would not fail on another master
	}
}

// overlong counts a piece of a request that is passed on. It reports whether that
// has become longer than the listener allows: then the server never gets the end
// of it, and so has not executed it.
func (l *loop) overlong(c *client, n int) bool {
	c.passed += int64(n)
	limit := c.listener.MaxRequest
	if limit == 0 || c.passed <= limit || c.discard {
		return false
	}
	if b := c.pin; b != nil {
		c.pin, c.lane, b.owner = nil, nil, nil
		l.shut(b)
	}
	c.stream, c.state = nil, pinState{}
	l.stats.denied++
	l.say(c, "-ERR Protocol error: request of more than "+bytesText(limit))
	c.closing = true
	return true
}

func (r *rules) subDenied(cmd *command.Command, raw []byte) bool {
	args := frame.Args(raw)
	if len(args) < 2 {
		return false
	}
	sub := r.table.Sub(cmd, args[1])
	return sub != nil && r.deniedSub[sub.ID]
}

func bytesText(n int64) string { return strconv.FormatInt(n, 10) + " bytes" }
