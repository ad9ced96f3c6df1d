package command

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"rsm/internal/resp"
)

// Table is the commands of one server, or what is known without one. It never
// changes, so that many goroutines may read it.
type Table struct {
	commands []*Command // by ID; the first is the unknown one
	names    index
	subs     []index // by the parent's ID
}

// Fetch asks a server for its commands. The error is that of the connection, of
// Parse, or a resp.Error such as NOPERM.
func Fetch(ctx context.Context, conn *resp.Conn) (*Table, error) {
	reply, err := conn.Do(ctx, "COMMAND")
	if err != nil {
		return nil, fmt.Errorf("read command table: %w", err)
	}
	return Parse(reply)
}

// Parse reads the reply of COMMAND, as resp.Read returns it: an array per command
// of name, arity, flags, first key, last key, step, and since 6.0 ACL categories,
// since 7.0 tips, key specifications and subcommands, which have the same form.
// Elements that are missing or of another type count as empty. Commands get
// their IDs in alphabetical order, subcommands after all of them, since COMMAND's
// own order differs between two servers of one version.
func Parse(reply any) (*Table, error) {
	entries, err := parseEntries(reply)
	if err != nil {
		return nil, fmt.Errorf("parse command table: %w", err)
	}
	if len(entries) == 0 {
		return nil, errors.New("parse command table: it is empty")
	}
	for name, kind := range kinds {
		if kind == Browser && !slices.ContainsFunc(entries, func(e entry) bool { return e.name == name }) {
			entries = append(entries, entry{name: name})
		}
	}
	sortByName(entries)
	return build(entries), nil
}

// Fallback is what a proxy uses before it has reached a server: what it can
// answer alone, or must recognise to know that it cannot. Everything else is
// unknown.
func Fallback() *Table {
	entries := []entry{{name: "ping"}, {name: "echo"}}
	for name, kind := range kinds {
		if kind != Blocking {
			entries = append(entries, entry{name: name})
		}
	}
	sortByName(entries)
	return build(entries)
}

// Lookup finds a command by its name as a client sent it, in any case. What is
// not in the table is the command with ID 0, which is Blocking and not to be
// repeated.
func (t *Table) Lookup(name []byte) *Command {
	if c := t.names.find(name); c != nil {
		return c
	}
	return t.commands[0]
}

// Sub finds a subcommand of one of the table's commands by its name as a client
// sent it, "kill" of CLIENT for example. It is nil when there is none: then the
// parent tells what is known, as always with servers before 7.0.
func (t *Table) Sub(parent *Command, name []byte) *Command {
	if parent.ID >= len(t.subs) {
		return nil
	}
	return t.subs[parent.ID].find(name)
}

// Len is the number of commands and subcommands, with the unknown one.
func (t *Table) Len() int { return len(t.commands) }

// At is the command with an ID from 0 to Len()-1.
func (t *Table) At(id int) *Command { return t.commands[id] }

// build numbers the entries, which are in order, and indexes them.
func build(entries []entry) *Table {
	t := &Table{commands: []*Command{{Kind: Blocking}}}
	for _, e := range entries {
		t.add(e.command(""))
	}
	t.names = newIndex(t.commands[1:], 0)
	t.subs = make([]index, len(t.commands))
	for i, e := range entries {
		first := len(t.commands)
		for _, sub := range e.subs {
			t.add(sub.command(e.name))
		}
		t.subs[i+1] = newIndex(t.commands[first:], len(e.name)+1)
	}
	return t
}

func (t *Table) add(c *Command) {
	c.ID = len(t.commands)
	t.commands = append(t.commands, c)
}

func sortByName(entries []entry) {
	slices.SortFunc(entries, func(a, b entry) int {
		if a.name < b.name {
			return -1
		}
		return 1 // names are unique
	})
}
