package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"rsm/reconcile"
	"rsm/reconcile/source"
	"rsm/schema"
)

// minInterval is the shortest time between two looks.
const minInterval = 100 * time.Millisecond

func reconcileCommand(con *console) *cli.Command {
	return &cli.Command{
		Name:      "reconcile",
		Usage:     "plan and apply until there is no drift, without asking",
		ArgsUsage: "[PATH]",
		Description: "Once: ends when the deployment is what the spec says, or when only held drift is left.\n" +
			"With --watch: reads the spec and looks at the deployment again and again, and heals what differs.\n" +
			"SIGHUP makes it look at once; SIGINT or SIGTERM ends it cleanly; the servers keep running.\n\n" +
			"With --git the spec is that of a branch. With --watch, too, a push is the deployment, --webhook makes\n" +
			"that a matter of moments, and rsm history tells what was done; rsm serve does the same from a file.\n\n" + exitCodeHelp,
		Flags: append([]cli.Flag{
			clusterFlag(), stateDirFlag(), allowFlag(), lockTimeoutFlag(),
			&cli.BoolFlag{Name: "watch", Usage: "go on for ever"},
			&cli.DurationFlag{Name: "interval", Value: 10 * time.Second, Usage: "time between two looks, with --watch"},
			&cli.DurationFlag{Name: "timeout", Value: 15 * time.Minute, Usage: "give up after this time, without --watch"},
			&cli.BoolFlag{Name: "json", Usage: "print the report as JSON, without --watch"},
			&cli.StringFlag{Name: "webhook", Usage: "listen at `ADDRESS` for webhooks, and for who watches the service, with --git and --watch"},
			&cli.StringFlag{Name: "webhook-secret-file", Usage: "`FILE` with the secret of the webhook; or the variable " + envHookSecret},
		}, gitFlags()...),
		Action: func(c *cli.Context) error { return runReconcile(c, con) },
	}
}

func runReconcile(c *cli.Context, con *console) error {
	if c.Bool("watch") {
		if err := onceOnly(c); err != nil {
			return err
		}
	}
	if c.String("git") != "" {
		return reconcileGit(c, con)
	}
	path, err := onePath(c)
	if err != nil {
		return err
	}
	if c.Bool("watch") {
		return watch(c, con, path)
	}
	d, err := openDeployment(c, con, path)
	if err != nil {
		return err
	}
	return d.reconcileOnce(c)
}

// onceOnly refuses to release for ever what a person must decide each time, and to
// look without a pause.
func onceOnly(c *cli.Context) error {
	if c.Duration("interval") < minInterval {
		return usage("--interval %s is too short: at least %s", c.Duration("interval"), minInterval)
	}
	allow, err := reconcile.ParseAllow(c.StringSlice("allow"))
	if err != nil {
		return usage("%v", err)
	}
	for _, kind := range []string{reconcile.AllowPromote, reconcile.AllowDataLoss} {
		if len(allow[kind]) > 0 {
			return usage("--allow %s is for one apply or reconcile, not for --watch or serve", kind)
		}
	}
	return nil
}

func (d *deployment) reconcileOnce(c *cli.Context) error {
	lock, err := d.lock(c)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Release() }()
	ctx, cancel := context.WithTimeoutCause(c.Context, c.Duration("timeout"), fmt.Errorf("not done within --timeout %s", c.Duration("timeout")))
	defer cancel()
	bar := newProgress(d.con, len(d.clusters) > 1, false)
	reports := make([]*reconcile.Report, len(d.clusters))
	var wg sync.WaitGroup
	for i, cluster := range d.clusters {
		wg.Go(func() { reports[i] = d.converge(ctx, cluster, bar.event) })
	}
	wg.Wait()
	bar.end()
	for _, report := range reports {
		if report.Remaining != nil {
			d.tellInvalid(report.Remaining)
		}
		if !c.Bool("json") {
			printReport(d.con.out, report)
		}
	}
	return d.ended(c, reports)
}

// converge is Converge with everything that went wrong in the report.
func (d *deployment) converge(ctx context.Context, c *schema.Cluster, notify func(reconcile.Event)) *reconcile.Report {
	report, err := d.applier(c, notify).Converge(ctx, c)
	if err != nil {
		report.Err = &exit{exitCode(err), err}
		report.Error = err.Error()
	}
	return report
}

// watcher is the self-healing loop.
type watcher struct {
	c     *cli.Context
	con   *console
	path  string
	bar   *progress
	last  *deployment // of the last spec that was valid
	stamp string      // of the spec that was read last, valid or not

	mu   sync.Mutex
	said map[string]string // by cluster: what was said last, so that it is said once
}

func watch(c *cli.Context, con *console, path string) error {
	stamp, err := source.Stamp(path)
	if err != nil {
		return err
	}
	w := &watcher{stamp: stamp, c: c, con: con, path: path, bar: newProgress(con, true, true), said: map[string]string{}}
	d, err := openDeployment(c, con, path) // a bad spec at the start is an error, later ones are not
	if err != nil {
		return err
	}
	w.last = d
	w.bar.say("", "watching %s, every %s", count(len(d.clusters), "cluster"), c.Duration("interval"))
	loop := reconcile.NewLoop(c.Duration("interval"), w.pass)
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	go func() {
		for range hangups {
			loop.Ask()
		}
	}()
	err = loop.Run(c.Context)
	w.bar.end()
	w.bar.say("", "stopped; the servers keep running")
	return err
}

// pass is one look. Clusters are looked at side by side, so that one that hangs
// or waits for a failover does not hold up the others.
func (w *watcher) pass(ctx context.Context) {
	w.reload(ctx)
	lock, err := w.last.lock(w.c)
	if err != nil {
		w.once("", err.Error())
		return
	}
	defer func() { _ = lock.Release() }()
	var wg sync.WaitGroup
	for _, cluster := range w.last.clusters {
		wg.Go(func() { w.cluster(ctx, w.last, cluster) })
	}
	wg.Wait()
}

// reload reads the spec again when it was written to. While it is invalid or
// gone, the last valid one stays in force and is healed to.
func (w *watcher) reload(ctx context.Context) {
	stamp, err := source.Stamp(w.path)
	if err != nil {
		w.once("", err.Error()+"; the last valid spec stays in force")
		return
	}
	if stamp == w.stamp {
		return
	}
	w.stamp = stamp
	d, err := openDeployment(w.c, w.con, w.path)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		w.once("", "the spec is invalid; the last valid one stays in force")
	default:
		d.observer, d.host = w.last.observer, w.last.host
		w.last = d
		w.once("", "spec read again: "+count(len(d.clusters), "cluster"))
	}
}

func (w *watcher) cluster(ctx context.Context, d *deployment, cluster *schema.Cluster) {
	report, err := d.applier(cluster, w.bar.event).Pass(ctx, cluster)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		w.once(cluster.Name, err.Error())
	case report.Err != nil:
		w.once(cluster.Name, "stopped: "+report.Err.Error())
	case report.Remaining == nil:
	case report.Remaining.Empty():
		w.once(cluster.Name, fmt.Sprintf("in sync, %s", report.Remaining.Leader))
	default:
		w.once(cluster.Name, remainder(report.Remaining))
	}
}

func remainder(plan *reconcile.Plan) string {
	text := ""
	for _, bad := range plan.Invalid {
		text += bad.Path + ": " + bad.Message + "; "
	}
	for _, h := range plan.Held {
		text += "held " + h.Subject + ": " + h.Reason + "; "
	}
	if len(plan.Steps) > 0 {
		text += count(len(plan.Steps), "step") + " still to do; "
	}
	return text[:len(text)-2]
}

// once says something about a cluster when it differs from what was said last.
func (w *watcher) once(cluster, text string) {
	w.mu.Lock()
	said := w.said[cluster] == text
	w.said[cluster] = text
	w.mu.Unlock()
	if !said && text != "" {
		w.bar.say(cluster, "%s", text)
	}
}
