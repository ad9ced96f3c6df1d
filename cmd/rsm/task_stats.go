package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"rsm/reconcile"
	"rsm/runtime/worker/queue"
)

func taskStatsCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "stats", Usage: "show how many tasks wait, run and failed, and which workers there are",
		Flags: append([]cli.Flag{
			&cli.BoolFlag{Name: "json", Usage: "print JSON"},
			&cli.BoolFlag{Name: "watch", Usage: "show it again and again"},
			&cli.DurationFlag{Name: "interval", Value: 2 * time.Second, Usage: "time between two looks, with --watch"},
		}, operationsFlags()...),
		Action: func(c *cli.Context) error {
			if c.NArg() > 0 {
				return usage("task stats takes no argument: the spec is named by --spec")
			}
			return withOperations(c, con, func(ctx context.Context, o *operations) error {
				if !c.Bool("watch") {
					return showQueues(ctx, con.out, o, c.Bool("json"))
				}
				var failed error
				ctx, cancel := context.WithCancel(ctx)
				defer cancel()
				loop := reconcile.NewLoop(c.Duration("interval"), func(ctx context.Context) {
					if isTerminal(con.out) && !c.Bool("json") {
						fmt.Fprint(con.out, "\x1b[H\x1b[2J")
					}
					if failed = showQueues(ctx, con.out, o, c.Bool("json")); failed != nil {
						fmt.Fprintln(con.err, "rsm:", failed) // a failover passes
					}
				})
				return loop.Run(ctx)
			})
		},
	}
}

// queueJSON is a queue as rsm task stats --json prints it.
type queueJSON struct {
	Queue     string                      `json:"queue"`
	Mode      string                      `json:"mode"`
	Pending   int64                       `json:"pending"`
	Active    int64                       `json:"active"`
	Scheduled int64                       `json:"scheduled"`
	Dead      int64                       `json:"dead"`
	Done      int64                       `json:"results_kept"`
	Lanes     map[string]int64            `json:"lanes,omitempty"`
	Days      map[string]map[string]int64 `json:"days"`
}

func showQueues(ctx context.Context, w io.Writer, o *operations, asJSON bool) error {
	settings := o.published.Queues
	if len(settings) == 0 {
		only, _ := o.queueNamed("default")
		settings = append(settings, only)
	}
	table := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	if !asJSON {
		fmt.Fprintln(table, "QUEUE\tMODE\tPENDING\tACTIVE\tSCHEDULED\tDEAD\tTODAY")
	}
	var all []queueJSON
	for _, s := range settings {
		stats, err := queue.New(o.Client.Client, s).Stats(ctx)
		if err != nil {
			return err
		}
		all = append(all, queueJSON{s.Name, modeText(stats.Mode), stats.Pending, stats.Active, stats.Scheduled, stats.Dead, stats.Finished, stats.Lanes, stats.Days})
		fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%d\t%d\t%s\n", s.Name, modeText(stats.Mode), stats.Pending, stats.Active, stats.Scheduled, stats.Dead, figures(stats.Today()))
	}
	workers, err := queue.Workers(ctx, o.Client.Client)
	if err != nil {
		return err
	}
	if asJSON {
		return writeJSON(w, map[string]any{"queues": all, "workers": workersJSON(workers)})
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if len(workers) > 0 {
		fmt.Fprintln(table, "WORKER\tSEEN\tTASKS")
	}
	for _, worker := range workers {
		fmt.Fprintf(table, "%s\t%s\t%d\n", worker.Name, around(worker.Seen, time.Now()), worker.Tasks)
	}
	return table.Flush()
}

func workersJSON(workers []queue.WorkerInfo) []map[string]any {
	list := []map[string]any{}
	for _, w := range workers {
		list = append(list, map[string]any{"name": w.Name, "seen": w.Seen.UTC(), "tasks": w.Tasks})
	}
	return list
}

// figures writes counters as "12 done, 1 dead".
func figures(counters map[string]int64) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(counters)) {
		parts = append(parts, fmt.Sprintf("%d %s", counters[name], name))
	}
	return orDash(strings.Join(parts, ", "))
}

func taskWatchCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "watch", Usage: "print what happens to the tasks of a queue, as it happens",
		Flags: taskFlags(
			&cli.BoolFlag{Name: "all", Usage: "begin with what is still known of before"},
			&cli.BoolFlag{Name: "json", Usage: "print JSON, an event a line"}),
		Action: func(c *cli.Context) error {
			if c.NArg() > 0 {
				return usage("task watch takes no argument: the spec is named by --spec")
			}
			return onQueue(c, con, func(ctx context.Context, q *queue.Queue) error {
				after := "$"
				if c.Bool("all") {
					after = "0"
				}
				return q.Watch(ctx, after, func(e queue.Event) { writeTaskEvent(con.out, e, c.Bool("json")) },
					func(err error) { fmt.Fprintln(con.err, "rsm:", err) })
			})
		},
	}
}

func writeTaskEvent(w io.Writer, e queue.Event, asJSON bool) {
	if asJSON {
		_ = json.NewEncoder(w).Encode(map[string]any{"time": e.At.UTC(), "event": e.Kind, "ids": e.IDs, "n": e.N, "worker": e.Worker, "why": e.Why})
		return
	}
	line := fmt.Sprintf("%s  %-10s", local(e.At), e.Kind)
	if len(e.IDs) > 0 {
		line += "  " + plain(strings.Join(e.IDs, " "))
	}
	if more := e.N - len(e.IDs); more > 0 {
		line += fmt.Sprintf(" and %d more", more)
	}
	if e.Worker != "" {
		line += "  by " + plain(e.Worker)
	}
	if e.Why != "" {
		line += "  " + oneLineOf(e.Why, 200)
	}
	fmt.Fprintln(w, line)
}
