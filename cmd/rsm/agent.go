package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"rsm/reconcile"
	"rsm/reconcile/host"
	"rsm/runtime/agent"
	"rsm/schema"
)

func agentCommand(con *console) *cli.Command {
	return &cli.Command{
		Name:      "agent",
		Usage:     "run one agent of the spec in the foreground",
		ArgsUsage: "[NAME] [PATH]",
		Description: "An agent samples this host and publishes what it sees. NAME may be left out when the spec in PATH\n" +
			"(default: the current directory) has one agent. SIGINT or SIGTERM sends what waits, then ends.\n" +
			"rsm apply starts agents by itself, in the background, with --config.",
		HideHelpCommand: true, // an agent may be called help
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "config", Usage: "read this rendered `FILE` instead of a spec"},
			&cli.BoolFlag{Name: "once", Usage: "print one sample of this host as JSON and end; needs no Redis, and no spec"},
		},
		Action: func(c *cli.Context) error {
			a, err := loadAgent(c, con)
			if err != nil {
				return err
			}
			if c.Bool("once") {
				return sampleOnce(c.Context, con, a.Agent)
			}
			return a.run(c.Context)
		},
	}
}

// agentProcess is an agent and where its settings came from.
type agentProcess struct {
	*agent.Agent
	file string // "" for a spec
}

// loadAgent reads the settings that the command line asks for.
func loadAgent(c *cli.Context, con *console) (agentProcess, error) {
	a := agentProcess{Agent: &agent.Agent{Version: version}, file: c.String("config")}
	var content []byte
	var err error
	switch {
	case a.file != "" && c.NArg() > 0:
		return a, usage("--config takes the place of NAME and PATH")
	case a.file != "":
		if content, err = os.ReadFile(a.file); err == nil {
			err = schema.Decode(content, &a.Role)
		}
		if err != nil {
			return a, fmt.Errorf("read agent: %s: %w", a.file, err)
		}
	case c.Bool("once") && c.NArg() == 0:
		a.Role.Agent = thisHost()
	default:
		var name, path string
		if name, path, err = proxyArgs(c.Args().Slice()); err == nil {
			a.Role, err = specAgent(c.Context, con, name, path)
		}
		if err == nil {
			content, err = schema.Encode(a.Role)
		}
	}
	if err != nil {
		return a, err
	}
	a.Digest = schema.DigestOf(content)
	a.Log = slog.New(slog.NewTextHandler(con.err, nil)).With("agent", a.Role.Agent.Name)
	return a, nil
}

// run runs the agent until ctx ends; an end by a signal is a good one.
func (a agentProcess) run(ctx context.Context) error {
	a.Rest = newSlim().rest
	a.Ready = func() {
		a.Log.Info("sample", "host", a.Role.Agent.Host, "every", a.Role.Agent.Interval, "cluster", a.Role.Access.Cluster)
		if a.file == "" {
			return
		}
		if err := host.WriteLoaded(a.file, reconcile.Loaded{Version: version, Digest: a.Digest}); err != nil {
			a.Log.Error("tell what is loaded", "error", err)
		}
	}
	return a.Run(ctx)
}

// sampleOnce prints one sample.
func sampleOnce(ctx context.Context, con *console, a *agent.Agent) error {
	sample, err := a.Once(ctx)
	if err == nil {
		_, err = fmt.Fprintf(con.out, "%s\n", sample)
	}
	return err
}

// thisHost are the settings of an agent that nobody has declared.
func thisHost() schema.Agent {
	name, err := os.Hostname()
	if err != nil {
		name = "localhost"
	}
	return schema.Agent{Name: name, Host: name, Interval: time.Second}
}

// specAgent finds an agent in a spec; the name may be empty when there is one.
func specAgent(ctx context.Context, con *console, name, path string) (schema.AgentRole, error) {
	spec, err := loadSpec(ctx, con, path)
	if err != nil {
		return schema.AgentRole{}, err
	}
	if name == "" {
		var names []string
		for _, cluster := range spec.Clusters {
			for _, a := range cluster.Agents {
				names = append(names, a.Name)
			}
		}
		if len(names) != 1 {
			return schema.AgentRole{}, usage("%s has %d agents %s: give the NAME of one", path, len(names), strings.Join(names, ", "))
		}
		name = names[0]
	}
	role, err := spec.AgentRole(name)
	if err != nil {
		return role, usage("%s: %v", path, err)
	}
	return role, nil
}
