package reconcile

import (
	"slices"
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

// role reads what is seen of a role of rsm: with other it runs with other settings
// than the spec's, with maxclients with that one, with rsm that version while
// v2.0.0 looks, with blind nothing is known of its settings.
func (p *stateText) role(r *RoleState, w words) {
	told := toldOf(p.c, r.Name)
	want := told.Digest()
	process(&r.Process, w)
	switch {
	case w.flag("down"):
	case w.flag("unknown"):
		r.Reach, r.Why = Unknown, w.text("why", "no answer in 3s")
	case w.flag("up"):
		if w.flag("other") {
			told = otherSettings(p.c, r)
		}
		if w.has("maxclients") {
			told.Proxy.Proxy.MaxClients = int(w.number("maxclients", 0))
		}
		r.start(told)
		r.Process.PID = int(w.number("pid", 0))
		if w.flag("blind") {
			r.Told, r.Digest = Told{}, "d"
		}
	default:
		panic(r.Name + " is not up, down or unknown")
	}
	if !r.Process.Local && r.Kind == KindProxy {
		r.Loaded = Loaded{}
	} else if !r.Process.Local {
		r.Told = Told{} // only its digest is in Redis
	}
	if version := w.text("rsm", ""); version != "" {
		r.Version, r.Process.Binary = version, "v2.0.0"
	}
	if refusal := w.text("refused", ""); refusal != "" {
		r.Refused, r.Refusal = want, refusal
	}
}

// published reads what Redis holds for the roles of rsm: what the spec says, or
// with blank nothing; with cpu that expression in the rule of this name, with gone
// a queue of that name with so many tasks.
func (p *stateText) published(w words) {
	p.s.Published = &Published{Why: w.text("why", "")}
	if w.flag("blank") || p.s.Published.Why != "" {
		return
	}
	w.flag("current")
	have := *p.c
	have.Operations.Rules = slices.Clone(have.Operations.Rules)
	if expr := w.text("cpu", ""); expr != "" {
		for i := range have.Operations.Rules {
			have.Operations.Rules[i].Expr = expr
		}
	}
	if w.has("gone") {
		have.Operations.Queues = append(slices.Clone(have.Operations.Queues), schema.Queue{Name: "gone"})
		p.s.Published.Backlog = map[string]int64{"gone": w.number("gone", 0)}
	}
	p.s.Published.Operations, _ = toPublish(&have)
	_, p.s.Published.Roles = toPublish(p.c)
}
