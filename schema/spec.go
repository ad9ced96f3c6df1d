package schema

import (
	"slices"
	"time"
)

// Spec is everything that one directory of CUE files declares, with defaults
// filled in. It never names the current master: only a seed for the first
// start and promotion preferences. It holds no secret values, only where to
// find them.
type Spec struct {
	// Hosts are the machines, sorted by name.
	Hosts []Host
	// Clusters are the Redis deployments, sorted by name.
	Clusters []*Cluster
	// Positions tells where a path such as "clusters.cache.redis.config.save"
	// was written, as "file:line:col" relative to the spec directory.
	Positions map[string]string
	// Digest is the SHA-256 of the files the spec was read from, in hex.
	Digest string
}

// Host is a machine that runs roles.
type Host struct {
	Name string
	// Address is the IP address that clients, replicas and Sentinels use.
	Address string
	// Zone is where it stands, empty where hosts have none.
	Zone string `json:",omitempty"`
}

// Cluster is one master with its replicas and the Sentinels that watch it.
type Cluster struct {
	// Name is also the Sentinel master name, so it is unique in a spec.
	Name     string
	Redis    Redis
	Sentinel Sentinel
	Auth     Auth
	// Proxies are those that serve this cluster, sorted by name.
	Proxies []Proxy `json:",omitempty"`
	// Agents, Dispatchers and Workers are those that work through this cluster,
	// sorted by name.
	Agents      []Agent      `json:",omitempty"`
	Dispatchers []Dispatcher `json:",omitempty"`
	Workers     []Worker     `json:",omitempty"`
	// Operations are what its dispatchers and workers do.
	Operations Operations `json:",omitzero"`
	// DependsOn names the clusters that must have taken a commit before this one
	// does, sorted.
	DependsOn []string `json:",omitempty"`
	// Maintenance says when something new may be applied unasked.
	Maintenance Maintenance `json:",omitzero"`
}

// Maintenance says when something new may be applied with nobody asked. The zero
// value means always; package reconcile/window decides.
type Maintenance struct {
	// Allow are the windows to which changes are kept; empty means any time.
	Allow []Window `json:",omitempty"`
	// Deny are the windows without changes; they win over Allow.
	Deny []Window `json:",omitempty"`
}

// Window is a time that comes again and again.
type Window struct {
	// Cron says when it begins, in five fields. It begins at least once in ten
	// years.
	Cron string
	// For is how long it is: from 1 ms to 168 h.
	For time.Duration
	// Zone is the name of an IANA time zone, in which Cron is meant.
	Zone string
}

// Redis is the data side of a cluster.
type Redis struct {
	// Version is a constraint such as ">=7.0" or ">=6.2 <8"; empty allows all.
	Version string
	// Nodes are sorted by name.
	Nodes []RedisNode
	// Seed names the node that becomes master only when nothing at all is
	// live: no node has data and no Sentinel knows a master.
	Seed string
}

// RedisNode is one redis-server.
type RedisNode struct {
	Name string
	Host string
	Addr Addr
	// Zone is that of its host.
	Zone string `json:",omitempty"`
	// Priority is replica-priority: Sentinel prefers lower ones, 0 is never
	// promoted.
	Priority int
	// Config holds the redis.conf directives that rsm manages on this node:
	// the shared ones with the node's own on top, in lower case.
	Config map[string]string
}

// Sentinel is the watching side of a cluster.
type Sentinel struct {
	// Nodes are sorted by name.
	Nodes []SentinelNode
	// Quorum is how many Sentinels must see the master down before a failover
	// may start. The failover itself always needs Majority.
	Quorum          int
	DownAfter       time.Duration
	FailoverTimeout time.Duration
	ParallelSyncs   int
}

// SentinelNode is one redis-sentinel.
type SentinelNode struct {
	Name string
	Host string
	Addr Addr
}

// Auth tells where the passwords are. Nil fields mean "no password".
type Auth struct {
	// Password protects redis-server: requirepass, masterauth and the auth-pass
	// of the Sentinels.
	Password *Secret
	// SentinelPassword protects the Sentinels themselves and is what they use
	// with each other.
	SentinelPassword *Secret
}

// Majority is how many Sentinels must agree to authorise a failover.
func (s Sentinel) Majority() int { return len(s.Nodes)/2 + 1 }

// Node returns the named redis node.
func (r Redis) Node(name string) (RedisNode, bool) {
	i := slices.IndexFunc(r.Nodes, func(n RedisNode) bool { return n.Name == name })
	if i < 0 {
		return RedisNode{}, false
	}
	return r.Nodes[i], true
}

// At returns the redis node that has the address.
func (r Redis) At(addr Addr) (RedisNode, bool) {
	i := slices.IndexFunc(r.Nodes, func(n RedisNode) bool { return n.Addr == addr })
	if i < 0 || addr == "" {
		return RedisNode{}, false
	}
	return r.Nodes[i], true
}

// Node returns the named Sentinel.
func (s Sentinel) Node(name string) (SentinelNode, bool) {
	i := slices.IndexFunc(s.Nodes, func(n SentinelNode) bool { return n.Name == name })
	if i < 0 {
		return SentinelNode{}, false
	}
	return s.Nodes[i], true
}

// At returns the Sentinel that has the address.
func (s Sentinel) At(addr Addr) (SentinelNode, bool) {
	i := slices.IndexFunc(s.Nodes, func(n SentinelNode) bool { return n.Addr == addr })
	if i < 0 || addr == "" {
		return SentinelNode{}, false
	}
	return s.Nodes[i], true
}

// Cluster returns the named cluster, or nil.
func (s *Spec) Cluster(name string) *Cluster {
	i := slices.IndexFunc(s.Clusters, func(c *Cluster) bool { return c.Name == name })
	if i < 0 {
		return nil
	}
	return s.Clusters[i]
}

// Host returns the named host.
func (s *Spec) Host(name string) (Host, bool) {
	i := slices.IndexFunc(s.Hosts, func(h Host) bool { return h.Name == name })
	if i < 0 {
		return Host{}, false
	}
	return s.Hosts[i], true
}
