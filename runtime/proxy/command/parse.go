package command

import (
	"fmt"
	"slices"
	"strings"
)

// The places in an entry of COMMAND's reply.
const (
	atFlags      = 2
	atFirstKey   = 3
	atCategories = 6
	atSubs       = 9
)

// entry is one command as the server describes it.
type entry struct {
	name              string
	flags, categories []string
	firstKey          int
	subs              []entry
}

func parseEntries(reply any) ([]entry, error) {
	items, ok := reply.([]any)
	if !ok {
		return nil, fmt.Errorf("%T where an array belongs", reply)
	}
	var entries []entry
	seen := make(map[string]bool, len(items))
	for _, item := range items {
		e, err := parseEntry(item)
		if err != nil {
			return nil, err
		}
		if !seen[e.name] { // modules name theirs in any case
			seen[e.name] = true
			entries = append(entries, e)
		}
	}
	sortByName(entries)
	return entries, nil
}

func parseEntry(item any) (entry, error) {
	fields, _ := item.([]any)
	name, _ := field(fields, 0).(string)
	if name == "" {
		return entry{}, fmt.Errorf("a command without a name: %.80v", item)
	}
	first, _ := field(fields, atFirstKey).(int64)
	e := entry{
		name:       lower(name),
		flags:      words(field(fields, atFlags)),
		categories: words(field(fields, atCategories)),
		firstKey:   max(int(first), 0),
	}
	if subs, ok := field(fields, atSubs).([]any); ok {
		var err error
		if e.subs, err = parseEntries(subs); err != nil {
			return entry{}, fmt.Errorf("subcommands of %s: %w", e.name, err)
		}
	}
	return e, nil
}

// command makes a Command of the entry. parent is the name of the command that
// it is a subcommand of, "" for none.
func (e entry) command(parent string) *Command {
	c := &Command{
		Name:     e.name,
		Write:    e.flag("write"),
		Read:     e.flag("readonly"),
		Admin:    e.flag("admin"),
		FirstKey: e.firstKey,
	}
	if parent != "" && !strings.HasPrefix(c.Name, parent+"|") {
		c.Name = parent + "|" + c.Name
	}
	c.Kind = e.kind(parent)
	c.Repeat = e.repeat(c)
	return c
}

func (e entry) kind(parent string) Kind {
	if kind, ok := kinds[e.name]; ok {
		return kind
	}
	if kind, ok := kinds[parent]; ok {
		return kind
	}
	// Redis 6 has no flag "blocking", but the category.
	if e.flag("blocking") || slices.Contains(e.categories, "@blocking") {
		return Blocking
	}
	// A module need not tell what its command does, and then nothing is known.
	if e.flag("module") && !e.flag("readonly") && !e.flag("write") {
		return Blocking
	}
	return Plain
}

func (e entry) repeat(c *Command) bool {
	switch {
	case c.Write:
		return false
	case looks[c.Name] || strings.HasSuffix(c.Name, "|help"):
		return true
	}
	return c.Read && c.Kind == Plain
}

func (e entry) flag(name string) bool { return slices.Contains(e.flags, name) }

// field is the element at i, nil if there are fewer.
func field(fields []any, i int) any {
	if i >= len(fields) {
		return nil
	}
	return fields[i]
}

func words(list any) []string {
	var found []string
	items, _ := list.([]any)
	for _, item := range items {
		if word, ok := item.(string); ok {
			found = append(found, lower(word))
		}
	}
	return found
}
