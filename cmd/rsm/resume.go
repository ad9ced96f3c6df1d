package main

import (
	"time"

	"github.com/urfave/cli/v2"

	"rsm/runtime/controller/ledger"
)

func resumeCommand(con *console) *cli.Command {
	return &cli.Command{
		Name:        "resume",
		Usage:       "end what rsm suspend began",
		ArgsUsage:   "CLUSTER",
		Description: "The service heals what differs and applies what came meanwhile.\n\n" + exitCodeHelp,
		Flags:       []cli.Flag{stateDirFlag()},
		Action: func(c *cli.Context) error {
			name, err := oneCluster(c)
			if err != nil {
				return err
			}
			return resume(c, con, name, time.Now())
		},
	}
}

func resume(c *cli.Context, con *console, name string, now time.Time) error {
	l, err := openLedger(c)
	if err != nil {
		return err
	}
	return decide(con, l, name, func(_ *ledger.Control, cluster *ledger.Cluster) (string, *ledger.Event) {
		before := cluster.Suspended
		cluster.Suspended = nil
		if !before.Active(now) {
			return "not suspended", nil
		}
		return "no longer " + suspended(before), &ledger.Event{Level: "info", Type: "resumed", Commit: cluster.Applied,
			Message: "resumed by " + whoami() + "; it was " + suspended(before)}
	})
}
