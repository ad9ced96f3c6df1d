// Package observe reads a live Redis and Sentinel deployment into a
// reconcile.State. It changes nothing on the servers.
//
// Every server of a cluster is probed at the same time, each with a deadline and
// a connection of its own, so that one that hangs costs the others nothing. A
// probe is one connection, one HELLO and one pipeline:
//
//	o := &observe.Observer{Host: host}
//	state, err := o.Observe(ctx, spec.Cluster("cache"))
//
// What goes wrong with one server is a fact of the state (Reach and Why), never
// an error of Observe; only a password that cannot be read, or a cancelled
// context, is.
package observe

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"rsm/reconcile"
	"rsm/schema"
)

// The defaults of Observer's fields.
const (
	DefaultTimeout  = 3 * time.Second
	DefaultParallel = 256
)

// Observer reads clusters. Its zero value is ready: it sees what the wire shows
// and treats every role as another machine's. It is safe for concurrent use.
type Observer struct {
	// Host tells what only this machine knows about the roles on it; nil when
	// nothing is local.
	Host Host
	// Timeout is the most that one server may take, from dialling to the last
	// reply; DefaultTimeout when 0.
	Timeout time.Duration
	// Parallel bounds the probes under way over all calls; DefaultParallel when 0.
	// It is read at the first Observe.
	Parallel int
	// Dial opens connections; net.Dialer's DialContext when nil.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)

	once  sync.Once
	slots chan struct{}
}

// Host is this machine, as far as an observer asks. Its methods are called from
// many goroutines at once.
type Host interface {
	Processes
	Files
	Records
}

// Processes knows the processes behind the roles of this machine.
type Processes interface {
	// Local reports whether the address is one of this machine's.
	Local(addr schema.Addr) bool
	// Process tells what is known of the role's process.
	Process(ctx context.Context, role reconcile.RoleRef) reconcile.Process
	// Adopt takes over a running server whose record was lost, if configFile is
	// the role's own configuration, and reports whether it did.
	Adopt(role reconcile.RoleRef, configFile string, pid int) bool
	// Loaded tells what settings the process of a role of rsm runs with.
	Loaded(role reconcile.RoleRef) reconcile.Loaded
}

// Files knows what lies on this machine's disk: programs and data.
type Files interface {
	// CheckConfig returns the directives that the installed redis-server refuses,
	// with its reason.
	CheckConfig(ctx context.Context, config map[string]string) (map[string]string, error)
	// Defaults returns the installed redis-server's own values of the directives,
	// without those that it does not know.
	Defaults(ctx context.Context, keys []string) (map[string]string, error)
	// Kept reports whether there is an RDB copy of the data set of that history,
	// saved in that second of the server's clock.
	Kept(role reconcile.RoleRef, replid string, saved int64) bool
}

// Records knows what rsm wrote down about a cluster.
type Records interface {
	// Record returns the registration published last, nil when there is none.
	Record(cluster string) (*reconcile.Registration, error)
	// Surplus returns the cluster's roles on this machine that are not in want.
	Surplus(cluster string, want []string) []reconcile.SurplusRole
}

// Observe returns the state of the cluster, with an entry for every role of the
// spec. The error is a *SecretError, the context's, or the registration's.
func (o *Observer) Observe(ctx context.Context, cluster *schema.Cluster) (*reconcile.State, error) {
	keys, err := readKeys(cluster)
	if err != nil {
		return nil, err
	}
	p := &pass{o: o, cluster: cluster, keys: keys}
	state := &reconcile.State{
		Cluster:   cluster.Name,
		Redis:     make(map[string]*reconcile.RedisState, len(cluster.Redis.Nodes)),
		Sentinels: make(map[string]*reconcile.SentinelState, len(cluster.Sentinel.Nodes)),
		Roles:     make(map[string]*reconcile.RoleState),
	}
	if o.Host != nil { // first, as it tells what else to ask the servers
		if state.Record, err = o.Host.Record(cluster.Name); err != nil {
			return nil, fmt.Errorf("observe %s: read registration: %w", cluster.Name, err)
		}
		p.record = state.Record
	}
	var wg sync.WaitGroup
	for _, node := range cluster.Redis.Nodes {
		r := &reconcile.RedisState{Name: node.Name, Addr: node.Addr}
		state.Redis[node.Name] = r
		wg.Go(func() { o.slot(func() { p.redis(ctx, node, r) }) })
	}
	for _, node := range cluster.Sentinel.Nodes {
		s := &reconcile.SentinelState{Name: node.Name, Addr: node.Addr}
		state.Sentinels[node.Name] = s
		wg.Go(func() { o.slot(func() { p.sentinel(ctx, s) }) })
	}
	for _, role := range reconcile.DeclaredRoles(cluster) {
		r := &reconcile.RoleState{Name: role.Name, Kind: role.Kind, Addr: role.Addr}
		state.Roles[role.Name] = r
		wg.Go(func() { o.slot(func() { p.role(ctx, role, r) }) })
	}
	wg.Wait()
	p.publications(ctx, state)
	if err := ended(ctx); err != nil { // what the probes saw is of the caller's haste, not of the servers
		return nil, fmt.Errorf("observe %s: %w", cluster.Name, err)
	}
	if o.Host != nil {
		state.Surplus = o.Host.Surplus(cluster.Name, roleNames(cluster))
	}
	return state, nil
}

// ended is ctx.Err, also in the moment when a connection's deadline, which is the
// context's, has passed just before the context notices.
func ended(ctx context.Context) error {
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
		return context.DeadlineExceeded
	}
	return ctx.Err()
}

// pass is one Observe: what its probes share.
type pass struct {
	o       *Observer
	cluster *schema.Cluster
	keys    keys
	record  *reconcile.Registration // what was published last, or nil

	mu    sync.Mutex
	holds map[string]holdings // what each redis-server that answered holds for the roles of rsm
}

// slot runs a probe when fewer than Parallel are under way. A probe's deadline
// starts inside, so that waiting here does not eat into it.
func (o *Observer) slot(probe func()) {
	o.once.Do(func() {
		n := o.Parallel
		if n <= 0 {
			n = DefaultParallel
		}
		o.slots = make(chan struct{}, n)
	})
	o.slots <- struct{}{}
	defer func() { <-o.slots }()
	probe()
}

func (o *Observer) timeout() time.Duration {
	if o.Timeout > 0 {
		return o.Timeout
	}
	return DefaultTimeout
}

func (o *Observer) dial(ctx context.Context, addr schema.Addr) (net.Conn, error) {
	return o.dialTo(ctx, "tcp", string(addr))
}

func roleNames(c *schema.Cluster) []string {
	names := make([]string, 0, len(c.Redis.Nodes)+len(c.Sentinel.Nodes))
	for _, n := range c.Redis.Nodes {
		names = append(names, n.Name)
	}
	for _, n := range c.Sentinel.Nodes {
		names = append(names, n.Name)
	}
	for _, r := range reconcile.DeclaredRoles(c) {
		names = append(names, r.Name)
	}
	return names
}
