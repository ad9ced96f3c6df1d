package schema

import (
	"encoding/json"
	"slices"
)

// Workers read from Redis what handlers do and which commands run tasks. Whoever
// else can write there must not make them run a program, or send a secret away: so a
// worker is told in its own file, by their names, which of it rsm has declared.

// Digest names a handler, with everything that it does.
func (h Handler) Digest() string { return digestOfItem("handler", h) }

// Digest names a command for tasks of its type in a queue.
func (t TaskType) Digest(queue string) string { return digestOfItem("task "+queue, t) }

func digestOfItem(what string, item any) string {
	content, err := json.Marshal(item)
	if err != nil {
		return "" // neither has anything that JSON cannot hold; no list has ""
	}
	return DigestOf(append([]byte(what+"\n"), content...))
}

// Harmless reports whether a handler only writes below the spool directory of its
// worker. A worker takes such a one from Redis as it is.
func (h Handler) Harmless() bool {
	return (h.Log != nil || h.Report != nil) &&
		h.Email == nil && h.Webhook == nil && h.Slack == nil && h.Exec == nil && h.Rsm == nil
}

// trusted are the digests of all that a worker of some queues may run or send, sorted.
func (o Operations) trusted(queues []string) []string {
	var list []string
	for _, q := range o.Queues {
		if slices.Contains(queues, q.Name) {
			for _, t := range q.Tasks {
				list = append(list, t.Digest(q.Name))
			}
		}
	}
	for _, h := range o.Handlers {
		if !slices.Contains(queues, h.Queue) {
			continue
		}
		if !h.Harmless() {
			list = append(list, h.Digest())
		}
		// A report sends its mail itself.
		if mail, ok := named(o.Handlers, reportMail(h), Handler.name); ok {
			list = append(list, mail.Digest())
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func reportMail(h Handler) string {
	if h.Report == nil {
		return ""
	}
	return h.Report.Mail
}
