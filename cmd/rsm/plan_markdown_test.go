package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"rsm/reconcile"
	"rsm/schema"
)

// changing is a plan with n settings to change.
func changing(name string, n int) planned {
	plan := &reconcile.Plan{Cluster: name, Leader: "master r1 10.0.0.1:6379, epoch 1"}
	for i := range n {
		plan.Steps = append(plan.Steps, reconcile.Step{Phase: reconcile.PhaseConfig, Action: reconcile.ConfigSet{
			Node: "r1", Addr: "10.0.0.1:6379", Key: "maxmemory", Have: "1mb", Value: fmt.Sprintf("%dmb", i+2)}})
	}
	return planned{cluster: &schema.Cluster{Name: name}, plan: plan}
}

func markdown(t *testing.T, plans ...planned) string {
	t.Helper()
	var b strings.Builder
	if err := writePlansMarkdown(&b, plans, nil, false); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestPlanMarkdown: the marker and the summary first, then what is held and what
// clients notice, then the clusters, those with refusals first.
func TestPlanMarkdown(t *testing.T) {
	t.Parallel()
	held := changing("held", 0)
	held.plan.Held = []reconcile.Held{{Subject: "r2", Reason: "a <b> *c* @team #1 `x`", Flag: "--allow data-loss=r2"}}
	loud := changing("loud", 1)
	loud.plan.Steps[0].Action = reconcile.Replicate{Node: "r3", Addr: "10.0.0.3:6379", Master: "10.0.0.1:6379", Risk: reconcile.ImpactFullSync}
	next := time.Date(2026, 11, 28, 2, 0, 0, 0, time.UTC)
	loud.closed = &closed{Why: "it is outside of allow", Next: &next}
	text := markdown(t, changing("quiet", 0), changing("calm", 1), loud, held)
	want := []string{
		planMarker + "\n**rsm plan: 2 of 4 clusters would change, 1 held. Impact: ",
		"- ⛔ **held** held: r2: a &lt;b&gt; \\*c\\* @\u200bteam #\u200b1 \\`x\\` (--allow data-loss=r2 releases it)",
		"- ⚠️ **loud** full sync: r3: replicate from 10.0.0.1:6379",
		"- 🕑 **loud** Not now: it is outside of allow; open again at Sat 2026-11-28 02:00 UTC.",
		"<details><summary>held: ", "```text\ncluster held", "</details>", "<summary>loud: ", "<summary>calm: 0 to start, 1 to change",
	}
	rest := text
	for _, part := range want {
		_, after, found := strings.Cut(rest, part)
		if !found {
			t.Fatalf("%q is missing, or not in this order, in\n%s", part, text)
		}
		rest = after
	}
	if strings.Contains(text, "quiet") {
		t.Error("a cluster without changes is shown")
	}
}

// TestPlanMarkdownFits: whatever the plans are, the comment is not too long, its
// sections are whole, and it says what is missing.
func TestPlanMarkdownFits(t *testing.T) {
	t.Parallel()
	var many []planned
	for i := range 300 {
		p := changing(fmt.Sprintf("c%03d", i), 5)
		p.plan.Held = []reconcile.Held{{Subject: "r1", Reason: strings.Repeat("long ", 30)}}
		many = append(many, p)
	}
	for name, plans := range map[string][]planned{"one": {changing("big", 5000)}, "many": many, "a big one first": {changing("big", 1500), changing("small", 1)}} {
		text := markdown(t, plans...)
		if len(text) > maxComment || strings.Count(text, "<details>") != strings.Count(text, "</details>") || strings.Count(text, "```")%2 != 0 {
			t.Errorf("%s: %d bytes, %d of %d sections end", name, len(text), strings.Count(text, "</details>"), strings.Count(text, "<details>"))
		}
		if !strings.Contains(text, "a comment may not be longer") {
			t.Errorf("%s: no word of what is missing", name)
		}
		if len(text) < maxComment/2 {
			t.Errorf("%s: only %d bytes are used", name, len(text))
		}
	}
}

// TestPlanFence: text cannot end its own block.
func TestPlanFence(t *testing.T) {
	t.Parallel()
	p := changing("a", 1)
	p.plan.Leader = "```` <details>"
	if text := markdown(t, p); !strings.Contains(text, "`````text\n") {
		t.Error(text)
	}
}

// TestPlanGitHub: a plan cannot give the workflow commands.
func TestPlanGitHub(t *testing.T) {
	t.Parallel()
	p := changing("a", 1)
	p.plan.Leader = "x\n  ::set-output name=a::b\n##[command]x"
	p.plan.Held = []reconcile.Held{{Subject: "r1", Reason: "50%\n::error::x"}}
	var b strings.Builder
	if err := writePlansGitHub(&b, []planned{p}, nil, false); err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(b.String(), "\n") {
		if command, _, _ := strings.Cut(strings.TrimSpace(line), " "); strings.Contains(command, "set-output") || strings.Contains(line, "##[") || strings.HasPrefix(line, "::error") {
			t.Errorf("a workflow command: %s", line)
		}
	}
	if !strings.Contains(b.String(), "::warning title=rsm plan%3A a::held: r1: 50%25%0A::error::x\n") {
		t.Error(b.String())
	}
}
