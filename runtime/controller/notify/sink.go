package notify

import (
	"context"
	"log/slog"
	"slices"

	"rsm/runtime/controller/ledger"
	"rsm/schema"
)

// Channel is a way to tell somebody.
type Channel interface {
	// Send tells of one event; ctx has a deadline. An error must hold no secret;
	// it is tried again unless it is of a kind that lasts.
	Send(ctx context.Context, e ledger.Event) error
}

// Sink is somebody who is told of some events.
type Sink struct {
	// Name is for logs.
	Name    string
	Channel Channel
	// Types are those of the events; empty means all.
	Types []string
	// Level is the lowest one: info, warning or error; empty means info.
	Level string
}

func (s Sink) wants(e ledger.Event) bool {
	return (len(s.Types) == 0 || slices.Contains(s.Types, e.Type)) && weight(e.Level) >= weight(s.Level)
}

// weight orders the levels.
func weight(level string) int { return slices.Index([]string{"warning", "error"}, level) }

// Sinks makes the sinks of a configuration, which has been checked. One of type
// log writes to log.
func Sinks(list []schema.Notify, log *slog.Logger) []Sink {
	sinks := make([]Sink, len(list))
	for i, n := range list {
		sinks[i] = Sink{Name: n.Type, Channel: channel(n, log), Types: n.Events}
		if n.Repo != "" {
			sinks[i].Name += " " + n.Repo
		}
	}
	return sinks
}

func channel(n schema.Notify, log *slog.Logger) Channel {
	switch n.Type {
	case "webhook":
		return Webhook{URL: n.URL.Read, Secret: reader(n.Secret)}
	case "slack":
		return Slack{URL: n.URL.Read}
	case "github", "gitea":
		return &Status{Forge: n.Type, API: n.API, Repo: n.Repo, Token: reader(n.Token)}
	}
	return Log{log}
}

// reader is nil without a secret.
func reader(secret *schema.Secret) func() (string, error) {
	if secret == nil {
		return nil
	}
	return secret.Read
}

// Log writes events to a log.
type Log struct{ *slog.Logger }

// Send never fails.
func (l Log) Send(ctx context.Context, e ledger.Event) error {
	level := map[string]slog.Level{"warning": slog.LevelWarn, "error": slog.LevelError}[e.Level]
	attrs := []slog.Attr{slog.String("type", e.Type)}
	if e.Cluster != "" {
		attrs = append(attrs, slog.String("cluster", e.Cluster))
	}
	if e.Commit != "" {
		attrs = append(attrs, slog.String("commit", e.Commit))
	}
	if e.Attempt != 0 {
		attrs = append(attrs, slog.Int("attempt", e.Attempt))
	}
	l.LogAttrs(ctx, level, e.Message, attrs...)
	return nil
}
