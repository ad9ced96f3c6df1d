package reconcile

import (
	"fmt"
	"slices"

	"rsm/schema"
)

// sentinels brings the Sentinels to the spec, one at a time.
func (d *decision) sentinels() {
	master := d.target.node
	if master == nil || master.Reach != Up || master.Role != Master {
		return
	}
	if named, ok := d.s.Named(); ok && named.Addr != master.Addr {
		d.registerAll(master)
		return
	}
	for _, n := range d.c.Sentinel.Nodes {
		r := d.s.Sentinels[n.Name]
		if r.Reach != Up {
			continue
		}
		d.register(r, master)
		d.settings(r)
		if len(d.steps) > 0 {
			return
		}
	}
	d.discovery(master)
}

// register makes one Sentinel watch the right master.
func (d *decision) register(r *SentinelState, master *RedisState) {
	causes := slices.DeleteFunc(d.with(fieldMonitor), func(x Drift) bool { return x.Subject != r.Name })
	if len(causes) == 0 {
		return
	}
	if named, ok := d.s.Named(); ok && r.Master != "" && named.Epoch > r.Epoch {
		// The others tell it within seconds if it hears them; only when it does
		// not is it registered anew.
		d.add(WaitGossip{Sentinel: r.Name, Master: master.Addr}, causes...)
	}
	d.add(d.monitor(r, master), causes...)
}

// registerAll turns all Sentinels, a majority of which names another master.
func (d *decision) registerAll(master *RedisState) {
	var all MonitorAll
	for _, n := range d.c.Sentinel.Nodes {
		r := d.s.Sentinels[n.Name]
		if r.Reach != Up {
			d.hold(Held{Subject: "sentinels", Causes: d.with(fieldMonitor, fieldReach), Reason: fmt.Sprintf(
				"all must be turned to %s at once, and %s is %s: it would undo it by its higher epoch", master.Name, r.Name, r.Reach)})
			return
		}
		all.Monitors = append(all.Monitors, d.monitor(r, master))
	}
	d.add(all, d.with(fieldMonitor)...)
}

func (d *decision) monitor(r *SentinelState, master *RedisState) Monitor {
	return Monitor{
		Sentinel: r.Name, Addr: r.Addr, Cluster: d.c.Name, Master: master.Addr, Quorum: d.c.Sentinel.Quorum,
		DownAfter: d.c.Sentinel.DownAfter, FailoverTimeout: d.c.Sentinel.FailoverTimeout,
		ParallelSyncs: d.c.Sentinel.ParallelSyncs, Password: d.c.Auth.Password, Replace: r.Master != "",
	}
}

// settings corrects one Sentinel's settings, an option a call.
func (d *decision) settings(r *SentinelState) {
	if r.Master == "" {
		return
	}
	for _, drift := range d.with(optQuorum, optDownAfter, optFailoverTimeout, optParallelSyncs) {
		if drift.Subject == r.Name {
			d.add(SetSentinel{Sentinel: r.Name, Addr: r.Addr, Cluster: d.c.Name, Option: drift.Field, Value: drift.Want, Have: drift.Have}, drift)
		}
	}
}

// discovery waits until every Sentinel knows the replicas and peers that it
// should; until then a failover could not work.
func (d *decision) discovery(master *RedisState) {
	for _, n := range d.c.Sentinel.Nodes {
		r := d.s.Sentinels[n.Name]
		if !r.Knows() || r.Master != master.Addr {
			continue
		}
		causes := slices.DeleteFunc(d.with(fieldReplicas, fieldPeers), func(x Drift) bool {
			return x.Subject != r.Name || x.Kind != Missing
		})
		if len(causes) > 0 {
			replicas, peers := d.s.knowable(r)
			d.add(WaitKnown{Sentinel: r.Name, Replicas: replicas, Peers: peers}, causes...)
		}
	}
}

// publish writes the registration once the Sentinels confirm the master.
func (d *decision) publish() {
	for _, drift := range d.with(fieldRegistration) {
		if reg, ok := registration(d.c, d.s, d.target.node); ok {
			d.add(Publish{Registration: reg}, drift)
		}
	}
}

// prune stops what the spec no longer names and has the Sentinels forget it, one
// at a time and only while the cluster is whole: a Sentinel that was just reset
// cannot fail over until it has learnt its replicas again (up to ten seconds).
func (d *decision) prune() {
	surplus := slices.DeleteFunc(d.with(fieldRole, fieldReplicas, fieldPeers), func(x Drift) bool { return x.Kind != Surplus })
	if len(surplus) == 0 {
		return
	}
	if !d.allow.Has(AllowPrune, "") {
		for _, drift := range surplus {
			d.hold(Held{Subject: drift.Subject, Causes: []Drift{drift}, Flag: allowFlag(AllowPrune, ""), Reason: pruneReason(drift)})
		}
		return
	}
	for _, r := range d.s.Surplus {
		if !r.Running {
			continue
		}
		d.add(StopRole{Role: RoleRef{Cluster: d.c.Name, Name: r.Name, Kind: r.Kind, Addr: r.Addr}, Reason: "it is not in the spec"},
			Drift{r.Name, fieldRole, string(r.Kind) + " " + string(r.Addr), "", Surplus})
	}
	if len(d.steps) > 0 {
		return
	}
	for _, drift := range surplus {
		r := d.s.Sentinels[drift.Subject]
		if r == nil {
			continue
		}
		if !r.stale(d.c) {
			d.hold(Held{Subject: r.Name, Causes: []Drift{drift}, Reason: "it would learn " + drift.Have + " again at once, as that still runs: stop it first"})
			continue
		}
		replicas, peers := d.s.knowable(r)
		d.add(ResetSentinel{Sentinel: r.Name, Addr: r.Addr, Cluster: d.c.Name, Replicas: replicas, Peers: peers}, drift)
		return
	}
}

// stale reports whether everything that the Sentinel knows beside the spec is
// down; what lives would be learnt again after a reset.
func (s *SentinelState) stale(c *schema.Cluster) bool {
	gone := func(flags []string) bool {
		return slices.Contains(flags, "s_down") || slices.Contains(flags, "disconnected")
	}
	for _, known := range s.Replicas {
		if _, ok := c.Redis.At(known.Addr); !ok && !gone(known.Flags) {
			return false
		}
	}
	for _, known := range s.Peers {
		if _, ok := c.Sentinel.At(known.Addr); !ok && !gone(known.Flags) {
			return false
		}
	}
	return true
}

func pruneReason(drift Drift) string {
	switch drift.Field {
	case fieldReplicas:
		return fmt.Sprintf("it still knows the replica %s; harmless while nothing else uses that address", drift.Have)
	case fieldPeers:
		return fmt.Sprintf("it still counts the Sentinel %s, which raises the majority", drift.Have)
	}
	return "rsm started it and the spec no longer names it"
}

// report adds what no phase acts upon: what cannot be reached, what would need a
// restart, and Sentinels that share an id.
func (d *decision) report() {
	if len(d.steps) > 0 {
		return
	}
	for _, drift := range d.drifts {
		if d.explained(drift) {
			continue
		}
		switch drift.Field {
		case fieldReach:
			d.hold(Held{Subject: drift.Subject, Causes: []Drift{drift}, Reason: "it does not answer; unknown is not absent, so it is left alone"})
		case fieldProcess:
			d.hold(Held{Subject: drift.Subject, Causes: []Drift{drift}, Reason: d.whyDown(drift.Subject)})
		case fieldVersion:
			d.hold(Held{Subject: drift.Subject, Causes: []Drift{drift}, Reason: "it runs a version that the spec does not want; a new one takes effect when it starts next"})
		case fieldPassword:
			d.hold(Held{Subject: drift.Subject, Causes: []Drift{drift}, Reason: "it asks for no password; the one of the spec takes effect when it starts next"})
		case fieldMyID:
			d.hold(Held{Subject: drift.Subject, Causes: []Drift{drift}, Reason: "two Sentinels with one id count as one vote: stop one, remove its `sentinel myid` line, start it"})
		case fieldMonitor, fieldLink, fieldMaster:
			d.hold(Held{Subject: drift.Subject, Causes: []Drift{drift}, Wait: drift.Field == fieldLink, Reason: "no master may be named yet"})
		}
	}
}

func (d *decision) whyDown(name string) string {
	process := Process{}
	if r := d.s.Redis[name]; r != nil {
		process = r.Process
	} else if r := d.s.Sentinels[name]; r != nil {
		process = r.Process
	} else if r := d.s.Roles[name]; r != nil {
		if process = r.Process; process.Local {
			return "it is down, and is started as soon as it is clear who leads"
		}
	}
	if !process.Local {
		return "it is down, and its host is not this machine: start it there"
	}
	return "it is down, and there is no master that it could follow"
}

func (d *decision) explained(drift Drift) bool {
	return slices.ContainsFunc(d.held, func(h Held) bool {
		return h.Block || slices.Contains(h.Causes, drift)
	})
}
