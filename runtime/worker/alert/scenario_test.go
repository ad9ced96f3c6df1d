package alert_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"rsm/runtime/worker/alert"
	"rsm/schema"
)

var update = flag.Bool("update", false, "rewrite the scenarios")

// TestScenarios plays testdata/*.txt. A line is a comment (#), a command, or what
// came of the command above it (indented), which -update rewrites:
//
//	rule NAME key=value…           declares or replaces a rule; "resolved" is on
//	rate RECEIVER N                limits a receiver to N a minute
//	at TIME event key=value…       late=TIME: how old it is
//	at TIME silence ID for=TIME [until-resolved] MATCHER…
//	at TIME unsilence ID
//	at TIME rule …, at TIME remove NAME
//	at TIME tick                   nothing but the time
//	at TIME state                  shows what is stored
func TestScenarios(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(content))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(content) {
				t.Errorf("%s has come to another end (-update rewrites it):\n%s", file, got)
			}
		})
	}
}

// play runs a scenario and writes it anew.
func play(t *testing.T, script string) string {
	w := newWorld(t)
	var out strings.Builder
	for line := range strings.Lines(script) {
		if strings.HasPrefix(line, "  ") {
			continue
		}
		out.WriteString(line)
		if words := split(strings.TrimSpace(line)); len(words) > 0 && !strings.HasPrefix(words[0], "#") {
			before := len(w.sent)
			shown := w.command(words)
			for _, d := range w.sent[before:] {
				out.WriteString("  " + d.String() + "\n")
			}
			out.WriteString(shown)
		}
	}
	return out.String()
}

// String is how a scenario shows a notification.
func (d delivery) String() string {
	text := fmt.Sprintf("%v %s: %s, %s", d.at.Sub(epoch), d.Receiver, d.Reason, d.Severity)
	for _, item := range d.Alerts {
		text += fmt.Sprintf("; %s %s", item.Status, item.Summary)
		if item.EndReason != "" {
			text += " (" + item.EndReason + ")"
		}
	}
	return text
}

func (w *world) command(words []string) (shown string) {
	if words[0] == "at" {
		at, err := time.ParseDuration(words[1])
		if err != nil {
			w.t.Fatal(err)
		}
		w.run(epoch.Add(at))
		words = words[2:]
	}
	switch words[0] {
	case "event":
		w.event(values(words[1:]))
	case "rule":
		w.declared[words[1]] = ruleOf(w.t, words[1], words[2:])
		w.declare()
	case "remove":
		delete(w.declared, words[1])
		w.declare()
	case "rate":
		w.rates[words[1]], _ = strconv.Atoi(words[2])
	case "silence":
		w.silence(words[1], words[2:])
	case "unsilence":
		w.remove("silence/" + words[1])
		w.lookAgain()
	case "state":
		shown = w.show()
	case "tick":
	default:
		w.t.Fatalf("unknown command %q", words)
	}
	w.run(w.now)
	return shown
}

func (w *world) silence(id string, words []string) {
	s := alert.Silence{Version: 1, ID: id, Creator: "someone", Reason: "a test", Starts: w.now}
	for _, word := range words {
		if length, ok := strings.CutPrefix(word, "for="); ok {
			s.Ends = w.now.Add(durationOf(w.t, length))
			continue
		}
		if word == "until-resolved" {
			s.UntilResolved = true
			continue
		}
		m, err := alert.ParseMatcher(word)
		if err != nil {
			w.t.Fatal(err)
		}
		s.Matchers = append(s.Matchers, m)
	}
	if err := s.Validate(); err != nil {
		w.t.Fatal(err)
	}
	w.store("silence/"+id, s)
	w.wakes["silence/"+id] = s.Ends
	w.silences()
	w.lookAgain()
}

func (w *world) show() string {
	var out strings.Builder
	for _, a := range all[alert.Alert](w, "alert/") {
		fmt.Fprintf(&out, "  %s %v %s\n", a.Rule, a.Labels, a.Status)
	}
	for _, g := range all[alert.Group](w, "group/") {
		for _, receiver := range slices.Sorted(maps.Keys(g.Receivers)) {
			fmt.Fprintf(&out, "  %s knows of %d firing in %s %v\n", receiver, len(g.Receivers[receiver].Firing), g.Rule, g.Labels)
		}
	}
	for _, s := range all[alert.Silence](w, "silence/") {
		fmt.Fprintf(&out, "  silence %s\n", s.ID)
	}
	if out.Len() == 0 {
		return "  nothing\n"
	}
	return out.String()
}

func durationOf(t testing.TB, text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// values reads key=value, numbers as such.
func values(words []string) map[string]any {
	fields := map[string]any{}
	for _, word := range words {
		key, value, _ := strings.Cut(word, "=")
		fields[key] = value
		if n, err := strconv.ParseFloat(value, 64); err == nil {
			fields[key] = n
		}
	}
	return fields
}

// split cuts a line at spaces that are not within "".
func split(line string) (words []string) {
	quoted := false
	for _, word := range strings.FieldsFunc(line, func(r rune) bool {
		if r == '"' {
			quoted = !quoted
		}
		return r == ' ' && !quoted
	}) {
		words = append(words, strings.ReplaceAll(word, `"`, ""))
	}
	return words
}

// ruleOf reads a rule. What is not said is: by host, severity warning, receiver
// mail, no waits.
func ruleOf(t testing.TB, name string, words []string) schema.Rule {
	r := schema.Rule{Name: name, Type: "monitoring", By: []string{"host"}, Severity: "warning", Receivers: []string{"mail"}, Resolved: true,
		Summary: name + " {{.Labels.host}}{{with .Value}} {{.}}{{end}}"}
	durations := map[string]*time.Duration{"for": &r.For, "keep_for": &r.KeepFor, "wait": &r.GroupWait, "interval": &r.GroupInterval, "repeat": &r.Repeat, "stale": &r.Stale}
	texts := map[string]*string{"expr": &r.Expr, "clear": &r.Clear, "type": &r.Type, "severity": &r.Severity, "summary": &r.Summary}
	lists := map[string]*[]string{"by": &r.By, "group_by": &r.GroupBy, "receivers": &r.Receivers}
	for _, word := range words {
		key, value, _ := strings.Cut(word, "=")
		switch {
		case durations[key] != nil:
			*durations[key] = durationOf(t, value)
		case texts[key] != nil:
			*texts[key] = value
		case lists[key] != nil:
			*lists[key] = strings.Split(value, ",")
		case key == "resolved":
			r.Resolved = value == "yes"
		case key == "label":
			label, text, _ := strings.Cut(value, ":")
			r.Labels = map[string]string{label: text}
		case key == "escalate":
			after, receivers, _ := strings.Cut(value, ":")
			r.Escalate = append(r.Escalate, schema.Escalation{After: durationOf(t, after), Receivers: strings.Split(receivers, ",")})
		case key == "inhibited_by":
			rule, equal, _ := strings.Cut(value, ":")
			r.InhibitedBy = append(r.InhibitedBy, schema.Inhibition{Rule: rule, Equal: strings.Split(equal, ",")})
		case key == "mute":
			length, cron, _ := strings.Cut(value, ":")
			r.Mute = append(r.Mute, schema.Window{Cron: cron, For: durationOf(t, length), Zone: "UTC"})
		default:
			t.Fatalf("rule %s: unknown key %q", name, key)
		}
	}
	return r
}
