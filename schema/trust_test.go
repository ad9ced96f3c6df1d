package schema

import (
	"slices"
	"testing"
)

// TestTrusted: a worker is told of what its own queues run or send, and of nothing
// else; whatever is changed in it is something else.
func TestTrusted(t *testing.T) {
	t.Parallel()
	run := TaskType{Name: "backup", Command: Exec{Argv: []string{"/usr/bin/backup"}}}
	hook := Handler{Name: "hook", Queue: "default", Webhook: &Webhook{To: "https://example.org"}}
	mail := Handler{Name: "mail", Queue: "elsewhere", Email: &Email{Server: "example.org:25"}}
	o := Operations{
		Queues: []Queue{{Name: "default", Tasks: []TaskType{run}}, {Name: "elsewhere", Tasks: []TaskType{run}}},
		Handlers: []Handler{hook, mail, {Name: "note", Queue: "default", Log: &Log{}},
			{Name: "weekly", Queue: "default", Report: &Report{Mail: "mail"}}},
	}
	got := o.trusted([]string{"default"})
	want := []string{run.Digest("default"), hook.Digest(), mail.Digest()}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	other, moved := hook, run
	other.Webhook = &Webhook{To: "https://example.net"}
	moved.Command.Argv = []string{"/usr/bin/backup", "--delete"}
	for what, digest := range map[string]string{
		"another address": other.Digest(), "other arguments": moved.Digest("default"), "another queue": run.Digest("elsewhere"), "nothing": "",
	} {
		if slices.Contains(got, digest) {
			t.Errorf("%s is trusted", what)
		}
	}
}

// TestHarmless: a handler that looks like a log and does more besides is not
// harmless.
func TestHarmless(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		handler Handler
		want    bool
	}{
		{Handler{Log: &Log{}}, true},
		{Handler{Report: &Report{}}, true},
		{Handler{}, false},
		{Handler{Log: &Log{}, Exec: &Exec{}}, false},
		{Handler{Report: &Report{}, Webhook: &Webhook{}}, false},
		{Handler{Log: &Log{}, Email: &Email{}}, false},
		{Handler{Log: &Log{}, Slack: &Slack{}}, false},
		{Handler{Log: &Log{}, Rsm: &AskServe{}}, false},
	} {
		if got := c.handler.Harmless(); got != c.want {
			t.Errorf("%+v: %v", c.handler, got)
		}
	}
}
