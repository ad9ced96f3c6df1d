package main

import (
	"bytes"
	"cmp"
	"fmt"
	"html"
	"io"
	"slices"
	"strings"

	"rsm/reconcile"
)

const (
	// planMarker lets a pipeline find its own comment and write it anew.
	planMarker = "<!-- rsm-plan -->"
	// maxComment is how long the Markdown may be, in bytes: GitHub takes 65,536
	// characters in a comment.
	maxComment = 60_000
	// roomForNote is kept for the note that something was left out.
	roomForNote = 200
)

// writePlansMarkdown writes plans as a comment for a pull request: a summary,
// what is refused or dangerous, and each cluster folded. What does not fit is
// left out, with a note.
func writePlansMarkdown(w io.Writer, plans []planned, from *stateFile, verbose bool) error {
	plans = slices.Clone(plans)
	slices.SortStableFunc(plans, func(a, b planned) int { return -cmp.Compare(weight(a.plan), weight(b.plan)) })
	var b strings.Builder
	b.WriteString(planMarker + "\n**" + summary(plans) + "**\n")
	if from != nil {
		fmt.Fprintf(&b, "\nPlanned %s; no server was asked.\n", escape(from.label()))
	}
	left := 0
	for _, line := range dangers(plans) {
		if b.Len()+len(line) > maxComment/2 {
			left++
			continue
		}
		b.WriteString(line)
	}
	if left > 0 {
		fmt.Fprintf(&b, "- … and %d more\n", left)
	}
	cut := 0
	for _, p := range plans {
		if p.plan.Empty() {
			continue
		}
		section := section(p, verbose)
		room := maxComment - roomForNote - b.Len()
		if len(section) > room {
			cut++
			section = shorter(p, verbose, room)
		}
		b.WriteString(section)
	}
	if cut > 0 {
		fmt.Fprintf(&b, "\n*%s cut off: a comment may not be longer. `rsm plan` shows everything.*\n", is(cut, "cluster"))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// summary is the line that is read first.
func summary(plans []planned) string {
	changed, held, invalid, impact := 0, 0, 0, reconcile.ImpactNone
	for _, p := range plans {
		if len(p.plan.Steps) > 0 {
			changed++
		}
		held += len(p.plan.Held)
		invalid += len(p.plan.Invalid)
		impact = max(impact, p.plan.Impact())
	}
	text := fmt.Sprintf("rsm plan: %d of %s would change", changed, count(len(plans), "cluster"))
	if held > 0 {
		text += fmt.Sprintf(", %d held", held)
	}
	if invalid > 0 {
		text += fmt.Sprintf(", %d invalid", invalid)
	}
	if changed > 0 {
		text += ". Impact: " + impact.String()
	}
	return text + "."
}

func is(n int, noun string) string {
	if n == 1 {
		return "1 " + noun + " is"
	}
	return fmt.Sprintf("%d %ss are", n, noun)
}

// weight orders clusters: what is refused first, then by impact.
func weight(plan *reconcile.Plan) int {
	switch {
	case len(plan.Invalid) > 0:
		return 1000
	case len(plan.Held) > 0:
		return 100 + int(plan.Impact())
	case len(plan.Steps) > 0:
		return 1 + int(plan.Impact())
	}
	return 0
}

// dangers are list items for what is refused, what clients notice, and what the
// windows put off.
func dangers(plans []planned) []string {
	var lines []string
	item := func(p planned, sign, text string) {
		lines = append(lines, "- "+sign+" **"+p.cluster.Name+"** "+escape(text)+"\n")
	}
	for _, p := range plans {
		for _, bad := range p.plan.Invalid {
			item(p, "❌", "invalid: "+bad.Path+": "+bad.Message)
		}
		for _, h := range p.plan.Held {
			text := "held: " + h.Subject + ": " + h.Reason
			if h.Flag != "" {
				text += " (" + h.Flag + " releases it)"
			}
			item(p, "⛔", text)
		}
	}
	for _, p := range plans {
		for _, step := range p.plan.Steps {
			if impact := step.Action.Impact(); impact > reconcile.ImpactNone {
				item(p, "⚠️", fmt.Sprintf("%s: %s: %s", impact, step.Action.Subject(), step.Action))
			}
		}
		if p.closed != nil && len(p.plan.Steps) > 0 {
			item(p, "🕑", p.closed.line())
		}
	}
	if len(lines) > 0 {
		lines[0] = "\n" + lines[0]
	}
	return lines
}

// planText is a plan as rsm plan prints it.
func planText(p planned, verbose bool) string {
	var b bytes.Buffer
	reconcile.Printer{W: &b, Verbose: verbose}.Plan(p.plan)
	return b.String()
}

// section is a cluster, folded.
func section(p planned, verbose bool) string { return fold(p, planText(p, verbose)) }

func fold(p planned, text string) string {
	fence := "```"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	title := html.EscapeString(p.cluster.Name) + ": " + html.EscapeString(strings.TrimPrefix(reconcile.Summary(p.plan), "Plan: "))
	return "\n<details><summary>" + title + "</summary>\n\n" + fence + "text\n" + text + fence + "\n\n</details>\n"
}

// shorter is as much of a section as there is room for, in whole lines; "" when
// that is not worth it.
func shorter(p planned, verbose bool, room int) string {
	text := planText(p, verbose)
	room -= len(fold(p, text)) - len(text) + len("…\n")
	if room < 500 {
		return ""
	}
	end := strings.LastIndexByte(text[:min(room, len(text))], '\n')
	return fold(p, text[:end+1]+"…\n")
}

// escape keeps text from being Markdown, HTML, a mention or a reference.
func escape(text string) string {
	text = html.EscapeString(text)
	return strings.NewReplacer("\\", "\\\\", "*", "\\*", "_", "\\_", "`", "\\`", "[", "\\[", "]", "\\]", "|", "\\|", "~", "\\~",
		"@", "@\u200b", "#", "#\u200b", "\n", " ", "\r", " ").Replace(text)
}
