package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"rsm/reconcile"
	"rsm/reconcile/host"
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
			d, err := loadDispatcher(c, con)
			if err != nil {
				return err
			}
			d.Log = slog.New(slog.NewTextHandler(con.err, nil)).With("dispatcher", d.Role.Dispatcher.Name)
			d.Ready = func() { tellDispatcher(d, c.String("config")) }
			return d.Run(c.Context)
		},
	}
}

// loadDispatcher reads the settings that the command line asks for.
func loadDispatcher(c *cli.Context, con *console) (*dispatch.Dispatcher, error) {
	d := &dispatch.Dispatcher{Version: version}
	if file := c.String("config"); file != "" {
		if c.NArg() > 0 {
			return nil, usage("--config takes the place of NAME and PATH")
		}
		content, err := os.ReadFile(file)
		if err == nil {
			err = schema.Decode(content, &d.Role)
		}
		if err != nil {
			return nil, fmt.Errorf("read dispatcher: %s: %w", file, err)
		}
		d.Digest = schema.DigestOf(content)
		return d, nil
	}
	name, path, err := proxyArgs(c.Args().Slice())
	if err == nil {
		d.Role, err = specDispatcher(c.Context, con, name, path)
	}
	if err != nil {
		return nil, err
	}
	d.Digest = d.Role.Digest()
	return d, nil
}

// specDispatcher finds a dispatcher in a spec; the name may be empty when there is
// one.
func specDispatcher(ctx context.Context, con *console, name, path string) (schema.DispatcherRole, error) {
	spec, err := loadSpec(ctx, con, path)
	if err != nil {
		return schema.DispatcherRole{}, err
	}
	if name == "" {
		var names []string
		for _, cluster := range spec.Clusters {
			for _, d := range cluster.Dispatchers {
				names = append(names, d.Name)
			}
		}
		if len(names) != 1 {
			return schema.DispatcherRole{}, usage("%s has %d dispatchers %s: give the NAME of one", path, len(names), strings.Join(names, ", "))
		}
		name = names[0]
	}
	role, err := spec.DispatcherRole(name)
	if err != nil {
		return role, usage("%s: %v", path, err)
	}
	return role, nil
}

// tellDispatcher tells that a dispatcher runs.
func tellDispatcher(d *dispatch.Dispatcher, file string) {
	d.Log.Info("dispatch", "cluster", d.Role.Access.Cluster)
	if file == "" {
		return
	}
	if err := host.WriteLoaded(file, reconcile.Loaded{Version: version, Digest: d.Digest}); err != nil {
		d.Log.Error("tell what is loaded", "error", err)
	}
}
