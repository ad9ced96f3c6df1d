package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"rsm/reconcile"
)

func applyCommand(con *console) *cli.Command {
	return &cli.Command{
		Name:      "apply",
		Usage:     "plan, ask, do, and report",
		ArgsUsage: "[PATH|PLANFILE]",
		Description: "Makes the plan for the spec in PATH (default: the current directory), asks on a terminal, and\n" +
			"performs it step by step, looking at the live state before each. A PLANFILE saved by plan --out\n" +
			"is an approval: nothing is asked, and it is refused when the deployment has moved.\n\n" + exitCodeHelp,
		Flags: []cli.Flag{
			clusterFlag(), stateDirFlag(), allowFlag(), lockTimeoutFlag(),
			&cli.BoolFlag{Name: "auto-approve", Usage: "do not ask"},
			ignoreWindowsFlag(),
			&cli.DurationFlag{Name: "timeout", Value: 15 * time.Minute, Usage: "give up after this time"},
			parallelFlag(),
			&cli.BoolFlag{Name: "json", Usage: "print the report as JSON"},
			&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "show the exact commands of each step"},
		},
		Action: func(c *cli.Context) error {
			path, err := onePath(c)
			if err != nil {
				return err
			}
			if isPlanFile(path) {
				return applySaved(c, con, path)
			}
			return applySpec(c, con, path)
		},
	}
}

func applySpec(c *cli.Context, con *console, path string) error {
	d, err := openDeployment(c, con, path)
	if err != nil {
		return err
	}
	lock, err := d.lock(c)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Release() }()
	plans, err := d.planAll(c.Context)
	if err != nil {
		return err
	}
	if !c.Bool("json") {
		d.printPlans(plans, c.Bool("verbose"))
	}
	asked := !c.Bool("auto-approve")
	d.keepWindows(c, plans, asked)
	if todo := withSteps(plans); len(todo) > 0 && asked {
		if err := approve(con, "apply", todo); err != nil {
			return err
		}
		// Nobody knows how long the answer took: every step is checked again
		// against the live state before it is done.
	}
	return d.apply(c, plans)
}

func approve(con *console, command string, plans []planned) error {
	if !con.interactive() {
		return refused("%s would change %s and nobody can be asked: use --auto-approve", command, count(len(plans), "cluster"))
	}
	yes, err := con.confirm("\nDo this? Only \"yes\" is accepted: ", "yes")
	if err == nil && !yes {
		return refused("not approved; nothing was done")
	}
	return err
}

func withSteps(plans []planned) []planned {
	var todo []planned
	for _, p := range plans {
		if len(p.plan.Steps) > 0 {
			todo = append(todo, p)
		}
	}
	return todo
}

// applySaved performs a saved plan, if the deployment is still what it was.
func applySaved(c *cli.Context, con *console, path string) error {
	file, err := readPlan(path)
	if err != nil {
		return err
	}
	for _, flag := range []string{"allow", "cluster"} {
		if c.IsSet(flag) {
			return usage("--%s cannot change a saved plan: give it to rsm plan", flag)
		}
	}
	if dir, err := stateDir(c.String("state-dir")); err != nil || c.IsSet("state-dir") && dir != file.StateDir {
		return refused("the plan was made for the state directory %s", file.StateDir)
	}
	allow, err := reconcile.ParseAllow(file.Allow)
	if err != nil {
		return err
	}
	d := newDeployment(con, file.StateDir, allow)
	d.spec, d.clusters = file.Spec, file.Spec.Clusters
	lock, err := d.lock(c)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Release() }()
	if err := file.unused(); err != nil {
		return err
	}
	plans, err := d.freshPlans(c.Context, file)
	if err != nil {
		return err
	}
	if d.keepWindows(c, plans, false) > 0 {
		return plans[slices.IndexFunc(plans, func(p planned) bool { return p.refused != nil })].refused
	}
	if err := file.use(); err != nil {
		return err
	}
	if !c.Bool("json") {
		d.printPlans(plans, c.Bool("verbose"))
	}
	return d.apply(c, plans)
}

// freshPlans pairs the saved plans with what is seen now; the plan is stale when
// the live fingerprint of any cluster moved.
func (d *deployment) freshPlans(ctx context.Context, file *planFile) ([]planned, error) {
	var plans []planned
	now := time.Now()
	for i, o := range d.observeAll(ctx) {
		if o.err != nil {
			return nil, o.err
		}
		if reconcile.Fingerprint(o.state) != file.Plans[i].Fingerprint {
			return nil, refused("the plan is stale: cluster %s changed since it was made; run rsm plan again", o.cluster.Name)
		}
		plans = append(plans, planned{cluster: o.cluster, state: o.state, plan: file.Plans[i], closed: closedAt(o.cluster, now)})
	}
	return plans, nil
}

// apply performs the plans, by default one cluster after the other, and reports.
// One cluster's failure does not keep the others from being tried.
func (d *deployment) apply(c *cli.Context, plans []planned) error {
	ctx, cancel := context.WithTimeoutCause(c.Context, c.Duration("timeout"), fmt.Errorf("not done within --timeout %s", c.Duration("timeout")))
	defer cancel()
	keepSecrets(plans)
	bar := newProgress(d.con, len(plans) > 1, false)
	reports := make([]*reconcile.Report, len(plans))
	var mu sync.Mutex
	parallel(len(plans), max(1, c.Int("parallel")), func(i int) {
		p := plans[i]
		reports[i] = &reconcile.Report{Cluster: p.cluster.Name, Remaining: p.plan}
		if len(p.plan.Steps) == 0 || ctx.Err() != nil {
			return
		}
		if p.refused != nil {
			reports[i].Err, reports[i].Error = p.refused, p.refused.Error()
		} else {
			reports[i] = d.applier(p.cluster, bar.event).Apply(ctx, p.cluster, p.plan)
			bar.end()
		}
		if !c.Bool("json") {
			mu.Lock()
			defer mu.Unlock()
			printReport(d.con.out, reports[i])
		}
	})
	return d.ended(c, reports)
}

// ended finds the exit code of many clusters' reports, and writes them as JSON
// when asked to.
func (d *deployment) ended(c *cli.Context, reports []*reconcile.Report) error {
	if c.Bool("json") {
		if err := writeReportsJSON(d.con.out, reports); err != nil {
			return err
		}
	}
	if context.Cause(c.Context) != nil {
		return context.Canceled
	}
	code := exitOK
	for _, report := range reports {
		code = worst(code, reportCode(report))
	}
	if code != exitOK {
		return &exit{code: code}
	}
	return nil
}

// reportCode is the exit code of one cluster's apply.
func reportCode(r *reconcile.Report) int {
	done := r.Count("done") > 0
	var coded *exit
	switch {
	case errors.As(r.Err, &coded):
		return coded.code
	case errors.Is(r.Err, reconcile.ErrStale):
		return exitRefused
	case r.Err != nil && done:
		return exitPartial
	case r.Err != nil:
		return exitError
	case r.Remaining != nil && len(r.Remaining.Steps) > 0:
		return exitPartial
	case r.Remaining == nil || len(r.Remaining.Held) > 0:
		return exitRefused
	case len(r.Remaining.Invalid) > 0:
		return exitInvalid
	}
	return exitOK
}

// printReport says what was done and what remains.
func printReport(w io.Writer, r *reconcile.Report) {
	fmt.Fprintf(w, "%s: %d done, %d skipped, %d failed, %d not started in %s.", r.Cluster,
		r.Count("done"), r.Count("skipped"), r.Count("failed"), r.Count("not started"), round(r.Duration))
	switch {
	case r.Err != nil:
		fmt.Fprintf(w, "\n  stopped: %v\n", r.Err)
	case r.Remaining != nil && r.Remaining.Destroy:
		fmt.Fprintln(w)
	case r.Converged():
		fmt.Fprintln(w, " The deployment is what the spec says.")
	default:
		fmt.Fprintln(w)
	}
	if r.Remaining != nil && !r.Remaining.Empty() && !r.Remaining.Destroy {
		printRest(w, r.Remaining)
	}
}

func printRest(w io.Writer, plan *reconcile.Plan) {
	for _, h := range plan.Held {
		fmt.Fprintf(w, "  held %s: %s", h.Subject, h.Reason)
		if h.Flag != "" {
			fmt.Fprintf(w, " (%s)", h.Flag)
		}
		fmt.Fprintln(w)
	}
	if n := len(plan.Steps); n > 0 {
		fmt.Fprintf(w, "  still to do: %s; run rsm plan\n", count(n, "step"))
	}
}

func writeReportsJSON(w io.Writer, reports []*reconcile.Report) error {
	return writeJSON(w, struct {
		FormatVersion string              `json:"format_version"`
		Reports       []*reconcile.Report `json:"reports"`
	}{formatVersion, reports})
}
