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
	"rsm/reconcile/host"
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
	file := c.String("config")
	if file != "" {
		if c.NArg() > 0 {
			return role, "", "", usage("--config takes the place of NAME and PATH")
		}
		content, err := os.ReadFile(file)
		if err == nil {
			err = schema.Decode(content, &role)
		}
		if err != nil {
			return role, "", "", fmt.Errorf("read worker: %s: %w", file, err)
		}
		digest, spool = schema.DigestOf(content), filepath.Join(filepath.Dir(file), "spool")
	} else {
		name, path, err := proxyArgs(c.Args().Slice())
		if err == nil {
			role, err = specWorker(c.Context, con, name, path)
		}
		if err != nil {
			return role, "", "", err
		}
		digest, spool = role.Digest(), "spool"
	}
	if role.Worker.Spool != "" {
		spool = role.Worker.Spool
	}
	spool, err = filepath.Abs(spool)
	return role, digest, spool, err
}

// specWorker finds a worker in a spec; the name may be empty when there is one.
func specWorker(ctx context.Context, con *console, name, path string) (schema.WorkerRole, error) {
	spec, err := loadSpec(ctx, con, path)
	if err != nil {
		return schema.WorkerRole{}, err
	}
	if name == "" {
		var names []string
		for _, cluster := range spec.Clusters {
			for _, w := range cluster.Workers {
				names = append(names, w.Name)
			}
		}
		if len(names) != 1 {
			return schema.WorkerRole{}, usage("%s has %d workers %s: give the NAME of one", path, len(names), strings.Join(names, ", "))
		}
		name = names[0]
	}
	role, err := spec.WorkerRole(name)
	if err != nil {
		return role, usage("%s: %v", path, err)
	}
	return role, nil
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
	deliveries := &worker.Deliveries{Client: client, Env: env}
	w := worker.Worker{
		Client: client, Worker: role.Worker, Command: worker.Commands(env), Handlers: deliveries.Find, Changed: deliveries.Set,
		Log: log, Version: version, Digest: digest,
	}
	w.Ready = func() {
		log.Info("work", "queues", strings.Join(role.Worker.Queues, ","), "concurrency", role.Worker.Concurrency, "cluster", role.Access.Cluster)
		if file == "" {
			return
		}
		if err := host.WriteLoaded(file, reconcile.Loaded{Version: version, Digest: digest}); err != nil {
			log.Error("tell what is loaded", "error", err)
		}
	}
	return w.Run(ctx)
}
