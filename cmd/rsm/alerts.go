package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"rsm/reconcile"
	"rsm/runtime/worker/alert"
	"rsm/runtime/worker/dispatch"
)

func alertsCommand(con *console) *cli.Command {
	return &cli.Command{
		Name:  "alerts",
		Usage: "list the alerts that are pending, fire, or have just ended",
		Flags: append([]cli.Flag{
			&cli.BoolFlag{Name: "json", Usage: "print JSON"},
			&cli.BoolFlag{Name: "watch", Usage: "show them again and again"},
			&cli.DurationFlag{Name: "interval", Value: 2 * time.Second, Usage: "time between two looks, with --watch"},
		}, operationsFlags()...),
		Action: func(c *cli.Context) error {
			if c.NArg() > 0 {
				return usage("alerts takes no argument: the spec is named by --spec")
			}
			return withOperations(c, con, func(ctx context.Context, o *operations) error {
				if !c.Bool("watch") {
					return showAlerts(ctx, con.out, o, c.Bool("json"))
				}
				return watchAlerts(c, con, o)
			})
		},
	}
}

// watchAlerts shows the alerts until it is interrupted.
func watchAlerts(c *cli.Context, con *console, o *operations) error {
	var failed error
	ctx, cancel := context.WithCancel(c.Context)
	defer cancel()
	loop := reconcile.NewLoop(c.Duration("interval"), func(ctx context.Context) {
		if isTerminal(con.out) && !c.Bool("json") {
			fmt.Fprint(con.out, "\x1b[H\x1b[2J")
		}
		if failed = showAlerts(ctx, con.out, o, c.Bool("json")); failed != nil {
			cancel()
		}
	})
	_ = loop.Run(ctx)
	if c.Context.Err() != nil {
		return nil
	}
	return failed
}

// shownAlert is an alert as the command shows it: with its text, and why nobody is
// told of it.
type shownAlert struct {
	alert.Alert
	Summary string `json:"summary,omitempty"`
	Quiet   string `json:"quiet,omitempty"`
}

func showAlerts(ctx context.Context, w io.Writer, o *operations, asJSON bool) error {
	list, err := readAlerts(ctx, o)
	if err != nil {
		return err
	}
	if asJSON {
		return writeJSON(w, map[string]any{"format_version": "1.0", "alerts": list})
	}
	if len(list) == 0 {
		_, err = fmt.Fprintln(w, "There are no alerts.")
		return err
	}
	return writeAlerts(w, list, time.Now())
}

// readAlerts lists the alerts, what fires first, and of that what is worst.
func readAlerts(ctx context.Context, o *operations) ([]shownAlert, error) {
	alerts, err := dispatch.ReadAlerts(ctx, o.Client)
	if err != nil {
		return nil, err
	}
	silences, err := dispatch.ReadSilences(ctx, o.Client)
	if err != nil {
		return nil, err
	}
	rules, _ := alert.Compile(o.published.Rules) // of those that cannot be compiled the text is left out
	env := alert.Env{Now: time.Now(), Firing: alerts, Silences: silences}
	list := []shownAlert{}
	for _, a := range alerts {
		list = append(list, shownAlert{a, rules.Summary(a), rules.Quiet(a, env)})
	}
	slices.SortStableFunc(list, func(a, b shownAlert) int { return slices.Compare(rankOf(a.Alert), rankOf(b.Alert)) })
	return list, nil
}

// rankOf puts first what fires, and of that what is critical.
func rankOf(a alert.Alert) []int {
	return []int{slices.Index([]alert.Status{alert.Firing, alert.Pending, alert.Resolved}, a.Status),
		-slices.Index([]string{"info", "warning", "critical"}, a.Severity)}
}

func writeAlerts(w io.Writer, list []shownAlert, now time.Time) error {
	table := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "STATUS\tSEVERITY\tRULE\tLABELS\tVALUE\tSINCE\tLAST EVENT\tSUMMARY\tQUIET")
	for _, a := range list {
		value := "-"
		if a.Value != nil {
			value = strconv.FormatFloat(*a.Value, 'g', 6, 64)
		}
		var labels []string
		for _, name := range slices.Sorted(maps.Keys(a.Labels)) {
			labels = append(labels, plain(name+"="+a.Labels[name]))
		}
		since := a.Since
		if a.Status == alert.Resolved {
			since = a.Ended
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", a.Status, cmp.Or(plain(a.Severity), "-"), plain(a.Rule), cmp.Or(strings.Join(labels, " "), "-"),
			value, ago(since, now), ago(a.Last, now), cmp.Or(cut(plain(a.Summary), 80), "-"), cmp.Or(plain(a.Quiet), "-"))
	}
	return table.Flush()
}
