package schema

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Items are the operations one by one, as Redis holds them: "queue/<name>",
// "handler/<name>" and "rule/<name>" to compact JSON. The same operations give the
// same text.
func (o Operations) Items() map[string]string {
	items := map[string]string{}
	add(items, "queue/", o.Queues, Queue.name)
	add(items, "handler/", o.Handlers, Handler.name)
	add(items, "rule/", o.Rules, Rule.name)
	return items
}

func (q Queue) name() string   { return q.Name }
func (h Handler) name() string { return h.Name }
func (r Rule) name() string    { return r.Name }

func add[T any](items map[string]string, kind string, list []T, nameOf func(T) string) {
	for _, one := range list {
		var content bytes.Buffer
		encoder := json.NewEncoder(&content)
		encoder.SetEscapeHTML(false) // people read it in plans
		if err := encoder.Encode(one); err != nil {
			continue // only a payload that is no JSON cannot be written, and none is decoded
		}
		items[kind+nameOf(one)] = strings.TrimSpace(content.String())
	}
}

// Digest names the operations: the SHA-256 of their items, sorted, in hex.
func (o Operations) Digest() string {
	sum, items := sha256.New(), o.Items()
	for _, name := range slices.Sorted(maps.Keys(items)) {
		fmt.Fprintf(sum, "%s\n%s\n", name, items[name])
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// OperationsOf reads what Items returned. An item of another kind, or with a field
// that is not known, is an error that names it.
func OperationsOf(items map[string]string) (Operations, error) {
	var o Operations
	for _, item := range slices.Sorted(maps.Keys(items)) {
		kind, name, _ := strings.Cut(item, "/")
		var err error
		switch kind {
		case "queue":
			err = read(&o.Queues, name, items[item], Queue.name)
		case "handler":
			err = read(&o.Handlers, name, items[item], Handler.name)
		case "rule":
			err = read(&o.Rules, name, items[item], Rule.name)
		default:
			err = fmt.Errorf("it is neither a queue nor a handler nor a rule")
		}
		if err != nil {
			return Operations{}, fmt.Errorf("read operations: %s: %w", item, err)
		}
	}
	slices.SortFunc(o.Queues, func(a, b Queue) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(o.Handlers, func(a, b Handler) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(o.Rules, func(a, b Rule) int { return cmp.Compare(a.Name, b.Name) })
	return o, nil
}

// read adds what an item holds to a list.
func read[T any](list *[]T, name, content string, nameOf func(T) string) error {
	var one T
	if err := Decode([]byte(content), &one); err != nil {
		return err
	}
	if nameOf(one) != name || name == "" {
		return fmt.Errorf("it is called %q inside", nameOf(one))
	}
	*list = append(*list, one)
	return nil
}

// env are the environment variables that what some queues run refers to, sorted.
func (o Operations) env(queues []string) []string {
	var names []string
	add := func(secrets ...*Secret) {
		for _, s := range secrets {
			if s != nil && s.Env != "" {
				names = append(names, s.Env)
			}
		}
	}
	for _, q := range o.Queues {
		if slices.Contains(queues, q.Name) {
			for _, t := range q.Tasks {
				add(t.Command.secrets()...)
			}
		}
	}
	for _, h := range o.Handlers {
		if !slices.Contains(queues, h.Queue) {
			continue
		}
		add(h.secrets()...)
		// A report sends its mail itself.
		if mail, ok := named(o.Handlers, reportMail(h), Handler.name); ok {
			add(mail.secrets()...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (h Handler) secrets() []*Secret {
	switch {
	case h.Email != nil:
		return []*Secret{h.Email.Password}
	case h.Webhook != nil:
		return append(pointers(h.Webhook.HeaderSecrets), h.Webhook.URL, h.Webhook.Secret)
	case h.Slack != nil:
		return []*Secret{&h.Slack.URL}
	case h.Exec != nil:
		return h.Exec.secrets()
	case h.Rsm != nil:
		return []*Secret{h.Rsm.Token}
	}
	return nil
}

func (e Exec) secrets() []*Secret { return pointers(e.Secrets) }

func pointers(secrets map[string]Secret) []*Secret {
	var list []*Secret
	for _, s := range secrets {
		list = append(list, &s)
	}
	return list
}
