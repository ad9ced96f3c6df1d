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
		r.aliases[alias], r.denied[cmd.ID] = cmd, cmd.ID != 0
	}
	r.open = len(of.Deny)+len(of.Rename) == 0 && !of.ReadOnly && of.Read != schema.ReadReplica
	for id := range table.Len() {
		cmd := table.At(id)
		r.fast[id] = cmd.Kind == command.Plain && !r.denied[id] && !r.subs[id] && !of.readsReplica() &&
			of.Rate == 0 && of.MaxRequest == 0 && !(of.ReadOnly && changesData(cmd)) && !(of.Durable && !cmd.Read)
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
		if c.tokens <= 0 {
			c.wait = waitTurn
			l.delayed = append(l.delayed, c)
			return cmd, raw, ""
		}
		c.tokens--
	}
	if limit := r.listener.MaxRequest; limit > 0 && int64(len(raw)) > limit {
		return cmd, raw, "-ERR request of more than " + bytesText(limit)
	}
	if len(r.aliases) > 0 {
		if args := frame.Args(raw); len(args) > 0 {
			if real := r.aliases[strings.ToLower(string(args[0]))]; real != nil {
				args[0] = []byte(real.Name)
				return real, frame.Append(nil, args...), ""
			}
		}
	}
	if r.denied[cmd.ID] || r.subs[cmd.ID] && r.subDenied(cmd, raw) {
		return cmd, raw, "-NOPERM this proxy does not let clients run '" + cmd.Name + "' here"
	}
	if (r.listener.ReadOnly || r.listener.Read == schema.ReadReplica) && changesData(cmd) {
		return cmd, raw, "-NOPERM only reads are taken here, '" + cmd.Name + "' is none"
	}
	return cmd, raw, ""
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
