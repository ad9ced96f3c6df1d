package reconcile

import (
	"maps"
	"slices"
	"time"

	"rsm/schema"
)

// Reach tells what an observer could learn of a server. Unknown is never
// treated as absent.
type Reach string

const (
	// Up means that it answered as what the spec says it is.
	Up Reach = "up"
	// Down means proven absent: the connection was refused, nothing listens.
	Down Reach = "down"
	// Unknown is everything else: no answer in time, no route, an error reply.
	Unknown Reach = "unknown"
)

// Role is what a redis-server says it is.
type Role string

// The two roles; the wire calls a replica "slave".
const (
	Master  Role = "master"
	Replica Role = "replica"
)

// Kind is the kind of server behind a role of the spec.
type Kind string

// The kinds of role that this version starts.
const (
	KindRedis    Kind = "redis"
	KindSentinel Kind = "sentinel"
	KindProxy    Kind = "proxy"

	KindAgent      Kind = "agent"
	KindDispatcher Kind = "dispatcher"
	KindWorker     Kind = "worker"
)

// Presence is a three-valued yes or no.
type Presence string

// The values of Presence.
const (
	Yes   Presence = "yes"
	No    Presence = "no"
	Maybe Presence = "maybe"
)

// State is what was seen of one cluster. It holds an entry for every node,
// Sentinel and role of rsm in the spec.
type State struct {
	Cluster   string                    `json:"cluster"`
	Redis     map[string]*RedisState    `json:"redis"`
	Sentinels map[string]*SentinelState `json:"sentinels"`
	Roles     map[string]*RoleState     `json:"roles,omitempty"`
	// Published is what the master holds for the roles of rsm, nil when there is no
	// master to ask.
	Published *Published `json:"published,omitempty"`
	// Surplus are roles that rsm started for this cluster and that the spec no
	// longer names.
	Surplus []SurplusRole `json:"surplus,omitempty"`
	// Record is the registration that rsm published last, nil when there is none.
	Record *Registration `json:"record,omitempty"`
}

// Process is what the host knows of a role.
type Process struct {
	// Local is true when this machine is the role's host, so that rsm can start
	// and stop it. Nothing else in Process is known when it is false.
	Local bool `json:"local"`
	// Running is true while the process that rsm started lives.
	Running bool `json:"running"`
	PID     int  `json:"pid,omitempty"`
	// Elsewhere is the address that the running process has, when the spec now
	// says another one.
	Elsewhere schema.Addr `json:"elsewhere,omitempty"`
	// Foreign names what listens on the role's address though rsm did not start
	// it, for example `nginx (pid 812)`.
	Foreign string `json:"foreign,omitempty"`
	// Data tells whether the role has a data set on disk.
	Data Presence `json:"data,omitempty"`
	// Memory is what a Sentinel that does not run will know when it starts, nil for
	// nothing.
	Memory *Memory `json:"memory,omitempty"`
	// Binary is the version of the server that would be started, only looked up
	// when the role is not running; BinaryErr says why there is none.
	Binary    string `json:"binary,omitempty"`
	BinaryErr string `json:"binary_error,omitempty"`
}

// Memory is what a Sentinel has written down of a master.
type Memory struct {
	Master          schema.Addr   `json:"master"`
	Epoch           uint64        `json:"epoch"`
	Quorum          int           `json:"quorum"`
	DownAfter       time.Duration `json:"down_after"`
	FailoverTimeout time.Duration `json:"failover_timeout"`
	ParallelSyncs   int           `json:"parallel_syncs"`
	Replicas        []schema.Addr `json:"replicas,omitempty"`
	Peers           []schema.Addr `json:"peers,omitempty"`
}

// RedisState is what was seen of one redis-server.
type RedisState struct {
	Name string      `json:"name"`
	Addr schema.Addr `json:"addr"`
	// Reach and Why: Why says what went wrong when Reach is not Up.
	Reach Reach  `json:"reach"`
	Why   string `json:"why,omitempty"`

	Version string `json:"version,omitempty"`
	RunID   string `json:"run_id,omitempty"`
	// Uptime is whole seconds since the server started.
	Uptime  time.Duration `json:"uptime,omitempty"`
	Loading bool          `json:"loading,omitempty"`
	Role    Role          `json:"role,omitempty"`
	// Keys is the number of keys in all databases.
	Keys int64 `json:"keys"`
	// Memory is used_memory in bytes, what maxmemory is compared with.
	Memory int64 `json:"memory,omitempty"`
	// Open is true when the spec has a password and the server asks for none.
	Open bool `json:"open,omitempty"`

	// Master is who a replica follows, empty for a master.
	Master schema.Addr `json:"master,omitempty"`
	LinkUp bool        `json:"link_up,omitempty"`
	// LinkDown is how long the link to the master has been down.
	LinkDown time.Duration `json:"link_down,omitempty"`
	// Syncing is true while a full sync from the master is under way.
	Syncing bool `json:"syncing,omitempty"`
	// LastIO is how long ago the master was heard, on a replica with a link.
	LastIO time.Duration `json:"last_io,omitempty"`

	// ReplID and Offset name the data set's history and how far this server is
	// in it. ReplID2 is the history it had before, valid up to SecondOffset
	// (exclusive; -1 for none).
	ReplID       string `json:"replid,omitempty"`
	ReplID2      string `json:"replid2,omitempty"`
	Offset       int64  `json:"offset"`
	SecondOffset int64  `json:"second_offset,omitempty"`
	// FullSyncs is how many copies of its whole data set it has sent to replicas
	// since it started.
	FullSyncs int64 `json:"full_syncs,omitempty"`
	// Replicas are the addresses of the replicas attached to this server.
	Replicas []schema.Addr `json:"replicas,omitempty"`

	ReadOnly  bool `json:"read_only,omitempty"` // a replica that refuses writes
	Announced bool `json:"announced,omitempty"`
	Priority  int  `json:"priority"`
	// FailoverState is master_failover_state when it is not "no-failover".
	FailoverState string `json:"failover_state,omitempty"`
	// Clients is the number of ordinary clients: no replicas, no Sentinels, not
	// rsm. Only counted on replicas that accept writes, else 0.
	Clients int `json:"clients,omitempty"`

	// Config holds the values of the managed directives as CONFIG GET gives them.
	Config map[string]string `json:"config,omitempty"`
	// Defaults holds the server's own value of directives that the last
	// registration lists as managed and that the spec has no more.
	Defaults map[string]string `json:"defaults,omitempty"`
	// BadConfig holds directives of the spec that this server refuses, with the
	// server's reason.
	BadConfig map[string]string `json:"bad_config,omitempty"`
	Process   Process           `json:"process"`
	// Copied is true when rsm keeps an RDB copy of exactly this data set: the
	// server's last save is kept, and nothing was written since.
	Copied bool `json:"copied,omitempty"`
}

// SentinelState is what was seen of one redis-sentinel, about this cluster's
// master name.
type SentinelState struct {
	Name  string      `json:"name"`
	Addr  schema.Addr `json:"addr"`
	Reach Reach       `json:"reach"`
	Why   string      `json:"why,omitempty"`

	Version string `json:"version,omitempty"`
	// Open is true when the spec has a password and the Sentinel asks for none.
	Open bool   `json:"open,omitempty"`
	MyID string `json:"my_id,omitempty"`
	Tilt bool   `json:"tilt,omitempty"`

	// Master is the address monitored under the cluster's name, empty when this
	// Sentinel does not know the name.
	Master schema.Addr `json:"master,omitempty"`
	// Epoch is the config-epoch of that knowledge.
	Epoch uint64 `json:"epoch"`
	// Flags are those of SENTINEL MASTER: master, s_down, o_down,
	// failover_in_progress, disconnected …
	Flags []string `json:"flags,omitempty"`
	// DownFor is how long this Sentinel has seen the master down, 0 while it does not.
	DownFor time.Duration `json:"down_for,omitempty"`
	// RoleReported is what the monitored server says it is.
	RoleReported Role `json:"role_reported,omitempty"`

	Quorum          int           `json:"quorum,omitempty"`
	DownAfter       time.Duration `json:"down_after,omitempty"`
	FailoverTimeout time.Duration `json:"failover_timeout,omitempty"`
	ParallelSyncs   int           `json:"parallel_syncs,omitempty"`

	// Usable is CKQUORUM's verdict, with its text in QuorumText.
	Usable     bool   `json:"usable,omitempty"`
	QuorumText string `json:"quorum_text,omitempty"`

	Replicas []KnownReplica `json:"replicas,omitempty"`
	Peers    []KnownPeer    `json:"peers,omitempty"`
	Process  Process        `json:"process"`
}

// KnownReplica is a replica as one Sentinel knows it.
type KnownReplica struct {
	Addr  schema.Addr `json:"addr"`
	Flags []string    `json:"flags,omitempty"`
}

// KnownPeer is another Sentinel as one Sentinel knows it.
type KnownPeer struct {
	Addr  schema.Addr `json:"addr"`
	ID    string      `json:"id,omitempty"`
	Flags []string    `json:"flags,omitempty"`
}

// SurplusRole is a role in rsm's state directory that the spec no longer names.
type SurplusRole struct {
	Name    string      `json:"name"`
	Kind    Kind        `json:"kind"`
	Addr    schema.Addr `json:"addr"`
	Running bool        `json:"running"`
	PID     int         `json:"pid,omitempty"`
}

// Registration is what rsm publishes of a cluster for others to find it.
type Registration struct {
	Cluster   string        `json:"cluster"`
	Epoch     uint64        `json:"epoch"`
	Master    schema.Addr   `json:"master"`
	Replicas  []schema.Addr `json:"replicas"`
	Sentinels []schema.Addr `json:"sentinels"`
	// Managed are the directives of the spec that rsm keeps equal, by node, so that
	// one that leaves the spec can go back to its default.
	Managed map[string][]string `json:"managed,omitempty"`
}

// mayHoldData reports whether a live server has keys, or may turn out to have.
func (r *RedisState) mayHoldData() bool { return r.Reach == Up && (r.Keys > 0 || r.Loading) }

// HasFlag reports whether the Sentinel flags its master so.
func (s *SentinelState) HasFlag(flag string) bool { return slices.Contains(s.Flags, flag) }

// Knows reports whether the Sentinel monitors anything under the cluster's name.
func (s *SentinelState) Knows() bool { return s.Reach == Up && s.Master != "" }

// Clone returns a deep copy.
func (s *State) Clone() *State {
	c := *s
	c.Redis = make(map[string]*RedisState, len(s.Redis))
	for name, r := range s.Redis {
		n := *r
		n.Config = maps.Clone(r.Config)
		n.BadConfig, n.Defaults = maps.Clone(r.BadConfig), maps.Clone(r.Defaults)
		n.Replicas = slices.Clone(r.Replicas)
		c.Redis[name] = &n
	}
	c.Sentinels = make(map[string]*SentinelState, len(s.Sentinels))
	for name, r := range s.Sentinels {
		n := *r
		n.Flags = slices.Clone(r.Flags)
		n.Replicas = slices.Clone(r.Replicas)
		n.Peers = slices.Clone(r.Peers)
		c.Sentinels[name] = &n
	}
	c.Roles = make(map[string]*RoleState, len(s.Roles))
	for name, r := range s.Roles {
		n := *r
		c.Roles[name] = &n
	}
	c.Published = s.Published.clone()
	c.Surplus = slices.Clone(s.Surplus)
	if s.Record != nil {
		record := *s.Record
		c.Record = &record
	}
	return &c
}
