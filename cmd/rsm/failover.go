package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"rsm/reconcile"
	"rsm/reconcile/execute"
	"rsm/schema"
)

func failoverCommand(con *console) *cli.Command {
	return &cli.Command{
		Name:      "failover",
		Usage:     "hand the mastership of a cluster over, without losing a write",
		ArgsUsage: "CLUSTER [PATH]",
		Description: "Pauses writes until a replica has all of them, has Sentinel promote it, and makes the old master its\n" +
			"replica. Writes wait for some 200 ms; those that waited are refused with READONLY and were not\n" +
			"executed. Whatever goes wrong, the old master takes writes again. The spec does not say who leads:\n" +
			"the next failover may choose another. With --to it may take ten seconds until Sentinel knows, in\n" +
			"which nothing waits.\n\n" + exitCodeHelp,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "to", Usage: "the `NODE` that takes over; default: whom Sentinel prefers"},
			stateDirFlag(), lockTimeoutFlag(),
			&cli.BoolFlag{Name: "auto-approve", Usage: "do not ask"},
			&cli.DurationFlag{Name: "timeout", Value: 2 * time.Minute, Usage: "give up after this time"},
			&cli.BoolFlag{Name: "json", Usage: "print the report as JSON"},
			&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "show the exact commands of each step"},
		},
		Action: func(c *cli.Context) error {
			if c.NArg() < 1 || c.NArg() > 2 {
				return usage("failover needs the name of a CLUSTER, and the PATH of its spec unless that is here")
			}
			return failover(c, con)
		},
	}
}

func failover(c *cli.Context, con *console) error {
	d, cluster, err := openCluster(c, con)
	if err != nil {
		return err
	}
	lock, err := d.lock(c)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Release() }()
	state, err := d.observer.Observe(c.Context, cluster)
	if err != nil {
		return err
	}
	f := &failing{d: d, cluster: cluster, before: state, plan: planFailover(cluster, state, c.String("to"))}
	if !c.Bool("json") {
		d.printPlans([]planned{{cluster: cluster, state: state, plan: f.plan}}, c.Bool("verbose"))
	}
	if len(f.plan.Steps) > 0 && !c.Bool("auto-approve") {
		if err := approve(con, "failover", []planned{{cluster: cluster, state: state, plan: f.plan}}); err != nil {
			return err
		}
	}
	return f.run(c)
}

// openCluster reads the arguments: a cluster of the spec, and a node of the cluster.
func openCluster(c *cli.Context, con *console) (*deployment, *schema.Cluster, error) {
	name, path := c.Args().Get(0), "."
	if c.NArg() == 2 {
		path = c.Args().Get(1)
	}
	d, err := openDeployment(c, con, path)
	if err != nil {
		return nil, nil, err
	}
	cluster := d.spec.Cluster(name)
	if cluster == nil {
		return nil, nil, usage("there is no cluster %q in %s; it has %s", name, path, strings.Join(clusterNames(d.spec), ", "))
	}
	if to := c.String("to"); to != "" {
		if _, ok := cluster.Redis.Node(to); !ok {
			return nil, nil, usage("there is no redis-server %q in cluster %s; it has %s", to, name, strings.Join(nodeNames(cluster), ", "))
		}
	}
	d.clusters = []*schema.Cluster{cluster}
	return d, cluster, nil
}

func nodeNames(c *schema.Cluster) []string {
	names := make([]string, len(c.Redis.Nodes))
	for i, n := range c.Redis.Nodes {
		names[i] = n.Name
	}
	return names
}

func planFailover(c *schema.Cluster, s *reconcile.State, to string) *reconcile.Plan {
	wish := reconcile.Wish{To: to}
	if leader := s.Authority(); leader != nil {
		wish.From = leader.Name
	}
	return reconcile.NewHandover(c, s, wish)
}

// failing is one failover under way.
type failing struct {
	d       *deployment
	cluster *schema.Cluster
	before  *reconcile.State
	plan    *reconcile.Plan
	handed  *execute.Handed // nil until the new master leads
}

// failoverReport is what a failover did.
type failoverReport struct {
	From   string      `json:"from"`
	Master string      `json:"master"`
	Addr   schema.Addr `json:"address"`
	// StalledMS is how long writes waited, FullSyncs how many replicas had to copy
	// everything.
	StalledMS int64 `json:"stalled_ms"`
	FullSyncs int64 `json:"full_syncs"`
	Sentinels int   `json:"sentinels"` // that name the new master
}

// run does the plan, and then looks for itself.
func (f *failing) run(c *cli.Context) error {
	ctx, cancel := context.WithTimeoutCause(c.Context, c.Duration("timeout"), fmt.Errorf("not done within --timeout %s", c.Duration("timeout")))
	defer cancel()
	report := &reconcile.Report{Cluster: f.cluster.Name, Remaining: f.plan}
	if len(f.plan.Steps) > 0 {
		bar := newProgress(f.d.con, false, false)
		applier := f.d.applier(f.cluster, bar.event)
		applier.Executor = &execute.Executor{Auth: f.cluster.Auth, Host: f.d.host, Handed: func(h execute.Handed) { f.handed = &h }}
		report = applier.Apply(ctx, f.cluster, f.plan)
		bar.end()
	}
	done, err := f.confirm(context.WithoutCancel(ctx))
	if err != nil {
		return err
	}
	if c.Bool("json") {
		if err := writeJSON(f.d.con.out, struct {
			FormatVersion string              `json:"format_version"`
			Reports       []*reconcile.Report `json:"reports"`
			Failover      *failoverReport     `json:"failover,omitempty"`
		}{formatVersion, []*reconcile.Report{report}, done}); err != nil {
			return err
		}
	} else {
		f.print(f.d.con.out, report, done)
	}
	if context.Cause(c.Context) != nil {
		return context.Canceled
	}
	if code := reportCode(report); code != exitOK {
		return &exit{code: code}
	}
	return nil
}

// confirm looks at the cluster once more; nil means that nobody was promoted.
func (f *failing) confirm(ctx context.Context) (*failoverReport, error) {
	if f.handed == nil {
		return nil, nil
	}
	after, err := f.d.observer.Observe(ctx, f.cluster)
	if err != nil {
		return nil, err
	}
	r := &failoverReport{From: f.plan.Handover.From, Addr: f.handed.Leader, StalledMS: f.handed.Stalled.Milliseconds()}
	if leader := after.At(f.handed.Leader); leader != nil {
		r.Master = leader.Name
	}
	for name, node := range after.Redis {
		if was := f.before.Redis[name]; was.RunID == node.RunID {
			r.FullSyncs += node.FullSyncs - was.FullSyncs
		}
	}
	for _, s := range after.Sentinels {
		if s.Knows() && s.Master == r.Addr {
			r.Sentinels++
		}
	}
	return r, nil
}

// print says what came of it.
func (f *failing) print(w io.Writer, r *reconcile.Report, done *failoverReport) {
	if done != nil {
		fmt.Fprintf(w, "%s: %s %s leads, %d of %s name it. Writes waited for %d ms, %s.\n", r.Cluster, done.Master, done.Addr,
			done.Sentinels, count(len(f.cluster.Sentinel.Nodes), "Sentinel"), done.StalledMS, count(int(done.FullSyncs), "full sync"))
	}
	switch {
	case r.Err != nil:
		fmt.Fprintf(w, "%s: stopped: %v\n", r.Cluster, r.Err)
	case done == nil && r.Remaining != nil && len(r.Remaining.Held) > 0:
		fmt.Fprintf(w, "%s: nothing was done.\n", r.Cluster)
	case done == nil && f.plan.Handover.To != "":
		fmt.Fprintf(w, "%s: %s is the master already.\n", r.Cluster, f.plan.Handover.To)
	case done != nil && r.Converged():
		fmt.Fprintf(w, "%s: %s follows it and is in sync.\n", r.Cluster, done.From)
	}
}
