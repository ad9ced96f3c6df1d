package reconcile

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"rsm/schema"
)

// blocked lists what forbids touching anything in the cluster: a foreign process
// on a port, no server to start, a master that belongs to somebody else.
func blocked(c *schema.Cluster, s *State, t target) []Held {
	var held []Held
	check := func(name string, reach Reach, p Process) {
		switch {
		case p.Foreign != "":
			held = append(held, Held{Subject: name, Block: true, Reason: fmt.Sprintf(
				"its port is held by %s, which rsm did not start: stop that, or change the port in the spec", p.Foreign)})
		case p.Elsewhere != "":
			held = append(held, Held{Subject: name, Block: true, Reason: fmt.Sprintf(
				"it runs on %s and a running role is not moved: give the new address a new name, or stop it first (rsm destroy)", p.Elsewhere)})
		case reach == Down && p.Local && p.BinaryErr != "":
			held = append(held, Held{Subject: name, Block: true, Reason: p.BinaryErr})
		}
	}
	for _, n := range c.Redis.Nodes {
		r := s.Redis[n.Name]
		check(n.Name, r.Reach, r.Process)
		if r.Reach == Down && r.Process.Local && r.Process.Binary != "" {
			if !allowsVersion(c, r.Process.Binary) {
				held = append(held, Held{Subject: n.Name, Block: true, Reason: fmt.Sprintf(
					"redis-server on PATH is %s, the spec wants %s", r.Process.Binary, c.Redis.Version)})
			}
		}
	}
	for _, n := range c.Sentinel.Nodes {
		check(n.Name, s.Sentinels[n.Name].Reach, s.Sentinels[n.Name].Process)
	}
	if t.held != nil && t.held.Block {
		held = append(held, *t.held)
	}
	return held
}

// allowsVersion applies the spec's constraint; the schema has checked its syntax.
func allowsVersion(c *schema.Cluster, version string) bool {
	versions, err := schema.ParseVersions(c.Redis.Version)
	return err == nil && versions.Allows(version)
}

// invalid lists the directives that the servers refuse.
func invalid(c *schema.Cluster, s *State) []Invalid {
	var list []Invalid
	for _, n := range c.Redis.Nodes {
		bad := s.Redis[n.Name].BadConfig
		for _, key := range names(bad) {
			list = append(list, Invalid{
				Path:    "clusters." + c.Name + ".redis.nodes." + n.Name + ".config." + key,
				Message: fmt.Sprintf("redis refuses %q: %s", key+" "+n.Config[key], bad[key]),
			})
		}
	}
	return list
}

func redisRef(c *schema.Cluster, name string) RoleRef {
	n, _ := c.Redis.Node(name)
	return RoleRef{Cluster: c.Name, Name: name, Kind: KindRedis, Addr: n.Addr}
}

func sentinelRef(c *schema.Cluster, name string) RoleRef {
	n, _ := c.Sentinel.Node(name)
	return RoleRef{Cluster: c.Name, Name: name, Kind: KindSentinel, Addr: n.Addr}
}

// startSentinels starts every Sentinel that is down. They start with the file
// that they wrote themselves, so they remember the master and its epoch.
func (d *decision) startSentinels() {
	for _, drift := range d.with(fieldProcess) {
		if r := d.s.Sentinels[drift.Subject]; r != nil && r.Process.Local {
			d.add(StartRole{Role: sentinelRef(d.c, drift.Subject), Auth: d.c.Auth}, drift)
		}
	}
}

// rescue does what must come before everything else: stop a master that came
// back empty, or wait while Sentinel decides.
func (d *decision) rescue() {
	switch {
	case d.target.first != nil:
		d.add(d.target.first, d.lost()...)
		d.stop = true
	case d.target.node != nil && d.target.node.Loading:
		d.hold(Held{Subject: d.target.node.Name, Wait: true, Reason: "the master is loading its data set",
			Causes: d.with(fieldProcess, fieldMaster, fieldLink, fieldMonitor, fieldReplicas, fieldPeers)})
		d.stop = true
	case d.target.held != nil:
		h := *d.target.held
		h.Causes = d.with(fieldProcess, fieldMaster, fieldLink, fieldMonitor, fieldReach)
		d.hold(h)
		d.stop = true
	}
}

// lost lists what differs at the master that Sentinel names.
func (d *decision) lost() []Drift {
	named, _ := d.s.Named()
	node := d.s.At(named.Addr)
	return slices.DeleteFunc(d.with(fieldProcess, fieldReach), func(x Drift) bool { return node == nil || x.Subject != node.Name })
}

// startRedis starts redis-servers: the target first if it is down, as the master,
// then all others as its replicas. No node ever starts as a master of its own.
func (d *decision) startRedis() {
	master := d.target.node
	if master == nil {
		return
	}
	for _, drift := range d.with(fieldProcess) {
		r := d.s.Redis[drift.Subject]
		if r == nil || !r.Process.Local || (master.Reach != Up && r != master) {
			continue
		}
		drops := r != master && r.Process.Data != No && master.Keys == 0
		if drops && !d.allow.Has(AllowDataLoss, r.Name) {
			d.hold(Held{Subject: r.Name, Causes: []Drift{drift}, Flag: allowFlag(AllowDataLoss, r.Name), Reason: fmt.Sprintf(
				"it has data on disk and the master %s is empty: it would lose that data", master.Name)})
			continue
		}
		n, _ := d.c.Redis.Node(r.Name)
		start := StartRole{Role: redisRef(d.c, r.Name), Config: ManagedConfig(n), Auth: d.c.Auth, Drops: drops}
		if r != master {
			start.Follow = master.Addr
		} else {
			start.Chosen = d.target.chosen
		}
		d.add(start, drift)
	}
}

// config sets live directives, replicas before the master.
func (d *decision) config() {
	drifts := slices.DeleteFunc(slices.Clone(d.drifts), func(x Drift) bool { return !strings.HasPrefix(x.Field, configPrefix) })
	slices.SortStableFunc(drifts, func(a, b Drift) int { return d.masterLast(a.Subject, b.Subject) })
	for _, drift := range drifts {
		r, key := d.s.Redis[drift.Subject], strings.TrimPrefix(drift.Field, configPrefix)
		switch {
		case r.Loading:
			d.hold(Held{Subject: r.Name, Wait: true, Causes: []Drift{drift}, Reason: "it is loading its data set"})
		case restartOnly(key):
			d.hold(Held{Subject: r.Name, Causes: []Drift{drift}, Reason: "pending restart: " + key + " takes effect when " + r.Name + " starts next"})
		case r.cutsClients(key, drift.Want) && !d.allow.Has(AllowClients, ""):
			d.hold(Held{Subject: r.Name, Causes: []Drift{drift}, Flag: allowFlag(AllowClients, ""), Reason: fmt.Sprintf(
				"%d clients are connected to this writable replica; their writes would fail", r.Clients)})
		case key == "maxmemory" && r.evicts(drift.Want) && !d.allow.Has(AllowDataLoss, r.Name):
			d.hold(Held{Subject: r.Name, Causes: []Drift{drift}, Flag: allowFlag(AllowDataLoss, r.Name), Reason: fmt.Sprintf(
				"it uses %d bytes, more than the new maxmemory %s: keys would be evicted, or writes refused", r.Memory, drift.Want)})
		default:
			set := ConfigSet{Node: r.Name, Addr: r.Addr, Key: key, Value: drift.Want, Have: drift.Have, Clients: r.cutsClients(key, drift.Want)}
			if key == "maxmemory" && r.evicts(drift.Want) {
				set.Risk = ImpactDataLoss
			}
			d.add(set, drift)
		}
	}
}

// cutsClients reports whether a setting makes writes fail of clients that write to
// this replica.
func (r *RedisState) cutsClients(key, value string) bool {
	return key == "replica-read-only" && value == "yes" && r.Role == Replica && r.Clients > 0
}

// evicts reports whether the server uses more memory than the new limit; 0 is no
// limit.
func (r *RedisState) evicts(limit string) bool {
	n, ok := memory(limit)
	return ok && n > 0 && n < r.Memory
}

// restartOnly names directives that CONFIG SET refuses (immutable or protected
// in Redis 7.0 config.c).
func restartOnly(key string) bool {
	return slices.Contains([]string{
		"aclfile", "always-show-logo", "appenddirname", "appendfilename", "aof_rewrite_cpulist", "bgsave_cpulist",
		"bio_cpulist", "cluster-config-file", "cluster-enabled", "cluster-port", "daemonize", "databases",
		"disable-thp", "enable-debug-command", "enable-module-command", "enable-protected-configs", "io-threads",
		"io-threads-do-reads", "logfile", "pidfile", "rdbchecksum", "server_cpulist", "set-proc-title",
		"socket-mark-id", "supervised", "syslog-enabled", "syslog-facility", "syslog-ident", "tcp-backlog",
		"unixsocket", "unixsocketperm",
	}, key)
}

// replicate points every other node at the master, those nearest to it first, so
// that a chain is taken apart from its head and its leaf last.
func (d *decision) replicate() {
	master := d.target.node
	if master == nil || master.Reach != Up {
		return
	}
	drifts := d.with(fieldMaster)
	slices.SortStableFunc(drifts, func(a, b Drift) int { return d.s.depth(a.Subject) - d.s.depth(b.Subject) })
	for _, drift := range drifts {
		r := d.s.Redis[drift.Subject]
		if r == master {
			d.add(Promote{Node: r.Name, Addr: r.Addr, Chosen: d.target.chosen}, drift)
			return // the others follow once it leads
		}
	}
	for _, drift := range drifts {
		d.follow(d.s.Redis[drift.Subject], master, drift)
	}
}

// follow plans REPLICAOF for one node, unless it would lose data.
func (d *decision) follow(r, master *RedisState, drift Drift) {
	loss := drops(r, master)
	action := Replicate{Node: r.Name, Addr: r.Addr, Master: master.Addr}
	if r.ReplID != master.ReplID && r.ReplID != master.ReplID2 {
		action.Risk = ImpactFullSync
	}
	switch {
	case loss == "":
		d.add(action, drift)
	case !d.allow.Has(AllowDataLoss, r.Name):
		held := Held{Subject: r.Name, Causes: []Drift{drift}, Flag: allowFlag(AllowDataLoss, r.Name), Reason: fmt.Sprintf(
			"it has %d keys, and %s; following %s would drop them", r.Keys, loss, master.Name)}
		if d.sentinelConverts(r) {
			held.Wait = true
			held.Reason += " (Sentinel knows it and is about to make it a replica)"
			if r.Process.Local && !r.Copied && !r.Loading {
				d.add(Snapshot{Role: redisRef(d.c, r.Name), ReplID: r.ReplID, Spare: true}, drift)
			}
		}
		d.hold(held)
	case !r.Copied && !r.Process.Local:
		d.hold(Held{Subject: r.Name, Causes: []Drift{drift}, Reason: "its data set would be dropped, and rsm can only keep a copy on the node's own machine"})
	case !r.Copied:
		d.add(Snapshot{Role: redisRef(d.c, r.Name), ReplID: r.ReplID}, drift)
	default:
		action.Risk = ImpactDataLoss
		d.add(action, drift)
	}
}

// sentinelConverts reports whether Sentinel itself turns this returned master
// into a replica soon: a majority of Sentinels lists it as one (scenario 8).
func (d *decision) sentinelConverts(r *RedisState) bool {
	return d.s.Authority() != nil && r.Role == Master &&
		d.s.countSentinels(func(x *SentinelState) bool { return x.Knows() && x.knowsReplica(r.Addr) }) >= d.s.Majority()
}

// depth is how many hops a node is away from a master.
func (s *State) depth(name string) int {
	hops, r := 0, s.Redis[name]
	for r != nil && r.Role == Replica && hops < len(s.Redis) {
		hops, r = hops+1, s.At(r.Master)
	}
	return hops
}

// brokenAfter is how long a link may be down, while the master is up, before it
// counts as broken rather than as not yet up.
const brokenAfter = 30 * time.Second

// sync waits for every replica that follows the master but has no link yet. A
// link that stays down has a cause that REPLICAOF does not mend; it must not keep
// the rest from being healed.
func (d *decision) sync() {
	if d.target.node == nil || d.target.node.Reach != Up {
		return
	}
	for _, drift := range d.with(fieldLink) {
		r := d.s.Redis[drift.Subject]
		if !r.Loading && !r.Syncing && min(r.LinkDown, d.target.node.Uptime) >= brokenAfter {
			d.hold(Held{Subject: r.Name, Causes: []Drift{drift}, Reason: fmt.Sprintf(
				"it follows the right master, but its link has been down for %s: see its log (password, network, output buffer limit)", r.LinkDown)})
			continue
		}
		d.add(WaitSync{Node: drift.Subject, Master: d.target.node.Addr}, drift)
	}
}
