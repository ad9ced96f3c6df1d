package main

import (
	"fmt"
	"io"
	"strings"

	"rsm/reconcile"
)

// workflowData and workflowProperty escape what stands in a workflow command.
var (
	workflowData     = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	workflowProperty = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

// writePlansGitHub writes the plans into the log of a GitHub workflow, folded,
// and annotations for what is refused and what clients notice.
func writePlansGitHub(w io.Writer, plans []planned, from *stateFile, verbose bool) error {
	var b strings.Builder
	say := func(level, title, text string) {
		fmt.Fprintf(&b, "::%s title=%s::%s\n", level, workflowProperty.Replace("rsm plan: "+title), workflowData.Replace(text))
	}
	text := summary(plans)
	if from != nil {
		text += " Planned " + from.label() + "."
	}
	say("notice", "summary", text)
	for _, p := range plans {
		name := p.cluster.Name
		for _, bad := range p.plan.Invalid {
			say("error", name, "invalid: "+bad.Path+": "+bad.Message)
		}
		for _, h := range p.plan.Held {
			say("warning", name, "held: "+h.Subject+": "+h.Reason)
		}
		for _, step := range p.plan.Steps {
			if impact := step.Action.Impact(); impact > reconcile.ImpactNone {
				say("warning", name, fmt.Sprintf("%s: %s: %s", impact, step.Action.Subject(), step.Action))
			}
		}
		if p.closed != nil && len(p.plan.Steps) > 0 {
			say("notice", name, p.closed.line())
		}
		if !p.plan.Empty() {
			fmt.Fprintf(&b, "::group::%s\n%s::endgroup::\n", workflowData.Replace(name+": "+reconcile.Summary(p.plan)), inert(planText(p, verbose)))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// inert keeps the lines of a plan from being workflow commands.
func inert(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(strings.TrimSpace(line), "::") || strings.Contains(line, "##[") {
			lines[i] = "| " + strings.ReplaceAll(line, "##[", "## [")
		}
	}
	return strings.Join(lines, "\n")
}
