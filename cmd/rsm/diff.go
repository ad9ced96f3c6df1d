package main

import (
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"rsm/reconcile/source"
	"rsm/runtime/controller/ledger"
	"rsm/schema"
)

func diffCommand(con *console) *cli.Command {
	return &cli.Command{
		Name:      "diff",
		Usage:     "show what another commit would change, beside what is in force",
		ArgsUsage: "[COMMIT]",
		Description: "Plans the spec of COMMIT (default: the branch's newest) against the live servers. It changes nothing.\n" +
			"The repository is the one that rsm serve follows with this state directory, or that of --git.\n\n" + exitCodeHelp,
		Flags: append([]cli.Flag{
			clusterFlag(), stateDirFlag(), allowFlag(),
			&cli.StringFlag{Name: "format", Value: "text", Usage: planFormats},
			&cli.BoolFlag{Name: "json", Usage: "the same as --format json"},
			&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "show the exact commands of each step"},
			&cli.BoolFlag{Name: "detailed-exitcode", Usage: "exit 2 when changes are pending"},
		}, gitFlags()...),
		Action: func(c *cli.Context) error { return runDiff(c, con) },
	}
}

func runDiff(c *cli.Context, con *console) error {
	if c.NArg() > 1 {
		return usage("rsm diff takes one COMMIT")
	}
	format, err := planFormat(c)
	if err != nil {
		return err
	}
	book, err := openLedger(c)
	if err != nil {
		return err
	}
	control, err := book.Read()
	if err != nil {
		return err
	}
	from, err := followed(c, control)
	if err != nil {
		return err
	}
	dir, err := stateDir(c.String("state-dir"))
	if err != nil {
		return err
	}
	spec, rev, err := specAt(c.Context, con, gitConfig(from, dir), c.Args().First())
	if err != nil {
		return err
	}
	fmt.Fprintf(con.err, "commit %s: %s\n", short(rev.Commit), plain(rev.Subject))
	d, err := openWith(c, con, spec, "the commit")
	if err != nil {
		return err
	}
	for _, cluster := range d.clusters {
		if known := control.Clusters[cluster.Name]; known != nil {
			fmt.Fprintf(con.err, "%s: in force is %s\n", cluster.Name, short(known.Applied))
		}
	}
	plans, err := d.planAll(c.Context)
	if err != nil {
		return err
	}
	if err := d.writePlans(plans, nil, format, c.Bool("verbose")); err != nil {
		return err
	}
	if c.Bool("detailed-exitcode") && pending(plans) {
		return &exit{code: exitPending}
	}
	return nil
}

// followed is the repository of the flags, or the one that the service follows.
func followed(c *cli.Context, control *ledger.Control) (schema.GitSource, error) {
	if c.String("git") != "" {
		return gitSource(c)
	}
	if control.Source.Git == nil {
		return schema.GitSource{}, usage("no rsm serve has worked with this state directory yet: name the repository by --git")
	}
	return *control.Source.Git, nil
}

// refusedCommit reports whether something is wrong with the commit itself, and
// not with the way to it.
func refusedCommit(err error) bool {
	return errors.Is(err, source.ErrUnverified) || errors.Is(err, source.ErrRewritten) || errors.Is(err, source.ErrRefused)
}
