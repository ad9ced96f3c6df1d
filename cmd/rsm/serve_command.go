package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v2"

	"rsm/reconcile"
	"rsm/schema"
)

// envHookSecret has the secret of the webhook when no file is named.
const envHookSecret = "RSM_WEBHOOK_SECRET"

// lookInterval is the time between two looks at a cluster.
const lookInterval = 10 * time.Second

func serveCommand(con *console) *cli.Command {
	return &cli.Command{
		Name:      "serve",
		Usage:     "keep deployments equal to a branch of a git repository, as a service",
		ArgsUsage: "CONFIG",
		Description: "CONFIG is a CUE file: docs/service.md lists what it may have, `rsm serve --check CONFIG` checks it.\n" +
			"SIGHUP makes it look at once; SIGINT or SIGTERM ends it cleanly; the servers keep running.\n\n" + exitCodeHelp,
		Flags: []cli.Flag{
			stateDirFlag(), allowFlag(),
			&cli.DurationFlag{Name: "interval", Value: lookInterval, Usage: "time between two looks at a cluster"},
			&cli.BoolFlag{Name: "check", Usage: "only check CONFIG"},
		},
		Action: func(c *cli.Context) error { return runServe(c, con) },
	}
}

func runServe(c *cli.Context, con *console) error {
	if c.NArg() != 1 {
		return usage("rsm serve needs one CONFIG")
	}
	config, problems := schema.LoadService(c.Context, c.Args().First())
	if len(problems) > 0 {
		_ = problems.WriteText(con.err, true)
	}
	if problems.Invalid() {
		return &exit{code: exitInvalid}
	}
	if c.Bool("check") {
		fmt.Fprintf(con.out, "%s: valid, follows %s of %s.\n", c.Args().First(), config.Source.Branch, config.Source.URL)
		return nil
	}
	return serveWith(c, con, config)
}

// reconcileGit is rsm reconcile --git.
func reconcileGit(c *cli.Context, con *console) error {
	if c.NArg() > 0 {
		return usage("with --git the spec is in the repository: use --path instead of %q", c.Args().First())
	}
	from, err := gitSource(c)
	if err != nil {
		return err
	}
	if c.Bool("watch") {
		return watchGit(c, con, from)
	}
	if c.String("webhook") != "" {
		return usage("--webhook is for --watch")
	}
	dir, err := stateDir(c.String("state-dir"))
	if err != nil {
		return err
	}
	spec, rev, err := specOf(c.Context, con, gitConfig(from, dir))
	if err != nil {
		return err
	}
	fmt.Fprintf(con.err, "commit %s: %s\n", short(rev.Commit), plain(rev.Subject))
	d, err := openWith(c, con, spec, "the commit")
	if err != nil {
		return err
	}
	return d.reconcileOnce(c)
}

// watchGit is a service whose configuration is flags.
func watchGit(c *cli.Context, con *console, from schema.GitSource) error {
	config := &schema.Service{Source: from, Listen: c.String("webhook"), Budget: 1, Heal: true}
	if c.String("cluster") != "" {
		return usage("--cluster is for one apply or reconcile, not for --watch with --git")
	}
	switch file := c.String("webhook-secret-file"); {
	case config.Listen == "":
	case file != "":
		absolute, err := filepath.Abs(file)
		if err != nil {
			return fmt.Errorf("find secret: %w", err)
		}
		config.Webhook = []schema.Secret{{File: absolute}}
	case os.Getenv(envHookSecret) != "":
		config.Webhook = []schema.Secret{{Env: envHookSecret}}
	default:
		return usage("--webhook needs a secret: --webhook-secret-file FILE, or the variable %s", envHookSecret)
	}
	return serveWith(c, con, config)
}

func serveWith(c *cli.Context, con *console, config *schema.Service) error {
	if err := onceOnly(c); err != nil {
		return err
	}
	allow, err := reconcile.ParseAllow(c.StringSlice("allow"))
	if err != nil {
		return usage("%v", err)
	}
	dir, err := stateDir(c.String("state-dir"))
	if err != nil {
		return err
	}
	s := &service{Service: config, stateDir: dir, interval: c.Duration("interval"), allow: allow}
	return s.run(c.Context, con)
}
