package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rsm/bench/page"
)

func made(what string, clusters int, fake bool, median time.Duration, rss int64) result {
	return result{What: what, Clusters: clusters, Fake: fake, PeakRSS: rss, Times: []time.Duration{median / 2, median, 2 * median}}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	results := []result{
		made(rsmPlan, 1, false, 60*ms, 1<<20), made(rsmApply, 1, false, 61*ms, 1<<20),
		made(ansibleCheck, 1, false, 1700*ms, 1<<20), made(rsmPlan, 10, false, time.Hour, 1<<20),
		made(rsmPlan, 50, false, 400*ms, 1<<20), made(rsmPlan, 1000, true, 3*time.Second, 200<<20),
		made(rsmApply, 1000, true, 3001*ms, 201<<20),
	}
	want := []string{
		"≤ 60 ms: met", "≤ 60 ms: MISSED", "rsm ≥ 30 times faster: MISSED (28 times)", "",
		"≤ 400 ms: met", "≤ 3 s: met, ≤ 200 MiB: met", "≤ 3 s: MISSED, ≤ 200 MiB: MISSED",
	}
	for i, r := range judge(results) {
		if got := r.cells[len(r.cells)-1]; got != want[i] {
			t.Errorf("%v: %q, want %q", r.cells, got, want[i])
		}
	}
	if got := judge(results)[2].cells[3:6]; strings.Join(got, " ") != "1.70 s 850 ms 3.40 s" {
		t.Errorf("times are %q", got)
	}
}

func TestRewrite(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "benchmarks.md")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rows := judge([]result{made(rsmPlan, 1, false, time.Millisecond, 1<<20)})
	const end = "<!-- bench:end -->\n"
	write("# Kept\n<!-- bench:begin -->\nold\n" + end + "kept, too\n")
	for range 2 { // the second time replaces what the first has written
		if err := rewrite(path, page.Facts{{Name: "Date", Value: "today"}}, rows); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got := string(text)
	if !strings.HasPrefix(got, "# Kept\n") || !strings.HasSuffix(got, end+"kept, too\n") || strings.Contains(got, "old") ||
		strings.Count(got, "| rsm plan | 1 real | 3 | 1 ms |") != 1 || strings.Count(got, "- Date: today\n") != 1 {
		t.Errorf("file is\n%s", got)
	}
	write("# No markers\n")
	if err := rewrite(path, nil, rows); err == nil {
		t.Error("a file without markers was rewritten")
	}
}

func TestMeasure(t *testing.T) {
	t.Parallel()
	count := filepath.Join(t.TempDir(), "count")
	r, err := measure(t.Context(), "x", 3, []string{"sh", "-c", "echo >>" + count})
	if err != nil {
		t.Fatal(err)
	}
	lines, err := os.ReadFile(count)
	if err != nil || len(lines) != 4 || len(r.Times) != 3 || r.min() > r.median() || r.median() > r.max() || r.PeakRSS <= 0 {
		t.Errorf("ran %d times (%v), measured %+v, want a warm-up and 3", len(lines), err, r)
	}
	if _, err := measure(context.Background(), "x", 1, []string{"sh", "-c", "echo why; exit 2"}); err == nil || !strings.Contains(err.Error(), "why") {
		t.Errorf("error is %v, want the output in it", err)
	}
}
