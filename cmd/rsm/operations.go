package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"rsm/reconcile"
	"rsm/runtime/bus"
	"rsm/schema"
)

// operationsFlags say in which Redis the tasks, alerts and silences are that a
// command is about.
func operationsFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "spec", Usage: "the spec that declares the cluster: a `PATH`", DefaultText: "the current directory, or what rsm serve keeps up"},
		&cli.StringFlag{Name: "cluster", Usage: "the `NAME` of the cluster", DefaultText: "the only one with agents, dispatchers, workers or queues"},
		&cli.StringSliceFlag{Name: "sentinel", Usage: "ask this Sentinel, `HOST:PORT`, instead of a spec; may be given again, and needs --cluster; " +
			"passwords are in RSM_PASSWORD and RSM_SENTINEL_PASSWORD"},
		stateDirFlag(),
	}
}

// operations is a cluster's Redis, as far as tasks, alerts and silences go.
type operations struct {
	*bus.Client
	// published are the queues, handlers and rules that it holds.
	published schema.Operations
}

// withOperations runs do with the Redis that the flags of operationsFlags name.
func withOperations(c *cli.Context, con *console, do func(context.Context, *operations) error) error {
	access, err := chooseAccess(c, con)
	if err != nil {
		return err
	}
	client, err := bus.Connect(access, bus.Options{Name: "rsm-cli", PoolSize: 4})
	if err != nil {
		return err
	}
	defer client.Close()
	o := &operations{Client: client}
	ctx, cancel := context.WithTimeout(c.Context, 10*time.Second)
	defer cancel()
	var digest string
	o.published, digest, err = bus.LoadOperations(ctx, client)
	switch {
	case err != nil && digest == "": // it could not be asked
		return err
	case err != nil: // who has an old rsm at hand at night looks and silences all the same
		fmt.Fprintf(con.err, "warning: %v\n", err)
	}
	return do(c.Context, o)
}

// chooseAccess finds the cluster that the flags mean.
func chooseAccess(c *cli.Context, con *console) (schema.Access, error) {
	if sentinels := c.StringSlice("sentinel"); len(sentinels) > 0 {
		return sentinelAccess(sentinels, c.String("cluster"))
	}
	spec, err := specOfOperations(c, con)
	if err != nil {
		return schema.Access{}, err
	}
	name := c.String("cluster")
	var names []string
	for _, cluster := range spec.Clusters {
		if cluster.Name == name || name == "" && len(spec.Clusters) == 1 {
			return accessTo(cluster), nil
		}
		if reconcile.HasOperations(cluster) {
			names = append(names, cluster.Name)
		}
	}
	switch {
	case name != "":
		return schema.Access{}, usage("there is no cluster %q; the spec has %s", name, strings.Join(clusterNames(spec), ", "))
	case len(names) == 1:
		return accessTo(spec.Cluster(names[0])), nil
	}
	return schema.Access{}, usage("the spec has %d clusters: say which with --cluster, one of %s", len(spec.Clusters), strings.Join(clusterNames(spec), ", "))
}

// accessTo is how a command reaches a cluster.
func accessTo(c *schema.Cluster) schema.Access {
	access := schema.Access{Cluster: c.Name, Auth: c.Auth}
	for _, n := range c.Sentinel.Nodes {
		access.Sentinels = append(access.Sentinels, n.Addr)
	}
	return access
}

func sentinelAccess(sentinels []string, cluster string) (schema.Access, error) {
	if cluster == "" {
		return schema.Access{}, usage("--sentinel needs --cluster, the name that the Sentinels know the master by")
	}
	access := schema.Access{Cluster: cluster}
	for _, addr := range sentinels {
		if !strings.Contains(addr, ":") {
			return schema.Access{}, usage("--sentinel %s: HOST:PORT is wanted", addr)
		}
		access.Sentinels = append(access.Sentinels, schema.Addr(addr))
	}
	for name, into := range map[string]**schema.Secret{"RSM_PASSWORD": &access.Auth.Password, "RSM_SENTINEL_PASSWORD": &access.Auth.SentinelPassword} {
		if secret := (schema.Secret{Env: name}); os.Getenv(name) != "" {
			*into = &secret
		}
	}
	return access, nil
}

// specOfOperations is the spec that --spec names, else the one here, else what rsm
// serve keeps up.
func specOfOperations(c *cli.Context, con *console) (*schema.Spec, error) {
	if path := c.String("spec"); path != "" {
		return loadSpec(c.Context, con, path)
	}
	book, err := openLedger(c)
	if err != nil {
		return nil, err
	}
	control, err := book.Read()
	if err != nil {
		return nil, err
	}
	if inForce(0, control) {
		return specInForce(book, control)
	}
	return loadSpec(c.Context, con, ".")
}

// queueNamed are the settings of a queue; one that nobody has published is an error
// unless it is the one that always exists.
func (o *operations) queueNamed(name string) (schema.Queue, error) {
	i := slices.IndexFunc(o.published.Queues, func(q schema.Queue) bool { return q.Name == name })
	if i >= 0 {
		return o.published.Queues[i], nil
	}
	if name == "default" {
		return schema.Queue{Name: name}, nil
	}
	var names []string
	for _, q := range o.published.Queues {
		names = append(names, q.Name)
	}
	if len(names) == 0 {
		return schema.Queue{}, errors.New("there is no queue " + name + ": none has been published, see rsm apply")
	}
	return schema.Queue{}, errors.New("there is no queue " + name + "; there are " + strings.Join(names, ", "))
}
