package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"rsm/reconcile"
	"rsm/runtime/controller/ledger"
)

func historyCommand(con *console) *cli.Command {
	return &cli.Command{
		Name:      "history",
		Usage:     "list what rsm serve has tried, the newest first",
		ArgsUsage: "[CLUSTER]",
		Description: "One line for each attempt to make a cluster what a commit declares. STEPS are those whose effect is\n" +
			"there, of all. rsm show N has the rest.\n\n" + exitCodeHelp,
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "limit", Value: 20, Usage: "how many; 0 means all that are kept"},
			&cli.BoolFlag{Name: "json", Usage: "print JSON"},
			stateDirFlag(),
		},
		Action: func(c *cli.Context) error {
			if c.NArg() > 1 || c.Int("limit") < 0 {
				return usage("history takes one CLUSTER, and a --limit from 0")
			}
			return history(c, con, c.Args().First())
		},
	}
}

func history(c *cli.Context, con *console, name string) error {
	l, err := openLedger(c)
	if err != nil {
		return err
	}
	attempts, err := l.Attempts(name, c.Int("limit"))
	if err != nil {
		return err
	}
	if len(attempts) == 0 && name != "" {
		control, err := l.Read()
		if err != nil {
			return err
		}
		if err := known(l, control, name); err != nil {
			return err
		}
	}
	if c.Bool("json") {
		return writeHistoryJSON(con.out, attempts)
	}
	if len(attempts) == 0 {
		fmt.Fprintln(con.out, "Nothing has been tried yet.")
		return nil
	}
	return writeHistory(con.out, attempts)
}

// writeHistory is for people.
func writeHistory(w io.Writer, attempts []*ledger.Attempt) error {
	table := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "N\tWHEN\tCLUSTER\tCOMMIT\tSUBJECT\tAUTHOR\tTRIGGER\tRESULT\tSTEPS\tTOOK")
	for _, a := range attempts {
		done, total := stepsOf(a)
		fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d/%d\t%s\n", a.ID, a.Started.Local().Format("Jan 02 15:04:05"), a.Cluster, short(a.Commit),
			orDash(cut(plain(a.Subject), 40)), orDash(cut(author(a.Author), 20)), a.Trigger, a.Result, done, total, took(a))
	}
	return table.Flush()
}

// author is a name without its address.
func author(who string) string {
	name, _, _ := strings.Cut(plain(who), " <")
	return name
}

// took is how long an attempt lasted, or has lasted when it is under way.
func took(a *ledger.Attempt) time.Duration {
	if a.Result == ledger.Running {
		return round(time.Since(a.Started))
	}
	return round(a.Duration)
}

// stepsOf counts the steps whose effect is there, and all.
func stepsOf(a *ledger.Attempt) (done, total int) {
	if a.Plan != nil {
		total = len(a.Plan.Steps)
	}
	if r := a.Report; r != nil && len(r.Steps) > 0 {
		return r.Count("done") + r.Count("skipped"), len(r.Steps)
	}
	return 0, total
}

// attemptLine is an attempt without what is long.
type attemptLine struct {
	ledger.Attempt
	Plan   *reconcile.Plan   `json:"plan,omitempty"` // nil: the embedded ones are hidden
	Report *reconcile.Report `json:"report,omitempty"`
	Done   int               `json:"steps_done"`
	Total  int               `json:"steps_total"`
}

func writeHistoryJSON(w io.Writer, attempts []*ledger.Attempt) error {
	lines := make([]attemptLine, len(attempts))
	for i, a := range attempts {
		lines[i].Attempt = *a
		lines[i].Done, lines[i].Total = stepsOf(a)
	}
	return writeJSON(w, struct {
		FormatVersion string        `json:"format_version"`
		Attempts      []attemptLine `json:"attempts"`
	}{formatVersion, lines})
}
