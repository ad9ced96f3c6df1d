package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"rsm/reconcile"
	"rsm/runtime/bus"
	"rsm/runtime/worker"
	"rsm/runtime/worker/handler"
	"rsm/schema"
)

func workerCommand(con *console) *cli.Command {
	return &cli.Command{
		Name:      "worker",
		Usage:     "run one worker of the spec in the foreground",
		ArgsUsage: "[NAME] [PATH]",
		Description: "A worker runs the tasks of its queues, by the commands and handlers that the last apply has published.\n" +
			"NAME may be left out when the spec in PATH (default: the current directory) has one worker. SIGINT or\n" +
			"SIGTERM takes no more tasks, waits for those that run as long as its grace says, and gives the rest back.\n" +
			"rsm apply starts workers by itself, in the background, with --config.",
		HideHelpCommand: true, // a worker may be called help
		Flags:           []cli.Flag{&cli.StringFlag{Name: "config", Usage: "read this rendered `FILE` instead of a spec"}},
		Action: func(c *cli.Context) error {
			role, digest, spool, err := loadWorker(c, con)
			if err != nil {
				return err
			}
			return runWorker(c.Context, con, role, digest, spool, c.String("config"))
		},
	}
}

// loadWorker reads the settings that the command line asks for, and says where the
// spool directory is.
func loadWorker(c *cli.Context, con *console) (role schema.WorkerRole, digest, spool string, err error) {
	role, digest, err = loadRole(c, con, reconcile.KindWorker, (*schema.Spec).WorkerRole)
	if err != nil {
		return role, "", "", err
	}
	spool = "spool"
	if file := c.String("config"); file != "" {
		spool = filepath.Join(filepath.Dir(file), spool)
	}
	if role.Worker.Spool != "" {
		spool = role.Worker.Spool
	}
	spool, err = filepath.Abs(spool)
	return role, digest, spool, err
}

// runWorker runs a worker until ctx ends; an end by a signal is a good one.
func runWorker(ctx context.Context, con *console, role schema.WorkerRole, digest, spool, file string) error {
	log := slog.New(slog.NewTextHandler(con.err, nil)).With("worker", role.Worker.Name)
	if err := os.MkdirAll(spool, 0o700); err != nil {
		return fmt.Errorf("start worker %s: make its spool directory: %w", role.Worker.Name, err)
	}
	client, err := bus.Connect(role.Access, bus.Options{Name: "rsm-worker-" + role.Worker.Name, PoolSize: len(role.Worker.Queues) + 16})
	if err != nil {
		return fmt.Errorf("start worker %s: %w", role.Worker.Name, err)
	}
	defer client.Close()
	env := handler.Env{Spool: spool, Log: log, Cluster: role.Access.Cluster, Worker: role.Worker.Name,
		Samples: handler.StreamSamples{Redis: client}, Facts: handler.StreamFacts(client.Client)}
	trust := worker.TrustOnly(role.Trusted)
	deliveries := &worker.Deliveries{Client: client, Env: env, Trust: trust}
	w := worker.Worker{
		Client: client, Worker: role.Worker, Command: worker.Commands(env, trust), Handlers: deliveries.Find, Changed: deliveries.Set,
		Log: log, Version: version, Digest: digest,
	}
	w.Ready = func() {
		log.Info("work", "queues", strings.Join(role.Worker.Queues, ","), "concurrency", role.Worker.Concurrency, "cluster", role.Access.Cluster)
		tellLoaded(log, file, digest)
	}
	return w.Run(ctx)
}
