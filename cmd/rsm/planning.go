package main

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"rsm/reconcile"
	"rsm/schema"
)

// planned is the plan of one cluster.
type planned struct {
	cluster *schema.Cluster
	state   *reconcile.State
	plan    *reconcile.Plan
	// closed is set while the cluster's windows keep it from being changed unasked.
	closed *closed
	// refused is why apply does not do the plan.
	refused error
}

// planAll observes and plans every cluster. An unreadable password or a directive
// that a server refuses makes the spec invalid; nothing is done then.
func (d *deployment) planAll(ctx context.Context) ([]planned, error) {
	var plans []planned
	now := time.Now()
	for _, o := range d.observeAll(ctx) {
		if o.err != nil {
			return nil, o.err
		}
		plans = append(plans, planned{cluster: o.cluster, state: o.state, closed: closedAt(o.cluster, now)})
	}
	return plans, d.decide(plans)
}

// decide makes the plans for what was observed.
func (d *deployment) decide(plans []planned) error {
	invalid := 0
	parallel(len(plans), runtime.GOMAXPROCS(0), func(i int) { plans[i].plan = reconcile.NewPlan(plans[i].cluster, plans[i].state, d.allow) })
	for _, p := range plans {
		invalid += d.tellInvalid(p.plan)
	}
	if invalid > 0 {
		return &exit{exitInvalid, fmt.Errorf("redis refuses %s; nothing was touched", count(invalid, "setting"))}
	}
	return nil
}

// tellOrphans names clusters that rsm started here and that the spec no longer
// declares. They are reported, never stopped unasked.
func (d *deployment) tellOrphans() {
	for _, name := range d.host.Clusters() {
		running := slices.ContainsFunc(d.host.Roles(name), func(r reconcile.SurplusRole) bool { return r.Running })
		if running && d.spec.Cluster(name) == nil {
			fmt.Fprintf(d.con.err, "warning: cluster %s runs, started from %s, and is not in this spec; it is left alone\n", name, d.host.Dir)
		}
	}
}

// tellInvalid prints each refused directive once, where it was written.
func (d *deployment) tellInvalid(plan *reconcile.Plan) int {
	seen := map[string]bool{}
	for _, bad := range plan.Invalid {
		line := fmt.Sprintf("%s: %s", d.locate(bad), bad.Message)
		if !seen[line] {
			fmt.Fprintln(d.con.err, line)
		}
		seen[line] = true
	}
	return len(seen)
}

// printPlans writes plans for people. Clusters without changes are one line
// together when there are many.
func (d *deployment) printPlans(plans []planned, verbose bool) {
	printer := reconcile.Printer{W: d.con.out, Paint: painter(d.con.out), Verbose: verbose}
	quiet := 0
	for _, p := range plans {
		if p.plan.Empty() && len(plans) > 1 {
			quiet++
			continue
		}
		printer.Plan(p.plan)
		if p.closed != nil && len(p.plan.Steps) > 0 {
			fmt.Fprintln(d.con.out, p.closed.line())
		}
	}
	if quiet > 0 {
		fmt.Fprintf(d.con.out, "%d of %d clusters need no changes.\n", quiet, len(plans))
	}
}

// parallel runs f for 0 … n-1, at most limit of them at a time.
func parallel(n, limit int, f func(int)) {
	var wg sync.WaitGroup
	next := make(chan int)
	for range min(n, limit) {
		wg.Go(func() {
			for i := range next {
				f(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}
