package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"rsm/reconcile"
	"rsm/runtime/controller/ledger"
	"rsm/schema"
)

func statusCommand(con *console) *cli.Command {
	return &cli.Command{
		Name:      "status",
		Usage:     "show who leads, who follows, who watches, and what differs",
		ArgsUsage: "[PATH]",
		Flags: []cli.Flag{
			clusterFlag(), stateDirFlag(),
			&cli.BoolFlag{Name: "json", Usage: "print JSON"},
			&cli.BoolFlag{Name: "watch", Usage: "show it again and again"},
			&cli.DurationFlag{Name: "interval", Value: 2 * time.Second, Usage: "time between two looks, with --watch"},
		},
		Action: func(c *cli.Context) error {
			d, err := openStatus(c, con)
			if err != nil {
				return err
			}
			if !c.Bool("watch") {
				return d.showStatus(c.Context, c.Bool("json"))
			}
			return watchStatus(c, d)
		},
	}
}

// openStatus is openDeployment, or what rsm serve keeps up when no PATH is given
// and there is no spec here.
func openStatus(c *cli.Context, con *console) (*deployment, error) {
	book, err := openLedger(c)
	if err != nil {
		return nil, err
	}
	control, err := book.Read()
	if err != nil {
		return nil, err
	}
	if !inForce(c.NArg(), control) {
		path, err := onePath(c)
		if err != nil {
			return nil, err
		}
		return openDeployment(c, con, path)
	}
	tellPending(con.err, control)
	spec, err := specInForce(book, control)
	if err != nil {
		return nil, err
	}
	return openWith(c, con, spec, "the service's clusters")
}

// watchStatus shows the status until it is interrupted.
func watchStatus(c *cli.Context, d *deployment) error {
	var failed error
	ctx, cancel := context.WithCancel(c.Context)
	defer cancel()
	loop := reconcile.NewLoop(c.Duration("interval"), func(ctx context.Context) {
		if isTerminal(d.con.out) && !c.Bool("json") {
			fmt.Fprint(d.con.out, "\x1b[H\x1b[2J")
		}
		if failed = d.showStatus(ctx, c.Bool("json")); failed != nil {
			cancel()
		}
	})
	_ = loop.Run(ctx)
	if c.Context.Err() != nil {
		return nil
	}
	return failed
}

func (d *deployment) showStatus(ctx context.Context, asJSON bool) error {
	control, err := ledger.Open(ledgerDir(d.host.Dir), nil).Read()
	if err != nil {
		return err
	}
	var list []*clusterStatus
	for _, o := range d.observeAll(ctx) {
		if o.err != nil {
			return o.err
		}
		s := newStatus(o.cluster, o.state)
		s.Commit = newCommitStatus(control, s.Name, time.Now())
		list = append(list, s)
	}
	if asJSON {
		doc, err := newStatusDocument(d.spec.Digest, time.Now(), list)
		if err != nil {
			return err
		}
		return writeJSON(d.con.out, doc)
	}
	for i, s := range list {
		if i > 0 {
			fmt.Fprintln(d.con.out)
		}
		writeStatus(d.con.out, painter(d.con.out), s)
	}
	return nil
}

// clusterStatus is one cluster of rsm status --json.
type clusterStatus struct {
	Name string `json:"name"`
	// Health is in sync, drifted, held, or no master.
	Health string `json:"health"`
	// Commit is nil where rsm serve does not work.
	Commit    *commitStatus    `json:"commit,omitempty"`
	Authority *authorityStatus `json:"authority"`
	Redis     []redisStatus    `json:"redis"`
	Sentinels []sentinelStatus `json:"sentinels"`
	Proxies   []roleStatus     `json:"proxies,omitempty"`
	// Roles are the agents, dispatchers and workers.
	Roles []roleStatus `json:"roles,omitempty"`
	// Operations are the queues, handlers and rules that Redis holds, by kind.
	Operations *operationsStatus   `json:"operations,omitempty"`
	Quorum     quorumStatus        `json:"quorum"`
	Drift      []reconcile.Drift   `json:"drift"`
	Held       []reconcile.Held    `json:"held"`
	Invalid    []reconcile.Invalid `json:"invalid,omitempty"`
	// State is everything that was observed.
	State *reconcile.State `json:"state"`
}

type authorityStatus struct {
	Node    string      `json:"node"`
	Address schema.Addr `json:"address"`
	Epoch   uint64      `json:"epoch"`
	Votes   int         `json:"votes"`
}

type redisStatus struct {
	Name     string          `json:"name"`
	Address  schema.Addr     `json:"address"`
	Reach    reconcile.Reach `json:"reach"`
	Why      string          `json:"why,omitempty"`
	Role     reconcile.Role  `json:"role,omitempty"`
	Master   schema.Addr     `json:"master,omitempty"`
	Link     string          `json:"link,omitempty"`
	LagBytes int64           `json:"lag_bytes"`
	LastIO   float64         `json:"last_io_seconds"`
	Keys     int64           `json:"keys"`
	Offset   int64           `json:"offset"`
	Version  string          `json:"version,omitempty"`
	PID      int             `json:"pid,omitempty"`
	Uptime   float64         `json:"uptime_seconds,omitempty"`
}

type sentinelStatus struct {
	Name     string          `json:"name"`
	Address  schema.Addr     `json:"address"`
	Reach    reconcile.Reach `json:"reach"`
	Why      string          `json:"why,omitempty"`
	Master   schema.Addr     `json:"master,omitempty"`
	Epoch    uint64          `json:"epoch"`
	Flags    []string        `json:"flags,omitempty"`
	Replicas int             `json:"replicas"`
	Peers    int             `json:"peers"`
	Quorum   string          `json:"quorum,omitempty"`
	PID      int             `json:"pid,omitempty"`
}

// operationsStatus is what is published for dispatchers and workers.
type operationsStatus struct {
	Digest   string   `json:"digest"`
	Queues   []string `json:"queues"`
	Handlers []string `json:"handlers"`
	Rules    []string `json:"rules"`
	// Settings is current or old.
	Settings string `json:"settings"`
	// Firing is how many alerts fire.
	Firing int64 `json:"alerts_firing"`
}

type roleStatus struct {
	Name    string          `json:"name"`
	Kind    reconcile.Kind  `json:"kind"`
	Address schema.Addr     `json:"address"`
	Reach   reconcile.Reach `json:"reach"`
	Why     string          `json:"why,omitempty"`
	// Settings is current, old or refused; empty when that is not known.
	Settings string `json:"settings,omitempty"`
	// Behind says why it does not follow what is published, empty when it does.
	Behind  string `json:"behind,omitempty"`
	Version string `json:"version,omitempty"`
	PID     int    `json:"pid,omitempty"`
}

type quorumStatus struct {
	Quorum   int  `json:"quorum"`
	Majority int  `json:"majority"`
	Total    int  `json:"total"`
	Up       int  `json:"up"`
	OK       bool `json:"ok"`
}

func newStatus(c *schema.Cluster, s *reconcile.State) *clusterStatus {
	plan := reconcile.NewPlan(c, s, nil)
	out := &clusterStatus{Name: c.Name, State: s, Drift: plan.Drift, Held: plan.Held, Invalid: plan.Invalid,
		Quorum: quorumStatus{Quorum: c.Sentinel.Quorum, Majority: c.Sentinel.Majority(), Total: len(c.Sentinel.Nodes), OK: s.HasQuorum()}}
	master := s.Authority()
	if master != nil {
		out.Authority = &authorityStatus{Node: master.Name, Address: master.Addr, Epoch: s.Epoch()}
	}
	for _, n := range c.Redis.Nodes {
		out.Redis = append(out.Redis, newRedisStatus(s.Redis[n.Name], master))
	}
	for _, n := range c.Sentinel.Nodes {
		r := s.Sentinels[n.Name]
		if r.Reach == reconcile.Up {
			out.Quorum.Up++
		}
		if master != nil && r.Knows() && r.Master == master.Addr {
			out.Authority.Votes++
		}
		out.Sentinels = append(out.Sentinels, sentinelStatus{
			Name: r.Name, Address: r.Addr, Reach: r.Reach, Why: r.Why, Master: r.Master, Epoch: r.Epoch, Flags: r.Flags,
			Replicas: len(r.Replicas), Peers: len(r.Peers), Quorum: r.QuorumText, PID: r.Process.PID,
		})
	}
	for _, role := range reconcile.DeclaredRoles(c) {
		status := newRoleStatus(s.Roles[role.Name], role.Digest())
		if role.Kind == reconcile.KindProxy {
			out.Proxies = append(out.Proxies, status)
		} else {
			out.Roles = append(out.Roles, status)
		}
	}
	out.Operations = newOperationsStatus(c, s)
	out.Health = health(plan, master)
	return out
}

func newRedisStatus(r, master *reconcile.RedisState) redisStatus {
	out := redisStatus{Name: r.Name, Address: r.Addr, Reach: r.Reach, Why: r.Why, Role: r.Role, Master: r.Master,
		Keys: r.Keys, Offset: r.Offset, Version: r.Version, PID: r.Process.PID, LastIO: r.LastIO.Seconds(), Uptime: r.Uptime.Seconds()}
	switch {
	case r.Reach != reconcile.Up:
		return out
	case r.Loading:
		out.Link = "loading"
	case r.Role == reconcile.Master:
	case r.Syncing:
		out.Link = "syncing"
	case r.LinkUp:
		out.Link = "up"
	default:
		out.Link = "down"
	}
	if master != nil && r.Role == reconcile.Replica && r.Master == master.Addr {
		out.LagBytes = max(0, master.Offset-r.Offset)
	}
	return out
}

func newRoleStatus(r *reconcile.RoleState, want string) roleStatus {
	out := roleStatus{Name: r.Name, Kind: r.Kind, Address: r.Addr, Reach: r.Reach, Why: r.Why, Behind: r.Behind, Version: r.Version, PID: r.Process.PID}
	switch {
	case r.Digest == "":
	case r.Digest == want:
		out.Settings = "current"
	case r.Refused == want:
		out.Settings = "refused"
	default:
		out.Settings = "old"
	}
	return out
}

// newOperationsStatus is nil for a cluster without roles of rsm in its Redis.
func newOperationsStatus(c *schema.Cluster, s *reconcile.State) *operationsStatus {
	if !reconcile.HasOperations(c) || s.Published == nil {
		return nil
	}
	out := &operationsStatus{Digest: s.Published.Operations["digest"], Queues: []string{}, Handlers: []string{}, Rules: []string{}, Settings: "old", Firing: s.Published.Firing}
	if out.Digest == reconcile.OperationsDigest(c) {
		out.Settings = "current"
	}
	for _, item := range slices.Sorted(maps.Keys(s.Published.Operations)) {
		switch kind, name, _ := strings.Cut(item, "/"); kind {
		case "queue":
			out.Queues = append(out.Queues, name)
		case "handler":
			out.Handlers = append(out.Handlers, name)
		case "rule":
			out.Rules = append(out.Rules, name)
		}
	}
	return out
}

func health(plan *reconcile.Plan, master *reconcile.RedisState) string {
	switch {
	case len(plan.Invalid) > 0:
		return "invalid"
	case master == nil:
		return "no master"
	case len(plan.Steps) > 0:
		return "drifted"
	case len(plan.Held) > 0:
		return "held"
	}
	return "in sync"
}
