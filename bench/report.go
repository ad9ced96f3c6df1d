package main

import (
	"fmt"
	"strings"
	"time"

	"rsm/bench/page"
)

// row is one line of the report.
type row struct{ cells [9]string }

var header = row{[9]string{"what", "clusters", "runs", "median", "min", "max", "CPU", "peak memory", "target"}}

// The targets.
const (
	fasterThanAnsible = 30
	fleetMemory       = 200 << 20
)

// timeTarget is how long a command of rsm may take on so many clusters; 0 is no target.
func timeTarget(r result) time.Duration {
	switch {
	case r.What == ansibleCheck:
		return 0
	case r.Fake && r.Clusters <= 1000:
		return 3 * time.Second
	case !r.Fake && r.Clusters == 1:
		return 60 * time.Millisecond
	case !r.Fake && r.Clusters == 50:
		return 400 * time.Millisecond
	}
	return 0
}

// judge turns results into lines, each with its target and whether it was met.
// The median decides.
func judge(results []result) []row {
	var rows []row
	for _, r := range results {
		clusters := fmt.Sprintf("%d real", r.Clusters)
		if r.Fake {
			clusters = fmt.Sprintf("%d fake", r.Clusters)
		}
		rows = append(rows, row{[9]string{r.What, clusters, fmt.Sprint(len(r.Times)), short(r.median()), short(r.min()),
			short(r.max()), short(r.CPU), mib(r.PeakRSS), verdict(r, results)}})
	}
	return rows
}

func verdict(r result, all []result) string {
	if r.What == ansibleCheck {
		return ratio(r, all)
	}
	var parts []string
	if most := timeTarget(r); most > 0 {
		parts = append(parts, "≤ "+short(most)+": "+met(r.median() <= most))
	}
	if r.Fake {
		parts = append(parts, "≤ "+mib(fleetMemory)+": "+met(r.PeakRSS <= fleetMemory))
	}
	return strings.Join(parts, ", ")
}

// ratio compares with rsm plan on the same cluster.
func ratio(peer result, all []result) string {
	for _, r := range all {
		if r.What == rsmPlan && !r.Fake && r.Clusters == peer.Clusters {
			times := float64(peer.median()) / float64(r.median())
			return fmt.Sprintf("rsm ≥ %d times faster: %s (%.0f times)", fasterThanAnsible, met(times >= fasterThanAnsible), times)
		}
	}
	return ""
}

func met(ok bool) string {
	if ok {
		return "met"
	}
	return "MISSED"
}

// short rounds to what a run can be repeated to.
func short(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%d ms", d.Round(time.Millisecond).Milliseconds())
	}
	return strings.TrimSuffix(fmt.Sprintf("%.2f", d.Seconds()), ".00") + " s"
}

func mib(bytes int64) string { return fmt.Sprintf("%d MiB", (bytes+1<<19)>>20) }

// table is for a terminal.
func table(rows []row) string { return page.Text(header.cells[:], cells(rows)) }

// rewrite replaces the report in the file.
func rewrite(path string, facts page.Facts, rows []row) error {
	return page.Rewrite(path, "bench", page.Markdown(header.cells[:], cells(rows))+facts.Markdown())
}

func cells(rows []row) [][]string {
	all := make([][]string, len(rows))
	for i := range rows {
		all[i] = rows[i].cells[:]
	}
	return all
}
