package handler

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"rsm/schema"
)

// Preview is what Run would send, as text; nothing is sent, run or written, and
// env.Handler and the files of CAs are not needed. Each secret is <secret>, unless
// env.Secret says otherwise. A template that Run would replace by its own is told
// in note.
func Preview(ctx context.Context, h schema.Handler, task Task, env Env) (shown []byte, note string, err error) {
	if env.Secret == nil {
		env.Secret = func(schema.Secret) (string, error) { return hidden, nil }
	}
	r := newRun(h, task, env)
	if r.message, err = parse(task, h.Name, env.Cluster, r.Now()); err == nil {
		shown, note, err = r.preview(ctx)
	}
	if err != nil {
		return nil, "", failure(err, r.secrets.redact)
	}
	return shown, note, nil
}

func (r *run) preview(ctx context.Context) (shown []byte, note string, err error) {
	var q request
	switch h := r.handler; {
	case h.Email != nil:
		l, err := r.letter(h.Email, h.Name, nil)
		return l.content, l.note, err
	case h.Webhook != nil:
		if q, err = r.webhookRequest(h.Webhook); h.Webhook.Secret != nil {
			q.header.Set("X-Rsm-Signature", "sha256=<HMAC of the body with the secret>")
		}
	case h.Slack != nil:
		q, note, err = r.slackRequest(h.Slack)
	case h.Rsm != nil:
		q, err = r.askRequest(h.Rsm)
	case h.Exec != nil:
		return r.previewCommand(h.Exec)
	case h.Log != nil:
		line, err := r.logLine()
		return line, "", err
	case h.Report != nil:
		d, err := MakeReport(ctx, *h.Report, r.message.Time, r.Env)
		return d.Text, "", err
	default:
		return nil, "", permanent("handler %s has no kind that this rsm knows", h.Name)
	}
	return []byte(q.show()), note, err
}

// previewCommand shows the arguments, one on each line, what is added to the
// environment, and the input.
func (r *run) previewCommand(x *schema.Exec) ([]byte, string, error) {
	environ, err := r.environ(*x)
	if err != nil {
		return nil, "", err
	}
	var out strings.Builder
	for i, arg := range x.Argv {
		fmt.Fprintf(&out, "argv[%d] %q\n", i, arg)
	}
	for _, variable := range environ {
		if name, _, _ := strings.Cut(variable, "="); !slices.Contains(passedOn, name) {
			fmt.Fprintf(&out, "env %s\n", variable)
		}
	}
	fmt.Fprintf(&out, "stdin\n%s\n", r.message.payload)
	note := ""
	if len(x.Argv) > 0 {
		if _, err := r.LookPath(x.Argv[0]); err != nil {
			note = err.Error() + " (on this machine; the worker's counts)"
		}
	}
	return []byte(out.String()), note, nil
}
