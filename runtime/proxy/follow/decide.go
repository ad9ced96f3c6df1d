package follow

import (
	"time"

	"rsm/schema"
)

const (
	// memory is for how long the word of a Sentinel counts that answers no more.
	memory = 10 * time.Second
	// patience is for how long a name of a higher epoch is believed without a
	// majority. Gossip takes 2 s, a failover-timeout is 3 s and more.
	patience = 15 * time.Second
	// holding is for how long an announced promotion holds the old master.
	holding = 5 * time.Second
)

// decide tells where requests go, given what was learnt.
func (w *world) decide(now time.Time) *Target {
	addr, epoch := w.authority(now)
	t := &Target{Epoch: epoch}
	if addr == "" {
		t.Why = w.whyNobody(now)
		return t
	}
	if why := w.unfit(addr, now); why != "" {
		t.Why = why + w.whyNoOther(addr)
		return t
	}
	master := w.nodes[addr]
	proof := earlier(master.asked, w.vouched(addr, epoch, now))
	if now.Sub(proof) > w.fence {
		t.Why = w.whyUnproven(addr, epoch, proof, now)
		return t
	}
	t.Master, t.RunID, t.Proof = addr, master.runID, proof
	t.Replicas = w.replicas(addr, now)
	if c := w.choice; c != nil && c.promoted.IsZero() && addr != c.addr && now.Sub(c.at) < holding {
		t.Hold, t.Why = true, "Sentinel is promoting "+string(c.addr)
	}
	return t
}

// authority is who should be the master, by the word of the Sentinels alone: the
// three rules in the package's comment. Empty when they do not tell.
func (w *world) authority(now time.Time) (schema.Addr, uint64) {
	top := w.top(now, w.anybody)
	disputed := top.votes < w.majority && now.Sub(w.lead.since) > patience
	if disputed && !w.known(top.addr) { // this Sentinel watches another cluster
		top = w.top(now, w.known)
	}
	if c := w.choice; c != nil && !c.promoted.IsZero() {
		switch {
		case top.addr == c.addr && top.epoch > c.base:
			return c.addr, top.epoch
		case top.epoch <= c.epoch:
			return c.addr, c.epoch
		}
	}
	switch {
	case top.votes >= w.majority:
		return top.addr, top.epoch
	case top.votes > 0 && top.alone && !disputed && w.behind(top, now):
		return top.addr, top.epoch
	}
	return "", top.epoch
}

// behind tells whether a majority answers and none of it contradicts the name
// with the highest epoch, and so those who name another are behind.
func (w *world) behind(t top, now time.Time) bool {
	return now.Sub(w.vouched(t.addr, t.epoch, now)) <= w.fence
}

// unfit says why a node cannot be the master, "" when it can.
func (w *world) unfit(addr schema.Addr, now time.Time) string {
	n, name := w.nodes[addr], string(addr)
	switch {
	case !w.known(addr):
		return name + " is named by Sentinel, but is not in the spec"
	case n.gone:
		return name + " is gone: " + n.err
	case n.asked.IsZero() && n.err != "":
		return name + " has not answered yet: " + n.err
	case n.asked.IsZero():
		return name + " has not answered yet"
	case !n.silent.IsZero() && now.Sub(n.silent) >= w.downAfter:
		return name + " does not answer: " + n.err
	case n.refuse != "":
		return name + " refuses: " + n.refuse
	case n.role == "slave":
		return name + " is a replica of " + string(n.of)
	case n.role != "master":
		return name + " has not told its role"
	}
	return ""
}

// replicas are the nodes that follow master.
func (w *world) replicas(master schema.Addr, now time.Time) []Replica {
	var found []Replica
	for _, addr := range w.order {
		n := w.nodes[addr]
		hangs := n.gone || !n.silent.IsZero() && now.Sub(n.silent) >= w.downAfter
		if n.role == "slave" && n.of == master && n.linked && n.refuse == "" && !hangs {
			found = append(found, Replica{Addr: addr, FreshAsOf: n.fresh, Offset: n.offset})
		}
	}
	return found
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
