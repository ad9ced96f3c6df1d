package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"

	"github.com/urfave/cli/v2"

	"rsm/reconcile"
	"rsm/runtime/controller/ledger"
)

func showCommand(con *console) *cli.Command {
	return &cli.Command{
		Name:        "show",
		Usage:       "show one attempt of rsm serve: its commit, its plan, and what became of it",
		ArgsUsage:   "N",
		Description: "N is the number that rsm history lists.\n\n" + exitCodeHelp,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "show the exact commands of each step"},
			&cli.BoolFlag{Name: "json", Usage: "print JSON"},
			stateDirFlag(),
		},
		Action: func(c *cli.Context) error {
			l, err := openLedger(c)
			if err != nil {
				return err
			}
			a, err := attemptArg(c, l)
			if err != nil {
				return err
			}
			if c.Bool("json") {
				return writeJSON(con.out, struct {
					FormatVersion string          `json:"format_version"`
					Attempt       *ledger.Attempt `json:"attempt"`
				}{formatVersion, a})
			}
			writeAttempt(con, a, c.Bool("verbose"))
			return nil
		},
	}
}

// attemptArg returns the attempt whose number is the only argument.
func attemptArg(c *cli.Context, l *ledger.Ledger) (*ledger.Attempt, error) {
	id, err := strconv.Atoi(c.Args().First())
	if c.NArg() != 1 || err != nil || id < 1 {
		return nil, usage("%s needs the number N of an attempt, which rsm history lists", c.Command.Name)
	}
	a, err := l.Attempt(id)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, usage("there is no attempt %d in %s; rsm history lists the last %d", id, l.Dir(), ledger.Kept)
	}
	return a, err
}

func writeAttempt(con *console, a *ledger.Attempt, verbose bool) {
	w, paint := con.out, painter(con.out)
	if paint == nil {
		paint = func(_ reconcile.Style, text string) string { return text }
	}
	fmt.Fprintf(w, "%s  %s\n", paint(reconcile.StyleBold, fmt.Sprintf("attempt %d", a.ID)), paint(resultStyle(a.Result), a.Result))
	fmt.Fprintf(w, "  cluster %s, because of %s, at %s, took %s", a.Cluster, orDash(a.Trigger), local(a.Started), took(a))
	if a.Tries > 1 {
		fmt.Fprintf(w, ", tried %d times", a.Tries)
	}
	fmt.Fprintf(w, "\n  commit %s  %s\n", orDash(a.Commit), plain(a.Subject))
	fmt.Fprintf(w, "  by %s", orDash(plain(a.Author)))
	if a.Signer != "" {
		fmt.Fprintf(w, ", signed by %s", plain(a.Signer))
	}
	fmt.Fprintln(w)
	if a.Error != "" {
		fmt.Fprintf(w, "  %s: %s\n", a.Result, plain(a.Error))
	}
	if a.Plan != nil {
		fmt.Fprintln(w, "\nWhat was about to be done:")
		reconcile.Printer{W: w, Paint: painter(w), Verbose: verbose}.Plan(a.Plan)
	}
	if a.Report != nil && len(a.Report.Steps) > 0 {
		fmt.Fprintln(w, "\nWhat was done:")
		writeOutcome(w, paint, a.Report)
	}
}

// writeOutcome tells what became of each step, and what is left.
func writeOutcome(w io.Writer, paint func(reconcile.Style, string) string, r *reconcile.Report) {
	for i, result := range r.Steps {
		symbol, style := reconcile.Symbol(result.Step.Action)
		fmt.Fprintf(w, "  %s %s %s: %s  ", paint(reconcile.StyleDim, fmt.Sprintf("[%d/%d]", i+1, len(r.Steps))),
			paint(style, symbol), result.Step.Action.Subject(), result.Step.Action)
		switch result.Status {
		case "done":
			fmt.Fprintln(w, paint(reconcile.StyleDim, fmt.Sprintf("(%s)", round(result.Duration))))
		case "skipped":
			fmt.Fprintln(w, paint(reconcile.StyleDim, "(already so)"))
		case "failed":
			fmt.Fprintln(w, paint(reconcile.StyleHeld, "failed: "+result.Error))
		default:
			fmt.Fprintln(w, paint(reconcile.StyleWait, "("+result.Status+")"))
		}
	}
	if r.Remaining != nil {
		printRest(w, r.Remaining)
	}
}

func resultStyle(result string) reconcile.Style {
	switch result {
	case ledger.Applied:
		return reconcile.StyleAdd
	case ledger.Failed:
		return reconcile.StyleHeld
	}
	return reconcile.StyleChange
}
