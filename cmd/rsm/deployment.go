package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"rsm/internal/supervise"
	"rsm/reconcile"
	"rsm/reconcile/execute"
	"rsm/reconcile/host"
	"rsm/reconcile/observe"
	"rsm/schema"
)

// The flags that several commands share.
func stateDirFlag() cli.Flag {
	return &cli.StringFlag{Name: "state-dir", Usage: "where rsm keeps configuration, data and logs of what it starts",
		EnvVars: []string{"RSM_STATE_DIR"}, DefaultText: "/var/lib/rsm for root, else ~/.local/state/rsm"}
}

func clusterFlag() cli.Flag {
	return &cli.StringFlag{Name: "cluster", Usage: "only this `NAME` of the spec's clusters"}
}

func allowFlag() cli.Flag {
	return &cli.StringSliceFlag{Name: "allow", Usage: "release held drift: prune, clients, promote=NODE, data-loss=NODE"}
}

func parallelFlag() cli.Flag {
	return &cli.IntFlag{Name: "parallel", Value: 1, Usage: "how many clusters to work on at a time"}
}

func lockTimeoutFlag() cli.Flag {
	return &cli.DurationFlag{Name: "lock-timeout", Value: 10 * time.Second, Usage: "how long to wait for another rsm on the same state directory"}
}

// deployment is what a command works on: a spec, and this machine.
type deployment struct {
	con      *console
	spec     *schema.Spec
	clusters []*schema.Cluster
	host     *host.Host
	observer *observe.Observer
	allow    reconcile.Allow
}

// openDeployment loads the spec and finds the state directory of a command.
func openDeployment(c *cli.Context, con *console, path string) (*deployment, error) {
	allow, err := reconcile.ParseAllow(c.StringSlice("allow"))
	if err != nil {
		return nil, usage("%v", err)
	}
	dir, err := stateDir(c.String("state-dir"))
	if err != nil {
		return nil, err
	}
	d := newDeployment(con, dir, allow)
	if d.spec, err = loadSpec(c.Context, con, path); err != nil {
		return nil, err
	}
	if !c.IsSet("against") { // a state file stands for this machine, too
		d.tellOrphans()
	}
	return d, d.choose(c.String("cluster"), path)
}

// choose takes one cluster of the spec, or all when no name is given.
func (d *deployment) choose(name, where string) error {
	d.clusters = d.spec.Clusters
	if name == "" {
		return nil
	}
	cluster := d.spec.Cluster(name)
	if cluster == nil {
		return usage("there is no cluster %q in %s; it has %s", name, where, strings.Join(clusterNames(d.spec), ", "))
	}
	d.clusters = []*schema.Cluster{cluster}
	return nil
}

// openWith is openDeployment for a spec that is at hand.
func openWith(c *cli.Context, con *console, spec *schema.Spec, where string) (*deployment, error) {
	allow, err := reconcile.ParseAllow(c.StringSlice("allow"))
	if err != nil {
		return nil, usage("%v", err)
	}
	dir, err := stateDir(c.String("state-dir"))
	if err != nil {
		return nil, err
	}
	d := newDeployment(con, dir, allow)
	d.spec = spec
	return d, d.choose(c.String("cluster"), where)
}

func newDeployment(con *console, stateDir string, allow reconcile.Allow) *deployment {
	machine := &host.Host{Dir: stateDir, Version: version}
	return &deployment{con: con, host: machine, observer: &observe.Observer{Host: machine}, allow: allow}
}

func clusterNames(spec *schema.Spec) []string {
	names := make([]string, len(spec.Clusters))
	for i, cluster := range spec.Clusters {
		names[i] = cluster.Name
	}
	return names
}

// loadSpec evaluates the spec in a child process with limits and prints its
// problems on stderr.
func loadSpec(ctx context.Context, con *console, path string) (*schema.Spec, error) {
	spec, problems := evaluate(ctx, path)
	if len(problems) > 0 {
		_ = problems.WriteText(con.err, true)
	}
	if err := problems.Err(); err != nil {
		return nil, &exit{code: exitInvalid}
	}
	return spec, nil
}

// stateDir returns the absolute state directory: the flag, else what XDG says,
// else root's.
func stateDir(flag string) (string, error) {
	if flag != "" {
		return filepath.Abs(flag)
	}
	if os.Geteuid() == 0 {
		return "/var/lib/rsm", nil
	}
	if xdg := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(xdg) {
		return filepath.Join(xdg, "rsm"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find state directory: %w (set --state-dir)", err)
	}
	return filepath.Join(home, ".local", "state", "rsm"), nil
}

// applier performs plans of one cluster.
func (d *deployment) applier(c *schema.Cluster, notify func(reconcile.Event)) *reconcile.Applier {
	return &reconcile.Applier{
		Observer: d.observer,
		Executor: &execute.Executor{Auth: c.Auth, Host: d.host},
		Allow:    d.allow,
		Notify:   notify,
	}
}

// lock takes the state directory for this process, or says who holds it.
func (d *deployment) lock(c *cli.Context) (*supervise.Lock, error) {
	ctx, cancel := context.WithTimeout(c.Context, c.Duration("lock-timeout"))
	defer cancel()
	return d.host.Lock(ctx, "rsm "+c.Command.Name)
}

// observed is what was seen of one cluster, or why nothing was.
type observed struct {
	cluster *schema.Cluster
	state   *reconcile.State
	err     error
}

// observeAll looks at all clusters at once; each server has a deadline of its
// own, so one that hangs delays nobody else.
func (d *deployment) observeAll(ctx context.Context) []observed {
	all := make([]observed, len(d.clusters))
	var wg sync.WaitGroup
	for i, cluster := range d.clusters {
		wg.Go(func() {
			state, err := d.observer.Observe(ctx, cluster)
			all[i] = observed{cluster, state, err}
		})
	}
	wg.Wait()
	return all
}

// locate names where in the spec an invalid part was written: on the node, or
// among the settings that its cluster shares.
func (d *deployment) locate(bad reconcile.Invalid) string {
	if at, ok := d.spec.Positions[bad.Path]; ok {
		return at
	}
	parts := strings.Split(bad.Path, ".nodes.")
	if _, key, ok := strings.Cut(parts[len(parts)-1], ".config."); ok {
		if at, ok := d.spec.Positions[parts[0]+".config."+key]; ok {
			return at
		}
	}
	return bad.Path
}
