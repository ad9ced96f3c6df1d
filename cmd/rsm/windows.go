package main

import (
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"rsm/reconcile/window"
	"rsm/schema"
)

func ignoreWindowsFlag() cli.Flag {
	return &cli.BoolFlag{Name: "ignore-windows", Usage: "apply outside of the maintenance windows, too"}
}

// closed tells that a cluster's maintenance windows keep it from being changed
// unasked now.
type closed struct {
	Why string `json:"why"`
	// Next is when they let it be changed, nil when that is more than a year away.
	Next *time.Time `json:"next,omitempty"`
}

// closedAt looks at the windows of a cluster; nil when they let it be changed.
func closedAt(c *schema.Cluster, now time.Time) *closed {
	open, next, why := window.Open(c.Maintenance, now)
	switch {
	case open:
		return nil
	case next.IsZero():
		return &closed{Why: why}
	}
	next = next.UTC()
	return &closed{Why: why, Next: &next}
}

// String says it in one line.
func (c *closed) String() string {
	if c.Next == nil {
		return c.Why + "; no time is open within a year"
	}
	return c.Why + "; open again at " + c.Next.Format("Mon 2006-01-02 15:04 MST")
}

// line is what a plan says of it.
func (c *closed) line() string {
	return "Not now: " + c.String() + "."
}

// keepWindows looks at those that would be changed outside of their windows: a
// person who is asked is warned; nobody else may, unless the windows are ignored.
// It marks the plans that are not done.
func (d *deployment) keepWindows(c *cli.Context, plans []planned, asked bool) (kept int) {
	for i, p := range plans {
		if p.closed == nil || len(p.plan.Steps) == 0 {
			continue
		}
		if asked || c.Bool("ignore-windows") {
			fmt.Fprintf(d.con.err, "warning: cluster %s is outside of its maintenance windows: %s\n", p.cluster.Name, p.closed)
			continue
		}
		kept++
		plans[i].refused = refused("cluster %s is outside of its maintenance windows: %s (or use --ignore-windows)", p.cluster.Name, p.closed)
	}
	return kept
}
