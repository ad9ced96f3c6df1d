package handler

import (
	"maps"
	"slices"
	"strings"

	"rsm/internal/fill"
)

// reasons say in words why a message comes now.
var reasons = map[string]string{
	"new":        "it has just begun",
	"changed":    "alerts of this group have begun or ended since the last message",
	"repeat":     "it goes on; nothing has changed since the last message",
	"resolved":   "it is over",
	"escalation": "it goes on, and who was told before has not ended it",
	"unsilenced": "the silence that kept it quiet has ended, and it goes on",
	"expiring":   "the silence that keeps it quiet ends soon",
	"summary":    "there were more messages than the rate of this handler allows; this is how things are now",
}

// Why says in words why the message comes now; a reason that has no words says
// itself.
func (m *Message) Why() string {
	if words, ok := reasons[m.Reason]; ok {
		return words
	}
	return m.Reason
}

// mostShown is how many alerts a mail describes: nobody reads a thousand.
const mostShown = 50

// Shown are the alerts that a mail describes, Unshown is how many there are besides.
func (m *Message) Shown() []Alert { return m.Alerts[:min(len(m.Alerts), mostShown)] }
func (m *Message) Unshown() int   { return len(m.Alerts) - len(m.Shown()) + m.More }

// Others is how many alerts there are beside the first.
func (m *Message) Others() int { return max(len(m.Alerts)-1, 0) + m.More }

// mostFacts is how many fields of an event a message tells.
const mostFacts = 12

// Fact is a field of an event.
type Fact struct{ Name, Value string }

// Facts are the single values of the last event of an alert, by name: not those that
// the labels tell, nor lists, objects, and what only programs need. What the event
// calls an error comes first.
func (a Alert) Facts() []Fact {
	var list []Fact
	for _, name := range slices.Sorted(maps.Keys(a.Event)) {
		text := oneLine(fill.Text(a.Event[name]))
		switch a.Event[name].(type) {
		case map[string]any, []any, nil:
			continue
		}
		switch name {
		case "id", "v", "ts", "type", "agent", "interval", "dropped":
			continue
		}
		if _, label := a.Labels[name]; label || text == "" {
			continue
		}
		fact := Fact{name, cutText(text, 200)}
		if name == "error" {
			list = slices.Insert(list, 0, fact)
			continue
		}
		list = append(list, fact)
	}
	return list[:min(len(list), mostFacts)]
}

// Silence is the command that keeps the alert quiet, for a shell: labels are what
// others wrote.
func (a Alert) Silence(cluster string) string {
	words := []string{"rsm", "silence", "add", "--for", "2h", "--reason", "WHY"}
	if cluster != "" {
		words = append(words, "--cluster", shellWord(cluster))
	}
	words = append(words, shellWord("rule="+a.Rule))
	for _, name := range slices.Sorted(maps.Keys(a.Labels)) {
		if !strings.ContainsAny(name, "=!~") {
			words = append(words, shellWord(name+"="+a.Labels[name]))
		}
	}
	return strings.Join(words, " ")
}

// shellWord quotes a text that is more than letters, digits and a few signs.
func shellWord(text string) string {
	text = oneLine(text)
	if strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=.,:/@%") == "" {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
