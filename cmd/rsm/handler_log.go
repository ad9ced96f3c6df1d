package main

import (
	"context"
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"rsm/runtime/worker/handler"
)

func handlerLogCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "log", Usage: "list what handlers have sent, the newest first, and what the receivers said",
		Description: exitCodeHelp,
		Flags: append(operationsFlags(),
			&cli.Int64Flag{Name: "limit", Value: 50, Usage: "of how many attempts"},
			&cli.BoolFlag{Name: "failed", Usage: "only those that failed"},
			&cli.BoolFlag{Name: "json", Usage: "print JSON, an attempt a line"}),
		Action: func(c *cli.Context) error {
			switch {
			case c.NArg() > 1:
				return usage("handler log takes at most the NAME of one handler")
			case c.Int64("limit") < 1:
				return usage("--limit is to be 1 or more")
			}
			return withOperations(c, con, func(ctx context.Context, o *operations) error {
				list, err := handler.ListDeliveries(ctx, o.Client.Client, c.Int64("limit"))
				if err != nil {
					return err
				}
				return printDeliveries(c, con, list)
			})
		},
		ArgsUsage: "[NAME]",
	}
}

func printDeliveries(c *cli.Context, con *console, list []handler.Delivery) error {
	enc := json.NewEncoder(con.out)
	enc.SetEscapeHTML(false)
	table := tabwriter.NewWriter(con.out, 0, 4, 2, ' ', 0)
	shown := 0
	for _, d := range list {
		if c.Args().First() != "" && d.Handler != c.Args().First() || c.Bool("failed") && d.OK {
			continue
		}
		shown++
		if c.Bool("json") {
			if err := enc.Encode(d); err != nil {
				return fmt.Errorf("write delivery: %w", err)
			}
			continue
		}
		if shown == 1 {
			fmt.Fprintln(table, "TIME\tHANDLER\tTASK\tATTEMPT\tTOOK\t\tSAID")
		}
		state, said := "ok", d.Response
		if !d.OK {
			state, said = "failed", d.Error
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%s\t%s\t%s\n", local(d.Time), d.Handler, plain(d.Task), d.Attempt, d.Duration.Round(time.Millisecond), state, plain(said))
	}
	if shown == 0 && !c.Bool("json") {
		fmt.Fprintln(con.err, "nothing was sent")
	}
	return table.Flush()
}
