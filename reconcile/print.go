package reconcile

import (
	"fmt"
	"io"
	"strings"
)

// Style says what a piece of text is, for colouring.
type Style int

// The styles of a printed plan.
const (
	StylePlain Style = iota
	StyleAdd
	StyleChange
	StyleRemove
	StyleWait
	StyleHeld
	StyleDim
	StyleBold
)

// Printer writes plans as text for people.
type Printer struct {
	W io.Writer
	// Paint colours a piece of text; nil leaves it plain.
	Paint func(Style, string) string
	// Verbose shows the exact commands of each step.
	Verbose bool
}

// Plan writes the plan: what is held or invalid first, then the steps in order,
// each with its symbol, its impact and the drift that causes it, a summary last.
func (p Printer) Plan(plan *Plan) {
	p.line("%s", p.paint(StyleBold, "cluster "+plan.Cluster)+p.paint(StyleDim, "  "+plan.Leader))
	for _, bad := range plan.Invalid {
		p.line("  %s %s", p.paint(StyleHeld, "! invalid"), bad.Path)
		p.line("      %s", bad.Message)
	}
	p.held(plan.Held)
	phase := Phase("")
	for _, step := range plan.Steps {
		if step.Phase != phase {
			phase = step.Phase
			p.line("  %s", p.paint(StyleDim, string(phase)+":"))
		}
		p.step(step)
	}
	p.line("%s", p.paint(StyleBold, Summary(plan)))
}

func (p Printer) held(list []Held) {
	for _, h := range list {
		word := "! held"
		if h.Wait {
			word = "! waiting"
		}
		p.line("  %s %s: %s", p.paint(StyleHeld, word), h.Subject, h.Reason)
		p.causes(h.Causes)
		if h.Flag != "" {
			p.line("      release it with %s", p.paint(StyleBold, h.Flag))
		}
	}
}

func (p Printer) step(step Step) {
	symbol, style := Symbol(step.Action)
	if step.Action.Impact() > ImpactNone {
		style = StyleRemove
	}
	impact := p.paint(StyleDim, "  [impact: "+step.Action.Impact().String()+"]")
	if symbol == "." {
		impact = "" // waiting has none
	}
	p.line("  %s %s: %s%s", p.paint(style, symbol), step.Action.Subject(), step.Action, impact)
	p.causes(step.Causes)
	if p.Verbose {
		for _, text := range exact(step.Action) {
			p.line("      %s", p.paint(StyleDim, text))
		}
	}
}

// exact tells what an action does to the letter: the commands that it sends, or
// what it does on this machine, paths being relative to the state directory.
func exact(action Action) []string {
	var lines []string
	for _, command := range action.Commands() {
		lines = append(lines, command.String())
	}
	if local, ok := action.(interface{ onHost() []string }); ok {
		lines = append(lines, local.onHost()...)
	}
	return lines
}

func (p Printer) causes(drifts []Drift) {
	for _, drift := range drifts {
		p.line("      %s", p.paint(StyleDim, "because "+drift.String()))
	}
}

func (p Printer) line(format string, args ...any) { fmt.Fprintf(p.W, format+"\n", args...) }

func (p Printer) paint(style Style, text string) string {
	if p.Paint == nil {
		return text
	}
	return p.Paint(style, text)
}

// Symbol is the sign in front of an action: + starts, ~ changes, - removes,
// . waits.
func Symbol(action Action) (string, Style) {
	switch action.(type) {
	case StartRole:
		return "+", StyleAdd
	case StopRole:
		return "-", StyleRemove
	case WaitSync, WaitFailover, WaitGossip, WaitKnown:
		return ".", StyleWait
	}
	return "~", StyleChange
}

// Summary is the last line of a plan, the one that is read first.
func Summary(plan *Plan) string {
	if plan.Destroy {
		return fmt.Sprintf("Plan: %d to stop.", len(plan.Steps))
	}
	if plan.Empty() {
		return "Plan: no changes. The deployment is what the spec says."
	}
	count := map[string]int{}
	for _, step := range plan.Steps {
		symbol, _ := Symbol(step.Action)
		count[symbol]++
	}
	parts := []string{fmt.Sprintf("%d to start, %d to change, %d to stop", count["+"], count["~"], count["-"])}
	if count["."] > 0 {
		parts = append(parts, fmt.Sprintf("%d to wait for", count["."]))
	}
	if len(plan.Held) > 0 {
		parts = append(parts, fmt.Sprintf("%d held", len(plan.Held)))
	}
	if len(plan.Invalid) > 0 {
		parts = append(parts, fmt.Sprintf("%d invalid", len(plan.Invalid)))
	}
	return "Plan: " + strings.Join(parts, ", ") + ". Impact: " + plan.Impact().String() + "."
}
