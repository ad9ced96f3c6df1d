// Package gitops measures rsm as a service that follows a git repository: how long
// a push takes until every server has the new value, what an idle service costs,
// and how long the plan of a large repository takes.
package gitops

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"rsm/bench/page"
)

type options struct {
	rsm, report      string
	pushes, clusters int
	idle             time.Duration
}

// The goals, as times and shares.
const (
	pushGoal = time.Second
	planGoal = 500 * time.Millisecond
)

// Run is the command "bench gitops".
func Run(ctx context.Context, args []string, out, progress io.Writer) error {
	var o options
	flags := flag.NewFlagSet("bench gitops", flag.ContinueOnError)
	flags.SetOutput(progress)
	flags.StringVar(&o.rsm, "rsm", "bin/rsm", "the rsm `binary`")
	flags.StringVar(&o.report, "report", "", "the Markdown `file` whose gitops section to rewrite; empty writes none")
	flags.IntVar(&o.pushes, "pushes", 20, "measured pushes")
	flags.IntVar(&o.clusters, "clusters", 200, "`number` of clusters in the large repository")
	flags.DurationVar(&o.idle, "idle", 30*time.Second, "how `long` an idle service is watched")
	if err := flags.Parse(args); err != nil {
		return err
	}
	var err error
	if o.rsm, err = filepath.Abs(o.rsm); err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "rsm-bench-")
	if err != nil {
		return fmt.Errorf("create work folder: %w", err)
	}
	defer os.RemoveAll(work)
	facts, err := page.Machine(ctx, "make bench-gitops", o.rsm)
	if err != nil {
		return err
	}
	rows, err := o.service(ctx, filepath.Join(work, "service"), progress)
	if err != nil {
		return fmt.Errorf("measure a service: %w", err)
	}
	large, err := o.large(ctx, filepath.Join(work, "large"), progress)
	if err != nil {
		return fmt.Errorf("measure a large repository: %w", err)
	}
	rows = append(rows, large...)
	header := []string{"what", "median", "slowest", "runs", "goal"}
	fmt.Fprint(out, page.Text(header, rows))
	if o.report == "" {
		return nil
	}
	return page.Rewrite(o.report, "gitops", page.Markdown(header, rows)+facts.Markdown())
}

// met says whether a goal was reached.
func met(got, goal time.Duration) string {
	if got <= goal {
		return fmt.Sprintf("≤ %s: met", goal)
	}
	return fmt.Sprintf("≤ %s: MISSED", goal)
}
