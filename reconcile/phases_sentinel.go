package reconcile

import (
	"fmt"
	"slices"
)

// sentinels brings the Sentinels to the spec, one at a time.
func (d *decision) sentinels() {
	master := d.target.node
	if master == nil || master.Reach != Up || master.Role != Master {
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
	monitor := Monitor{
		Sentinel: r.Name, Addr: r.Addr, Cluster: d.c.Name, Master: master.Addr, Quorum: d.c.Sentinel.Quorum,
		DownAfter: d.c.Sentinel.DownAfter, FailoverTimeout: d.c.Sentinel.FailoverTimeout,
		ParallelSyncs: d.c.Sentinel.ParallelSyncs, Password: d.c.Auth.Password, Replace: r.Master != "",
	}
	named, ok := d.s.Named()
	switch {
	case r.Master == "":
		d.add(monitor, causes...)
	case ok && named.Addr == master.Addr && r.Epoch > named.Epoch:
		d.hold(Held{Subject: r.Name, Wait: true, Causes: causes, Reason: "it names another master at a higher epoch; its peers are about to follow or to correct it"})
	case ok && named.Addr == master.Addr:
		// The others tell it within seconds if it hears them; only when it does
		// not is it registered anew.
		d.add(WaitGossip{Sentinel: r.Name, Master: master.Addr}, causes...)
		d.add(monitor, causes...)
	default:
		d.add(monitor, causes...)
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
		d.add(StopRole{Role: RoleRef{Cluster: d.c.Name, Name: r.Name, Kind: r.Kind, Addr: r.Addr}, Reason: "it is not in the spec"},
			Drift{r.Name, fieldRole, string(r.Kind) + " " + string(r.Addr), "", Surplus})
	}
	if len(d.steps) > 0 {
		return
	}
	for _, drift := range surplus {
		if r := d.s.Sentinels[drift.Subject]; r != nil {
			replicas, peers := d.s.knowable(r)
			d.add(ResetSentinel{Sentinel: r.Name, Addr: r.Addr, Cluster: d.c.Name, Replicas: replicas, Peers: peers}, drift)
			return
		}
	}
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
