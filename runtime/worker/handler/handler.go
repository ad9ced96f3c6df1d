package handler

import (
	"context"
	"log/slog"
	"net"
	"os/exec"
	"strings"
	"time"
	"unicode/utf8"

	"rsm/schema"
)

// Task is what a handler is asked to do.
type Task struct {
	// ID tells it from all others, also when it is run again. Attempt is 1 in the
	// first run.
	ID      string
	Attempt int
	// Payload is JSON: a direct event, alerts, or what asks for a report.
	Payload []byte
}

// Env is what a handler needs of its worker. Log must be set, the rest has
// defaults.
type Env struct {
	// Spool is the directory of reports, mails and log files.
	Spool string
	Log   *slog.Logger
	// Cluster is told in messages, Worker in the delivery log.
	Cluster, Worker string
	// Samples are read for reports; nil refuses them.
	Samples Samples
	// Facts tells what happened in a time besides samples, nil for nothing.
	Facts func(ctx context.Context, from, to time.Time) (Facts, error)
	// Handler finds the handler that a report is mailed with.
	Handler func(name string) (schema.Handler, bool)
	// Now, Dial, LookPath and Secret default to those of this machine.
	Now      func() time.Time
	Dial     func(ctx context.Context, network, addr string) (net.Conn, error)
	LookPath func(name string) (string, error)
	Secret   func(schema.Secret) (string, error)
}

func (e Env) withDefaults() Env {
	if e.Now == nil {
		e.Now = time.Now
	}
	if e.Dial == nil {
		e.Dial = (&net.Dialer{}).DialContext
	}
	if e.LookPath == nil {
		e.LookPath = exec.LookPath
	}
	if e.Secret == nil {
		e.Secret = schema.Secret.Read
	}
	if e.Log == nil {
		e.Log = slog.New(slog.DiscardHandler)
	}
	return e
}

// Outcome is what came of a run, also of one that failed.
type Outcome struct {
	Delivery Delivery
}

// run is one run of a handler.
type run struct {
	Env
	handler schema.Handler
	task    Task
	secrets *secrets
	message *Message
}

// Run does what h says with the task. ctx bounds it, and so does h.Timeout. The
// error is a *Failure.
func Run(ctx context.Context, h schema.Handler, task Task, env Env) (Outcome, error) {
	r := newRun(h, task, env)
	if h.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, h.Timeout)
		defer cancel()
	}
	started := r.Now()
	response, err := r.do(ctx)
	d := Delivery{
		Time: started.UTC(), Handler: h.Name, Kind: kind(h), Task: task.ID, Attempt: task.Attempt, Worker: env.Worker,
		OK: err == nil, Response: brief(r.secrets.redact(response)), Duration: r.Now().Sub(started), Alerts: r.message.facts(),
	}
	if err == nil {
		return Outcome{d}, nil
	}
	f := failure(err, r.secrets.redact)
	d.Error = brief(f.text)
	return Outcome{d}, f
}

func newRun(h schema.Handler, task Task, env Env) *run {
	env = env.withDefaults()
	return &run{Env: env, handler: h, task: task, secrets: &secrets{read: env.Secret}}
}

// do returns what the receiver said.
func (r *run) do(ctx context.Context) (response string, err error) {
	if r.message, err = parse(r.task, r.handler.Name, r.Cluster, r.Now()); err != nil {
		return "", err
	}
	switch h := r.handler; {
	case h.Email != nil:
		return r.email(ctx, h.Email, h.Name)
	case h.Webhook != nil:
		return r.webhook(ctx, h.Webhook)
	case h.Slack != nil:
		return r.slack(ctx, h.Slack)
	case h.Exec != nil:
		return r.command(ctx, h.Exec)
	case h.Log != nil:
		return r.log(h.Log)
	case h.Report != nil:
		return r.report(ctx, h.Report)
	case h.Rsm != nil:
		return r.askServe(ctx, h.Rsm)
	}
	return "", permanent("handler %s has no kind that this rsm knows: is rsm older than what published it?", r.handler.Name)
}

// kind names what a handler does.
func kind(h schema.Handler) string {
	switch {
	case h.Email != nil:
		return "email"
	case h.Webhook != nil:
		return "webhook"
	case h.Slack != nil:
		return "slack"
	case h.Exec != nil:
		return "exec"
	case h.Log != nil:
		return "log"
	case h.Report != nil:
		return "report"
	case h.Rsm != nil:
		return "rsm"
	}
	return "unknown"
}

// longest is how many bytes of an answer are told.
const longest = 500

// brief is a text on one line, cut when it is long.
func brief(text string) string {
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "�")), " ")
	if len(text) <= longest {
		return text
	}
	end := longest
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}
