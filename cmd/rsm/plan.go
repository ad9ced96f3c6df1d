package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/urfave/cli/v2"

	"rsm/reconcile"
)

// formatVersion is that of every JSON document: readers ignore unknown fields
// and refuse an unknown major version.
const formatVersion = "1.0"

func planCommand(con *console) *cli.Command {
	return &cli.Command{
		Name:      "plan",
		Usage:     "show what apply would do, and what it refuses to do",
		ArgsUsage: "[PATH]",
		Description: "Observes every server of the spec in PATH (default: the current directory), compares, and\n" +
			"prints the steps. It changes nothing.\n\n" + exitCodeHelp,
		Flags: []cli.Flag{
			clusterFlag(), stateDirFlag(), allowFlag(),
			&cli.BoolFlag{Name: "json", Usage: "print JSON"},
			&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "show the exact commands of each step"},
			&cli.BoolFlag{Name: "detailed-exitcode", Usage: "exit 2 when changes are pending"},
			&cli.StringFlag{Name: "out", Usage: "save the plan to `FILE`, for rsm apply FILE"},
		},
		Action: func(c *cli.Context) error { return runPlan(c, con) },
	}
}

func runPlan(c *cli.Context, con *console) error {
	path, err := onePath(c)
	if err != nil {
		return err
	}
	d, err := openDeployment(c, con, path)
	if err != nil {
		return err
	}
	plans, err := d.planAll(c.Context)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		err = writePlansJSON(con.out, plans)
	} else {
		d.printPlans(plans, c.Bool("verbose"))
	}
	if err != nil {
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

func pending(plans []planned) bool {
	for _, p := range plans {
		if !p.plan.Empty() {
			return true
		}
	}
	return false
}

func writePlansJSON(w io.Writer, plans []planned) error {
	doc := struct {
		FormatVersion string            `json:"format_version"`
		Plans         []*reconcile.Plan `json:"plans"`
	}{FormatVersion: formatVersion}
	for _, p := range plans {
		doc.Plans = append(doc.Plans, p.plan)
	}
	return writeJSON(w, doc)
}

func writeJSON(w io.Writer, doc any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(doc); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	return nil
}
