package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"rsm/runtime/controller/ledger"
)

func retryCommand(con *console) *cli.Command {
	return &cli.Command{
		Name:      "retry",
		Usage:     "have rsm serve try a commit again that failed",
		ArgsUsage: "CLUSTER",
		Description: "A commit that failed is not tried again before there is another one: this is for a failure whose\n" +
			"cause was not in the commit.\n\n" + exitCodeHelp,
		Flags: []cli.Flag{stateDirFlag()},
		Action: func(c *cli.Context) error {
			name, err := oneCluster(c)
			if err != nil {
				return err
			}
			return retry(c, con, name)
		},
	}
}

func retry(c *cli.Context, con *console, name string) error {
	l, err := openLedger(c)
	if err != nil {
		return err
	}
	return decide(con, l, name, func(_ *ledger.Control, cluster *ledger.Cluster) (string, *ledger.Event) {
		failed := cluster.Failed
		if failed == nil {
			return "nothing has failed", nil
		}
		cluster.Failed = nil
		return fmt.Sprintf("commit %s is tried again; it failed at %s: %s", short(failed.Commit), local(failed.At), plain(failed.Why)),
			&ledger.Event{} // the attempt will tell
	})
}
