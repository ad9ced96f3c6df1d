package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"rsm/runtime/worker/handler"
	"rsm/schema"
)

func reportCommand(con *console) *cli.Command {
	return &cli.Command{
		Name:      "report",
		Usage:     "make a report on the hosts of a cluster now",
		ArgsUsage: "[NAME]",
		Description: "Reads the samples of the last hours from the cluster's Redis and prints a report on them, as the handler\n" +
			"NAME would write it, or with plain settings. Nothing is stored or mailed.\n\n" + exitCodeHelp,
		Flags: append(operationsFlags(),
			&cli.DurationFlag{Name: "window", Usage: "how far to look back", DefaultText: "that of the handler, or 24h"},
			&cli.StringFlag{Name: "out", Usage: "write it to this `FILE`", DefaultText: "the standard output"},
			&cli.StringFlag{Name: "format", Usage: "html or text", DefaultText: "html with --out, else text"}),
		Action: func(c *cli.Context) error {
			format := c.String("format")
			switch {
			case c.NArg() > 1:
				return usage("report takes at most the NAME of one handler; the spec is named by --spec")
			case format != "" && format != "html" && format != "text":
				return usage("--format is html or text, not %q", format)
			case c.Duration("window") < 0:
				return usage("--window is to be more than 0")
			case format == "" && c.String("out") != "":
				format = "html"
			}
			return withOperations(c, con, func(ctx context.Context, o *operations) error {
				return fleetReport(ctx, c, con, o, format)
			})
		},
	}
}

func fleetReport(ctx context.Context, c *cli.Context, con *console, o *operations, format string) error {
	set, err := o.reportNamed(c.Args().First())
	if err != nil {
		return err
	}
	if window := c.Duration("window"); window > 0 {
		set.Window = window
	}
	d, err := handler.MakeReport(ctx, set, time.Now(), handler.Env{
		Cluster: c.String("cluster"), Samples: handler.StreamSamples{Redis: o.Client}, Facts: handler.StreamFacts(o.Client.Client),
	})
	if err != nil {
		return err
	}
	content := d.Text
	if format == "html" {
		content = d.HTML
	}
	if out := c.String("out"); out != "" {
		if err := os.WriteFile(out, content, 0o600); err != nil {
			return fmt.Errorf("write report: %w", err)
		}
		return nil
	}
	_, err = con.out.Write(content)
	return err
}

// reportNamed are the settings of a handler; without a name those of the only one
// that writes reports, or plain ones.
func (o *operations) reportNamed(name string) (schema.Report, error) {
	var names []string
	for _, h := range o.published.Handlers {
		if h.Report != nil {
			names = append(names, h.Name)
		}
	}
	if name == "" && len(names) != 1 {
		return schema.Report{Top: 10}, nil
	}
	if name == "" {
		name = names[0]
	}
	i := slices.IndexFunc(o.published.Handlers, func(h schema.Handler) bool { return h.Name == name && h.Report != nil })
	if i < 0 {
		return schema.Report{}, usage("no handler %q that writes reports is in force; those that do: %s", name, orDash(strings.Join(names, ", ")))
	}
	return *o.published.Handlers[i].Report, nil
}
