package proxy

import (
	"context"
	"net/http"
	"time"

	"rsm/runtime/proxy/follow"
	"rsm/runtime/proxy/relay"
	"rsm/schema"
)

// Status is what the admin listener tells at /status. Times that never were are
// left out.
type Status struct {
	Time    time.Time `json:"time"`
	Proxy   string    `json:"proxy"`
	Cluster string    `json:"cluster"`
	Version string    `json:"version"`
	// Config is the digest of the settings that are in force.
	Config  string    `json:"config"`
	Started time.Time `json:"started"`
	Uptime  float64   `json:"uptime_seconds"`
	// Ready tells whether requests can be served, Why why not.
	Ready  bool         `json:"ready"`
	Why    string       `json:"why,omitempty"`
	Master MasterStatus `json:"master"`

	Sentinels []SentinelStatus     `json:"sentinels"`
	Nodes     []NodeStatus         `json:"nodes"`
	Switches  []SwitchStatus       `json:"switches"` // the last ones, oldest first
	Clients   ClientsStatus        `json:"clients"`
	Held      relay.HeldReport     `json:"held"`
	InFlight  int                  `json:"in_flight"`
	Listeners []ListenerStatus     `json:"listeners"`
	Backends  []relay.ServerReport `json:"backends"`
	Loops     []relay.LoopReport   `json:"loops"`
	Counters  relay.Counters       `json:"counters"`
	Latency   relay.Latency        `json:"latency"` // of all commands
	Commands  []CommandStatus      `json:"commands"`
}

// MasterStatus is where requests go.
type MasterStatus struct {
	Addr  schema.Addr `json:"address,omitempty"`
	Node  string      `json:"node,omitempty"`
	RunID string      `json:"run_id,omitempty"`
	Epoch uint64      `json:"epoch"`
	// Since is when requests went there first.
	Since *time.Time `json:"since,omitempty"`
	// Proof is how long ago it last proved to be the master, in seconds.
	Proof float64 `json:"proof_age_seconds"`
	// Hold is set while requests wait though it is the master, or while there is
	// none; Why says why.
	Hold bool   `json:"hold"`
	Why  string `json:"why,omitempty"`
}

// SentinelStatus is what is known of a Sentinel.
type SentinelStatus struct {
	Name       string      `json:"name"`
	Addr       schema.Addr `json:"address"`
	Reachable  bool        `json:"reachable"`
	Since      *time.Time  `json:"since,omitempty"` // reachable or not
	Error      string      `json:"error,omitempty"`
	Subscribed bool        `json:"subscribed"`
	EarError   string      `json:"subscription_error,omitempty"`
	Master     schema.Addr `json:"master,omitempty"`
	Epoch      uint64      `json:"epoch"`
	Flags      string      `json:"flags,omitempty"`
	Event      string      `json:"event,omitempty"`
	EventAt    *time.Time  `json:"event_at,omitempty"`
}

// NodeStatus is what is known of a redis-server.
type NodeStatus struct {
	Name   string      `json:"name"`
	Addr   schema.Addr `json:"address"`
	Role   string      `json:"role,omitempty"`
	Master schema.Addr `json:"master,omitempty"`
	LinkUp bool        `json:"link_up"`
	Offset int64       `json:"offset"`
	Error  string      `json:"error,omitempty"`
	// Stale is how old the data of a replica is at most, in seconds; left out
	// when nobody asked for it.
	Stale *float64 `json:"stale_seconds,omitempty"`
}

// SwitchStatus is a change of the master.
type SwitchStatus struct {
	At    time.Time   `json:"at"`
	From  schema.Addr `json:"from,omitempty"`
	To    schema.Addr `json:"to"`
	Epoch uint64      `json:"epoch"`
	// Seconds is for how long there was none.
	Seconds float64 `json:"seconds"`
}

// ClientsStatus counts clients, and what they do (see relay.ClientReport).
type ClientsStatus struct {
	Total  int            `json:"total"`
	Limit  int            `json:"limit"`
	States map[string]int `json:"states"`
}

// ListenerStatus is a listener and its traffic.
type ListenerStatus struct {
	relay.ListenerReport
	Addr   schema.Addr `json:"address,omitempty"`
	Socket string      `json:"socket,omitempty"`
	// Open is false of one that is declared no more.
	Open bool `json:"open"`
}

// CommandStatus is how one command is answered. P50 and P99 are estimates from a
// histogram, right to a factor of two.
type CommandStatus struct {
	Name   string  `json:"name"`
	Count  uint64  `json:"count"`
	Errors uint64  `json:"errors"`
	Mean   float64 `json:"mean_seconds"`
	P50    float64 `json:"p50_seconds"`
	P99    float64 `json:"p99_seconds"`
}

func (p *Proxy) serveStatus(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), askTime)
	defer cancel()
	status, err := p.Status(ctx)
	writeJSON(w, status, err)
}

// Status tells what the proxy knows and does. The error is for an event loop that
// does not answer before ctx ends.
func (p *Proxy) Status(ctx context.Context) (Status, error) {
	report, err := p.relay.Report(ctx)
	if err != nil {
		return Status{}, err
	}
	now, role, known := time.Now(), p.role.Load(), p.follower.Load().Status()
	why := p.unready(now)
	s := Status{
		Time: now.UTC(), Proxy: role.Proxy.Name, Cluster: role.Cluster.Name, Config: role.Digest(),
		Started: p.started.UTC(), Uptime: now.Sub(p.started).Seconds(), Ready: why == "", Why: why,
		Master: masterStatus(known, role, now), Sentinels: []SentinelStatus{}, Nodes: []NodeStatus{}, Switches: []SwitchStatus{},
		Clients:   ClientsStatus{Limit: role.Proxy.MaxClients, States: report.States},
		Held:      report.Held,
		Listeners: listenerStatus(report.Listeners, role),
		Backends:  orEmpty(report.Servers), Loops: report.Loops, Counters: report.Counters,
		Commands: []CommandStatus{},
	}
	if version := p.version.Load(); version != nil {
		s.Version = *version
	}
	for _, l := range report.Loops {
		s.Clients.Total += l.Clients
		s.InFlight += l.InFlight
	}
	for _, c := range report.Commands {
		s.Latency.Add(c.Latency)
		s.Commands = append(s.Commands, CommandStatus{
			Name: c.Name, Count: c.Count, Errors: c.Errors, Mean: c.Seconds() / float64(c.Count),
			P50: c.Quantile(0.5).Seconds(), P99: c.Quantile(0.99).Seconds(),
		})
	}
	s.follow(known, role, now)
	return s, nil
}

func masterStatus(known follow.Status, role *schema.ProxyRole, now time.Time) MasterStatus {
	t := known.Target
	m := MasterStatus{Addr: t.Master, RunID: t.RunID, Epoch: t.Epoch, Hold: t.Hold || t.Master == "", Why: t.Why}
	if t.Master == "" {
		return m
	}
	m.Node, m.Proof = nodeName(role, t.Master), now.Sub(t.Proof).Seconds()
	for _, s := range known.Switches {
		if s.To == t.Master {
			m.Since = moment(s.At)
		}
	}
	return m
}

func nodeName(role *schema.ProxyRole, addr schema.Addr) string {
	for _, n := range role.Cluster.Redis.Nodes {
		if n.Addr == addr {
			return n.Name
		}
	}
	return ""
}

// follow copies what the follower knows.
func (s *Status) follow(known follow.Status, role *schema.ProxyRole, now time.Time) {
	names := map[schema.Addr]string{}
	for _, n := range role.Cluster.Sentinel.Nodes {
		names[n.Addr] = n.Name
	}
	for _, v := range known.Sentinels {
		s.Sentinels = append(s.Sentinels, SentinelStatus{
			Name: names[v.Addr], Addr: v.Addr, Reachable: v.Reachable, Since: moment(v.Since), Error: v.Error,
			Subscribed: v.Subscribed, EarError: v.EarError, Master: v.Master, Epoch: v.Epoch, Flags: v.Flags,
			Event: v.Event, EventAt: moment(v.EventAt),
		})
	}
	fresh := map[schema.Addr]time.Time{}
	for _, r := range known.Target.Replicas {
		fresh[r.Addr] = r.FreshAsOf
	}
	for _, n := range known.Nodes {
		node := NodeStatus{
			Name: nodeName(role, n.Addr), Addr: n.Addr, Role: n.Role, Master: n.Master, LinkUp: n.LinkUp, Offset: n.Offset, Error: n.Error,
		}
		if at := fresh[n.Addr]; !at.IsZero() {
			stale := max(0, now.Sub(at).Seconds())
			node.Stale = &stale
		}
		s.Nodes = append(s.Nodes, node)
	}
	for _, v := range known.Switches {
		s.Switches = append(s.Switches, SwitchStatus{At: v.At.UTC(), From: v.From, To: v.To, Epoch: v.Epoch, Seconds: v.At.Sub(v.Since).Seconds()})
	}
}

// listenerStatus puts what is declared and what was counted together.
func listenerStatus(counted []relay.ListenerReport, role *schema.ProxyRole) []ListenerStatus {
	all := []ListenerStatus{}
	left := map[string]relay.ListenerReport{}
	for _, c := range counted {
		left[c.Name] = c
	}
	for _, l := range role.Proxy.Listeners {
		report := left[l.Name]
		report.Name = l.Name
		all = append(all, ListenerStatus{ListenerReport: report, Addr: l.Addr, Socket: l.Socket, Open: true})
		delete(left, l.Name)
	}
	for _, c := range counted {
		if _, gone := left[c.Name]; gone {
			all = append(all, ListenerStatus{ListenerReport: c})
		}
	}
	return all
}

// moment is a time for JSON, nil for one that never was.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
