package handler

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"rsm/internal/fill"
	"rsm/schema"
)

// The limits of Slack: letters of a section, and alerts of a message
// (of its 50 blocks, each takes two).
const (
	slackText   = 2900
	slackAlerts = 15
)

// slackEscape keeps what others wrote from being a link or calling everybody.
var slackEscape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// slack posts the message.
func (r *run) slack(ctx context.Context, s *schema.Slack) (string, error) {
	q, note, err := r.slackRequest(s)
	if err != nil {
		return "", err
	}
	said, err := r.post(ctx, q, "", s.Timeout)
	return join2(said, note), err
}

type part map[string]any

// slackRequest has the text for notifications, and blocks for those who show them.
func (r *run) slackRequest(s *schema.Slack) (q request, note string, err error) {
	address, err := r.secrets.get(&s.URL)
	if err != nil {
		return q, "", err
	}
	var l letter
	text := cutText(oneLine(r.orBuiltin("subject", "", "subject.tmpl", renderText, &l)), slackText)
	if s.Text != "" {
		text = cutText(r.orBuiltin("text", s.Text, "subject.tmpl", renderText, &l), slackText)
	}
	body := part{"text": slackEscape.Replace(text)}
	if s.Text != "" {
		body["text"] = text // whoever writes the template decides what is a link
	}
	if s.Channel != "" {
		body["channel"] = s.Channel
	}
	if r.message.Kind == Alerts && len(r.message.Alerts) > 0 {
		body["attachments"] = []part{{"color": r.colour(), "blocks": r.alertBlocks()}}
	} else if s.Text == "" {
		body["attachments"] = []part{{"color": "#5b6b7f", "blocks": r.eventBlocks()}}
	}
	content, err := asJSON(body)
	if err != nil {
		return q, "", permanent("write message: %w", err)
	}
	return request{http.MethodPost, strings.TrimSpace(address), r.header(), []byte(content)}, l.note, nil
}

// colour is that of the bar beside alerts.
func (r *run) colour() string {
	switch {
	case r.message.Status == "resolved":
		return "#1a7f4b"
	case r.message.Severity == "critical":
		return "#c62828"
	}
	return "#b26a00"
}

// alertBlocks are one section for each alert, and why this is told.
func (r *run) alertBlocks() []part {
	var blocks []part
	m := r.message
	for _, a := range m.Alerts[:min(len(m.Alerts), slackAlerts)] {
		sign := ":rotating_light:"
		if a.Status == "resolved" {
			sign = ":white_check_mark:"
		}
		text := fmt.Sprintf("%s *%s*", sign, slackEscape.Replace(oneLine(cmp.Or(a.Summary, a.Rule))))
		if a.Description != "" {
			text += "\n" + slackEscape.Replace(a.Description)
		}
		if facts := a.Facts(); len(facts) > 0 && facts[0].Name == "error" {
			text += "\n" + slackEscape.Replace(facts[0].Value)
		}
		blocks = append(blocks, section(text))
		about := []string{"rule " + a.Rule, a.Severity}
		for _, name := range slices.Sorted(maps.Keys(a.Labels)) {
			about = append(about, oneLine(name+" "+a.Labels[name]))
		}
		about = append(about, "since "+a.Since.UTC().Format("2 Jan 15:04 UTC"))
		if !a.Ended.IsZero() {
			about = append(about, "lasted "+fill.Duration(a.Ended.Sub(a.Since)))
		}
		blocks = append(blocks, part{"type": "context", "elements": []part{mrkdwn(slackEscape.Replace(strings.Join(about, " · ")))}})
	}
	last := "why now: " + m.Why()
	if more := len(m.Alerts) + m.More - slackAlerts; more > 0 {
		last = fmt.Sprintf("and %d more; %s", more, last)
	}
	return append(blocks, part{"type": "context", "elements": []part{mrkdwn(slackEscape.Replace(last))}})
}

// eventBlocks are what rsm's own mail would say.
func (r *run) eventBlocks() []part {
	var l letter
	return []part{section(slackEscape.Replace(strings.TrimSpace(r.orBuiltin("text", "", "text.tmpl", renderText, &l))))}
}

func section(text string) part { return part{"type": "section", "text": mrkdwn(text)} }

func mrkdwn(text string) part { return part{"type": "mrkdwn", "text": cutText(text, slackText)} }

// cutText keeps so many letters.
func cutText(text string, most int) string {
	if letters := []rune(text); len(letters) > most {
		return string(letters[:most-1]) + "…"
	}
	return text
}
