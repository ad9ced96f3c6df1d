package reconcile

import (
	"strings"

	"rsm/schema"
)

// The Sentinels of a state text.

func (p *stateText) sentinel(r *SentinelState, w words) {
	process(&r.Process, w)
	switch {
	case w.flag("down"):
		p.remember(r, w)
		return
	case w.flag("unknown"):
		r.Reach, r.Why = Unknown, w.text("why", "no answer in 3s")
		return
	}
	r.Reach, r.Process.Running, r.MyID = Up, r.Process.Local, w.text("id", "id-"+r.Name)
	r.Version, r.Tilt = "7.0.15", w.flag("tilt")
	if w.flag("bare") {
		return
	}
	spec := p.c.Sentinel
	r.Master, r.Epoch = p.addr(w.text("monitors", p.leader)), uint64(w.number("epoch", 1))
	r.Flags, r.RoleReported = strings.Split(w.text("flags", "master"), ","), Role(w.text("role", "master"))
	r.Quorum, r.ParallelSyncs = int(w.number("quorum", int64(spec.Quorum))), int(w.number("parallel-syncs", int64(spec.ParallelSyncs)))
	r.DownAfter = w.duration("down-after", spec.DownAfter)
	r.FailoverTimeout = w.duration("failover-timeout", spec.FailoverTimeout)
	p.knows[r.Name] = words{}
	for _, key := range []string{"knows", "peers"} {
		if w.has(key) {
			p.knows[r.Name][key] = w.text(key, "")
		}
	}
}

// remember gives a Sentinel that is down the file of one that knew everything.
func (p *stateText) remember(r *SentinelState, w words) {
	if !w.has("remembers") {
		return
	}
	spec, knew := p.c.Sentinel, &SentinelState{Addr: r.Addr, Master: p.addr(w.text("remembers", ""))}
	m := &Memory{
		Master: knew.Master, Epoch: uint64(w.number("epoch", 1)), Quorum: spec.Quorum, DownAfter: spec.DownAfter,
		FailoverTimeout: spec.FailoverTimeout, ParallelSyncs: spec.ParallelSyncs,
	}
	m.Replicas, m.Peers = p.others(knew)
	r.Process.Memory, r.Process.Data = m, Yes
}

// discover fills in what each Sentinel knows: what the text says, or everything
// of the spec.
func (p *stateText) discover() {
	for name, said := range p.knows {
		r := p.s.Sentinels[name]
		replicas, peers := p.others(r)
		if said.has("knows") {
			replicas = p.addrs(said["knows"])
		}
		if said.has("peers") {
			peers = p.addrs(said["peers"])
		}
		for _, addr := range replicas {
			r.Replicas = append(r.Replicas, KnownReplica{Addr: addr, Flags: p.flags("slave", addr)})
		}
		for _, addr := range peers {
			r.Peers = append(r.Peers, KnownPeer{Addr: addr, Flags: p.flags("sentinel", addr)})
		}
	}
}

func (p *stateText) others(r *SentinelState) (replicas, peers []schema.Addr) {
	for _, n := range p.c.Redis.Nodes {
		if n.Addr != r.Master {
			replicas = append(replicas, n.Addr)
		}
	}
	for _, n := range p.c.Sentinel.Nodes {
		if n.Addr != r.Addr {
			peers = append(peers, n.Addr)
		}
	}
	return replicas, peers
}

// flags are those of a known server: an address outside of the spec is down.
func (p *stateText) flags(kind string, addr schema.Addr) []string {
	_, redis := p.c.Redis.At(addr)
	_, sentinel := p.c.Sentinel.At(addr)
	if !redis && !sentinel {
		return []string{"s_down", kind, "disconnected"}
	}
	return []string{kind}
}

// proxy reads what is seen of a proxy: with maxclients it runs with that setting
// instead of the spec's, with rsm that version while v2.0.0 looks, with blind nothing is known of its settings.
func (p *stateText) proxy(r *ProxyState, w words) {
	role, _ := p.c.ProxyRole(r.Name)
	want := role.Digest()
	process(&r.Process, w)
	switch {
	case w.flag("down"):
	case w.flag("unknown"):
		r.Reach, r.Why = Unknown, w.text("why", "no answer in 3s")
	case w.flag("up"):
		role.Proxy.MaxClients = int(w.number("maxclients", int64(role.Proxy.MaxClients)))
		r.start(role)
		r.Process.PID = int(w.number("pid", 0))
		if w.flag("blind") {
			r.Role, r.Digest = nil, "d"
		}
	default:
		panic(r.Name + " is not up, down or unknown")
	}
	if !r.Process.Local {
		r.Loaded = Loaded{}
	}
	if version := w.text("rsm", ""); version != "" {
		r.Version, r.Process.Binary = version, "v2.0.0"
	}
	if refusal := w.text("refused", ""); refusal != "" {
		r.Refused, r.Refusal = want, refusal
	}
}
