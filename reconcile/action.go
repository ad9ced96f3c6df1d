package reconcile

import (
	"strconv"
	"strings"
	"time"

	"rsm/schema"
)

// Action is one thing to do, as data: it holds no client and no closure. The
// planner makes actions, the printer prints them, the journal stores them, an
// Executor performs them. The set is sealed; actions.json names are in encode.go.
type Action interface {
	// Subject is the name of the role that is acted upon.
	Subject() string
	// Impact is what clients may notice.
	Impact() Impact
	// Commands are what is sent over the wire, in order; empty for actions that
	// only touch the host or only wait.
	Commands() []Command
	// Done reports whether the state already is as the action would make it.
	Done(*State) bool
	// String says the action in one line, without the subject.
	String() string

	apply(*State) // the model: what the action does to a state
}

// Command is one wire command. It is printed and sent from the same value.
type Command struct {
	Addr     schema.Addr
	Sentinel bool // the server is a Sentinel: authenticate with its password
	Args     []string
	// Secret, when set, is read right before sending and appended to Args.
	Secret *schema.Secret
}

// String shows the command as redis-cli would prompt for it.
func (c Command) String() string {
	words := make([]string, 0, len(c.Args)+1)
	for _, arg := range c.Args {
		words = append(words, word(arg))
	}
	if c.Secret != nil {
		words = append(words, "<"+c.Secret.String()+">")
	}
	return string(c.Addr) + "> " + strings.Join(words, " ")
}

// word quotes an argument where redis-cli would have to.
func word(arg string) string {
	if strings.Contains(arg, `"`) && !strings.ContainsAny(arg, "'\\\n\r") {
		return "'" + arg + "'"
	}
	if arg == "" || strings.ContainsAny(arg, " \t\"") {
		return strconv.Quote(arg)
	}
	return arg
}

// RoleRef names a role of a cluster, with what is needed to find its process.
type RoleRef struct {
	Cluster string      `json:"cluster"`
	Name    string      `json:"name"`
	Kind    Kind        `json:"kind"`
	Addr    schema.Addr `json:"addr"`
}

// noImpact is embedded by actions that no client notices.
type noImpact struct{}

// Impact is none.
func (noImpact) Impact() Impact { return ImpactNone }

// noCommands is embedded by actions that send nothing: they touch this machine,
// or wait.
type noCommands struct{}

// Commands is empty.
func (noCommands) Commands() []Command { return nil }

func millis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
