package main

import (
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"rsm/reconcile"
)

func destroyCommand(con *console) *cli.Command {
	return &cli.Command{
		Name:      "destroy",
		Usage:     "stop what rsm started; the data stays unless --purge",
		ArgsUsage: "PATH",
		Flags: []cli.Flag{
			clusterFlag(), stateDirFlag(), lockTimeoutFlag(),
			&cli.BoolFlag{Name: "auto-approve", Usage: "do not ask for the cluster's name"},
			&cli.BoolFlag{Name: "purge", Usage: "remove configuration, data and logs, too"},
			parallelFlag(),
			&cli.DurationFlag{Name: "timeout", Value: 5 * time.Minute, Usage: "give up after this time"},
		},
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return usage("destroy needs the PATH of the spec, and nothing else")
			}
			return destroy(c, con)
		},
	}
}

func destroy(c *cli.Context, con *console) error {
	d, err := openDeployment(c, con, c.Args().First())
	if err != nil {
		return err
	}
	lock, err := d.lock(c)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Release() }()
	var plans []planned
	for _, o := range d.observeAll(c.Context) {
		if o.err != nil {
			return o.err
		}
		plans = append(plans, planned{cluster: o.cluster, state: o.state, plan: reconcile.NewDestroy(o.cluster, o.state)})
	}
	for _, p := range plans {
		if err := d.confirmDestroy(c, p); err != nil {
			return err
		}
	}
	if err := d.apply(c, withSteps(plans)); err != nil {
		return err
	}
	return d.tidy(c.Bool("purge"), plans)
}

// confirmDestroy shows what would stop and has the cluster's name typed.
func (d *deployment) confirmDestroy(c *cli.Context, p planned) error {
	if len(p.plan.Steps) == 0 && !c.Bool("purge") {
		return nil
	}
	reconcile.Printer{W: d.con.out, Paint: painter(d.con.out)}.Plan(p.plan)
	if c.Bool("purge") {
		fmt.Fprintf(d.con.out, "Its configuration, data and logs in %s are REMOVED.\n", d.host.Dir)
	}
	if c.Bool("auto-approve") {
		return nil
	}
	if !d.con.interactive() {
		return refused("destroy would stop %s and nobody can be asked: use --auto-approve", p.cluster.Name)
	}
	yes, err := d.con.confirm(fmt.Sprintf("\nType the cluster's name (%s) to go on: ", p.cluster.Name), p.cluster.Name)
	if err == nil && !yes {
		return refused("not confirmed; nothing was stopped")
	}
	return err
}

func (d *deployment) tidy(purge bool, plans []planned) error {
	for _, p := range plans {
		switch {
		case purge:
			if err := d.host.Purge(p.cluster.Name); err != nil {
				return err
			}
			fmt.Fprintf(d.con.out, "cluster %s: stopped, its data removed.\n", p.cluster.Name)
		case len(p.plan.Steps) == 0:
			fmt.Fprintf(d.con.out, "cluster %s: nothing that rsm started is running.\n", p.cluster.Name)
		default:
			fmt.Fprintf(d.con.out, "cluster %s: stopped; its data stays in %s (rsm apply starts it again, --purge removes it).\n",
				p.cluster.Name, d.host.Dir)
		}
	}
	return nil
}
