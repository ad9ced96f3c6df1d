package main

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/urfave/cli/v2"
)

// formatVersion is that of every JSON document: readers ignore unknown fields
// and refuse an unknown major version.
const formatVersion = "1.0"

// planFormats are the values of --format.
const planFormats = "text, json, markdown or github"

func planCommand(con *console) *cli.Command {
	return &cli.Command{
		Name:      "plan",
		Usage:     "show what apply would do, and what it refuses to do",
		ArgsUsage: "[PATH]",
		Description: "Observes every server of the spec in PATH (default: the current directory), compares, and\n" +
			"prints the steps. It changes nothing. With --against it looks at the output of rsm status --json\n" +
			"instead of the servers.\n\n" + exitCodeHelp,
		Flags: []cli.Flag{
			clusterFlag(), stateDirFlag(), allowFlag(),
			&cli.StringFlag{Name: "format", Value: "text", Usage: "text, json, markdown (a comment for a pull request) or github (workflow annotations)"},
			&cli.BoolFlag{Name: "json", Usage: "the same as --format json"},
			&cli.StringFlag{Name: "against", Usage: "plan offline against `STATEFILE`, the output of rsm status --json"},
			&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "show the exact commands of each step"},
			&cli.BoolFlag{Name: "detailed-exitcode", Usage: "exit 2 when changes are pending"},
			&cli.StringFlag{Name: "out", Usage: "save the plan to `FILE`, for rsm apply FILE"},
		},
		Action: func(c *cli.Context) error { return runPlan(c, con) },
	}
}

// planFormat is how to print plans.
func planFormat(c *cli.Context) (string, error) {
	format := c.String("format")
	switch format {
	case "text", "json", "markdown", "github":
	default:
		return "", usage("unknown --format %q: %s", format, planFormats)
	}
	if c.Bool("json") {
		if c.IsSet("format") && format != "json" {
			return "", usage("--json and --format %s contradict each other", format)
		}
		return "json", nil
	}
	return format, nil
}

func runPlan(c *cli.Context, con *console) error {
	format, err := planFormat(c)
	if err != nil {
		return err
	}
	path, err := onePath(c)
	if err != nil {
		return err
	}
	if c.IsSet("against") && c.IsSet("out") {
		return usage("--out saves a plan for the servers, and --against does not look at them")
	}
	d, err := openDeployment(c, con, path)
	if err != nil {
		return err
	}
	plans, from, err := d.planned(c)
	if err != nil {
		return err
	}
	if err := d.writePlans(plans, from, format, c.Bool("verbose")); err != nil {
		return err
	}
	if file := c.String("out"); file != "" {
		if err := savePlan(file, newPlanFile(d, c.StringSlice("allow"), plans)); err != nil {
			return err
		}
		fmt.Fprintf(con.err, "Saved the plan: rsm apply %s does exactly this, once.\n", file)
	}
	if c.Bool("detailed-exitcode") && pending(plans) {
		return &exit{code: exitPending}
	}
	return nil
}

// planned makes the plans: for the servers, or for a state file, which it returns.
func (d *deployment) planned(c *cli.Context) ([]planned, *stateFile, error) {
	if !c.IsSet("against") {
		plans, err := d.planAll(c.Context)
		return plans, nil, err
	}
	file, err := readState(c.String("against"), d.spec.Digest)
	if err != nil {
		return nil, nil, err
	}
	plans, err := d.planAgainst(file, time.Now())
	return plans, file, err
}

func (d *deployment) writePlans(plans []planned, from *stateFile, format string, verbose bool) error {
	switch format {
	case "json":
		return writePlansJSON(d.con.out, plans, from)
	case "markdown":
		return writePlansMarkdown(d.con.out, plans, from, verbose)
	case "github":
		return writePlansGitHub(d.con.out, plans, from, verbose)
	}
	if from != nil {
		fmt.Fprintf(d.con.out, "Planned %s; no server was asked.\n", from.label())
	}
	d.printPlans(plans, verbose)
	return nil
}

func pending(plans []planned) bool {
	for _, p := range plans {
		if !p.plan.Empty() {
			return true
		}
	}
	return false
}

func writeJSON(w io.Writer, doc any) error {
	if err := encodeJSON(w, doc); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	return nil
}

func encodeJSON(w io.Writer, doc any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(doc)
}
