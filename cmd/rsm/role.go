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
	"rsm/schema"
)

// loadRole reads the settings of the role that a command runs, and names them:
// those of the file that reconcile wrote (--config), or of the spec.
func loadRole[R reconcile.Settings](c *cli.Context, con *console, kind reconcile.Kind, find func(*schema.Spec, string) (R, error)) (role R, digest string, err error) {
	file := c.String("config")
	if file == "" {
		name, path, err := proxyArgs(c.Args().Slice())
		if err != nil {
			return role, "", err
		}
		role, err = specRole(c.Context, con, kind, name, path, find)
		if err != nil {
			return role, "", err
		}
		return role, role.Digest(), nil
	}
	if c.NArg() > 0 {
		return role, "", usage("--config takes the place of NAME and PATH")
	}
	content, err := os.ReadFile(file)
	if err == nil {
		err = schema.Decode(content, &role)
	}
	if err != nil {
		return role, "", fmt.Errorf("read %s: %s: %w", kind, file, err)
	}
	return role, schema.DigestOf(content), nil
}

// specRole finds a role in a spec; the name may be empty when there is one of its
// kind.
func specRole[R any](ctx context.Context, con *console, kind reconcile.Kind, name, path string, find func(*schema.Spec, string) (R, error)) (role R, err error) {
	spec, err := loadSpec(ctx, con, path)
	if err != nil {
		return role, err
	}
	if name == "" {
		var names []string
		for _, cluster := range spec.Clusters {
			for _, declared := range reconcile.DeclaredRoles(cluster) {
				if declared.Kind == kind {
					names = append(names, declared.Name)
				}
			}
		}
		if len(names) != 1 {
			if len(names) == 0 {
				return role, usage("%s declares no %s", path, kind)
			}
			return role, usage("%s has more than one %s: give the NAME of one, %s", path, kind, strings.Join(names, " or "))
		}
		name = names[0]
	}
	if role, err = find(spec, name); err != nil {
		return role, usage("%s: %v", path, err)
	}
	return role, nil
}

// tellLoaded tells reconcile that a role runs with the settings of that file; who
// was started without one has nobody to tell.
func tellLoaded(log *slog.Logger, file, digest string) {
	if file == "" {
		return
	}
	if err := host.WriteLoaded(file, reconcile.Loaded{Version: version, Digest: digest}); err != nil {
		log.Error("tell what is loaded", "error", err)
	}
}
