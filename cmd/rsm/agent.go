package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"rsm/reconcile"
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
	var err error
	if c.Bool("once") && c.NArg() == 0 && a.file == "" {
		a.Role.Agent = thisHost()
	} else {
		a.Role, a.Digest, err = loadRole(c, con, reconcile.KindAgent, (*schema.Spec).AgentRole)
	}
	a.Log = slog.New(slog.NewTextHandler(con.err, nil)).With("agent", a.Role.Agent.Name)
	return a, err
}

// run runs the agent until ctx ends; an end by a signal is a good one.
func (a agentProcess) run(ctx context.Context) error {
	a.Rest = newSlim().rest
	a.Ready = func() {
		a.Log.Info("sample", "host", a.Role.Agent.Host, "every", a.Role.Agent.Interval, "cluster", a.Role.Access.Cluster)
		tellLoaded(a.Log, a.file, a.Digest)
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
