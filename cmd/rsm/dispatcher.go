package main

import (
	"log/slog"

	"github.com/urfave/cli/v2"

	"rsm/reconcile"
	"rsm/runtime/worker/dispatch"
	"rsm/schema"
)

func dispatcherCommand(con *console) *cli.Command {
	return &cli.Command{
		Name:      "dispatcher",
		Usage:     "run one dispatcher of the spec in the foreground",
		ArgsUsage: "[NAME] [PATH]",
		Description: "A dispatcher hands events to handlers and turns them into alerts, by the handlers and rules that the last\n" +
			"apply has published; any number may run. NAME may be left out when the spec in PATH (default: the current\n" +
			"directory) has one dispatcher. SIGINT or SIGTERM finishes what was begun, then ends.\n" +
			"rsm apply starts dispatchers by itself, in the background, with --config.",
		HideHelpCommand: true, // a dispatcher may be called help
		Flags:           []cli.Flag{&cli.StringFlag{Name: "config", Usage: "read this rendered `FILE` instead of a spec"}},
		Action: func(c *cli.Context) error {
			role, digest, err := loadRole(c, con, reconcile.KindDispatcher, (*schema.Spec).DispatcherRole)
			if err != nil {
				return err
			}
			log := slog.New(slog.NewTextHandler(con.err, nil)).With("dispatcher", role.Dispatcher.Name)
			d := &dispatch.Dispatcher{Role: role, Version: version, Digest: digest, Log: log}
			d.Ready = func() {
				log.Info("dispatch", "cluster", role.Access.Cluster)
				tellLoaded(log, c.String("config"), digest)
			}
			return d.Run(c.Context)
		},
	}
}
