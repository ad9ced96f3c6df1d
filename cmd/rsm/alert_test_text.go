package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"rsm/runtime/worker/alert"
)

// printEventTests writes for people what alert test found.
func printEventTests(w io.Writer, tests []eventTest) {
	for i, t := range tests {
		if i > 0 {
			fmt.Fprintln(w)
		}
		from := ""
		if t.Host != "" {
			from = " from " + plain(t.Host)
		}
		fmt.Fprintf(w, "Event %d: %s%s\n", i+1, plain(t.Type), from)
		if len(t.Clusters) == 0 {
			fmt.Fprintln(w, "  The spec has no rules and no handlers.")
		}
		for _, c := range t.Clusters {
			if len(t.Clusters) > 1 {
				fmt.Fprintf(w, "  Cluster %s:\n", c.Cluster)
			}
			printClusterTest(w, c, t.Type)
		}
	}
}

func printClusterTest(w io.Writer, c clusterTest, kind string) {
	if len(c.Rules)+len(c.Handlers) == 0 {
		fmt.Fprintf(w, "  No rule and no handler looks at type %q; they look at: %s\n", kind, strings.Join(c.Others, ", "))
		return
	}
	for _, x := range c.Rules {
		printExplanation(w, x)
	}
	for _, h := range c.Handlers {
		switch {
		case h.Gets:
			fmt.Fprintf(w, "  handler %s gets the event itself\n", h.Handler)
		default:
			fmt.Fprintf(w, "  handler %s does not get the event\n", h.Handler)
		}
		if h.When != nil {
			printSaid(w, "when", *h.When)
		}
	}
}

// verdictTexts say what a rule makes of an event.
var verdictTexts = map[alert.State]string{
	alert.True:    "raises an alert",
	alert.Cleared: "raises nothing, and ends an alert that fires",
	alert.Held:    "raises nothing, and leaves an alert that fires",
	alert.Unknown: "cannot say, so that nothing changes",
}

func printExplanation(w io.Writer, x alert.Explanation) {
	fmt.Fprintf(w, "  rule %s %s\n", x.Rule, verdictTexts[x.State])
	printSaid(w, "expr", x.Expr)
	if x.Clear != nil && !x.Expr.Holds {
		printSaid(w, "clear", *x.Clear)
	}
	if x.Alert == nil {
		return
	}
	after := "at once"
	if x.For > 0 {
		after = "after " + spanText(x.For) + ", if it goes on for so long"
	}
	fmt.Fprintf(w, "      fires %s: %s, %s\n", after, x.Alert.Severity, labelsText(x.Alert.Labels))
	fmt.Fprintf(w, "      summary: %s\n", plain(x.Alert.Summary))
	if x.Alert.Description != "" {
		fmt.Fprintf(w, "      description: %s\n", plain(x.Alert.Description))
	}
	fmt.Fprintf(w, "      tells %s %s later\n", strings.Join(x.Receivers, ", "), spanText(x.Wait))
	for _, step := range x.Escalate {
		fmt.Fprintf(w, "      tells %s when it has fired for %v\n", strings.Join(step.Receivers, ", "), spanText(step.After))
	}
	if x.Muted != "" {
		fmt.Fprintf(w, "      but nobody now: %s\n", x.Muted)
	}
	if len(x.InhibitedBy) > 0 {
		fmt.Fprintf(w, "      but nobody while one of these fires: %s\n", plain(strings.Join(x.InhibitedBy, ", ")))
	}
}

// printSaid writes an expression, what it says and the fields that it reads.
func printSaid(w io.Writer, name string, said alert.Said) {
	says := fmt.Sprint(said.Holds)
	if said.Err != "" {
		says = "unknown: " + said.Err
	}
	fmt.Fprintf(w, "      %s: %s is %s\n", name, plain(said.Text), plain(says))
	for _, f := range said.Fields {
		value := "missing"
		if !f.Missing {
			content, err := json.Marshal(f.Value)
			if value = string(content); err != nil {
				value = err.Error()
			}
		}
		fmt.Fprintf(w, "        %s = %s\n", f.Path, cut(plain(value), 80))
	}
}

// spanText leaves out the zeros at the end of "30m0s".
func spanText(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

func labelsText(labels map[string]string) string {
	if len(labels) == 0 {
		return "no labels"
	}
	var words []string
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		words = append(words, name+"="+plain(labels[name]))
	}
	return strings.Join(words, " ")
}
