package main

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/urfave/cli/v2"

	"rsm/reconcile"
	"rsm/reconcile/host"
	"rsm/schema"
)

func proxyCommand(con *console) *cli.Command {
	return &cli.Command{
		Name:      "proxy",
		Usage:     "run one proxy of the spec in the foreground",
		ArgsUsage: "[NAME] [PATH]",
		Description: "NAME may be left out when the spec in PATH (default: the current directory) has one proxy. One argument\n" +
			"that could be a name is the NAME: write ./specs for a directory. SIGHUP reads the spec again, and what\n" +
			"changed takes effect without dropping a connection; SIGINT or SIGTERM answers what was asked, then ends.\n" +
			"SIGUSR2 starts the binary anew, which takes the listeners over: no connection is refused.\n" +
			"rsm apply starts proxies by itself, in the background, with --config.",
		Subcommands:     []*cli.Command{proxyStatusCommand(con)},
		HideHelpCommand: true, // a proxy may be called help
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "config", Usage: "read this rendered `FILE` instead of a spec"},
		},
		Action: func(c *cli.Context) error {
			if file := c.String("config"); file != "" {
				if c.NArg() > 0 {
					return usage("--config takes the place of NAME and PATH")
				}
				return serve(c.Context, con, renderedProxy(file))
			}
			name, path, err := proxyArgs(c.Args().Slice())
			if err != nil {
				return err
			}
			return serve(c.Context, con, proxySource{load: func(ctx context.Context) (schema.ProxyRole, string, error) {
				return specProxy(ctx, con, name, path)
			}})
		},
	}
}

var couldBeName = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)

// proxyArgs tells NAME from PATH.
func proxyArgs(args []string) (name, path string, err error) {
	switch {
	case len(args) > 2:
		return "", "", usage("one NAME and one PATH are wanted, got %s", strings.Join(args, " "))
	case len(args) == 2:
		return args[0], args[1], nil
	case len(args) == 1 && couldBeName.MatchString(args[0]):
		return args[0], ".", nil
	case len(args) == 1:
		return "", args[0], nil
	}
	return "", ".", nil
}

// proxySource is where a proxy's settings come from.
type proxySource struct {
	// load returns them with their digest; the digest is right even with an error,
	// if there is anything to digest.
	load func(context.Context) (schema.ProxyRole, string, error)
	// binary is what a successor runs; nil or "" for the file of this process.
	binary func() string
	// tell hears what became of them; nil when nobody wants to know.
	tell func(reconcile.Loaded) error
}

// renderedProxy reads the file that reconcile wrote, and tells beside it.
func renderedProxy(file string) proxySource {
	return proxySource{
		load: func(context.Context) (schema.ProxyRole, string, error) {
			content, err := os.ReadFile(file)
			if err != nil {
				return schema.ProxyRole{}, "", fmt.Errorf("read proxy: %w", err)
			}
			role, err := schema.DecodeProxyRole(content)
			return role, schema.DigestOf(content), err
		},
		binary: func() string { return host.NextBinary(file) },
		tell:   func(l reconcile.Loaded) error { return host.WriteLoaded(file, l) },
	}
}

// specProxy finds a proxy in a spec.
func specProxy(ctx context.Context, con *console, name, path string) (schema.ProxyRole, string, error) {
	role, err := specRole(ctx, con, reconcile.KindProxy, name, path, (*schema.Spec).ProxyRole)
	if err != nil {
		return role, "", err
	}
	return role, role.Digest(), nil
}
