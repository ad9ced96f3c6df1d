package relay

import (
	"slices"

	"rsm/runtime/proxy/follow"
)

// follow takes note of where requests go now.
func (l *loop) follow() {
	t := l.shared.target()
	if t.Master != "" && l.now.Sub(t.Proof) > l.shared.fence() {
		if l.master != nil {
			l.log.Warn("fence", "master", t.Master, "last proof", t.Proof)
		}
		t = &follow.Target{Why: "the master has not proved to be one in time"}
	}
	old := l.target
	l.target = t
	if t == old {
		return
	}
	if old.Hold != t.Hold || old.Master != t.Master || !sameReplicas(old, t) {
		l.gen++
		l.turnTo(t)
		l.wakeHeld()
	} else if len(l.held) > 0 && (len(t.Replicas) > 0 || t.Master != "" && !t.Hold) {
		l.wakeHeld() // a replica may be fresh enough by now
	}
}

func sameReplicas(a, b *follow.Target) bool {
	return slices.EqualFunc(a.Replicas, b.Replicas, func(x, y follow.Replica) bool { return x.Addr == y.Addr })
}

// turnTo leaves the servers that requests no longer go to.
func (l *loop) turnTo(t *follow.Target) {
	old := l.master
	l.master = nil
	if t.Master != "" {
		l.master = l.server(t.Master)
		if l.master.deposed {
			l.cut(l.master, "it leads again")
			l.master = l.server(t.Master)
			l.master.deposed = false
		}
		if l.master != old {
			l.master.suspect, l.master.fails = 0, 0
		}
	}
	for _, s := range l.servers {
		switch {
		case s == l.master:
		case s == old && t.Master != "": // if it is a replica already, it begins anew once it has answered
			l.depose(s)
		case slices.ContainsFunc(t.Replicas, func(r follow.Replica) bool { return r.Addr == s.addr }):
		case !s.deposed:
			l.cut(s, t.Why)
		}
	}
}

// depose lets a former master answer what it was sent, for a while. Writes that
// it says to have done are in doubt: they may not be on the new master.
func (l *loop) depose(s *server) {
	s.deposed, s.patience = true, l.ns+drainTime
	l.unblockClients(s)
	for b := range s.backends {
		if b.ring.count > 0 {
			l.retire(b)
			continue
		}
		if c := b.owner; c != nil {
			l.losePin(c)
		} else {
			l.shut(b)
		}
	}
}

// unblockClients asks a former master to send away those that wait in a blocking
// command. It may stay a master for ten seconds more, on which nobody pushes
// anything; and its answer proves that nothing was taken for them.
func (l *loop) unblockClients(s *server) {
	var by *backend
	var ids []string
	for b := range s.backends {
		switch {
		case b.owner == nil && b.ready:
			by = b
		case b.owner != nil && b.realID != "" && b.owner.blocked():
			ids = append(ids, b.realID)
		}
	}
	for _, id := range ids {
		if by != nil {
			l.own(by, swallow, nil, "CLIENT", "UNBLOCK", id, "ERROR")
		}
	}
}

// cut closes every connection to a server.
func (l *loop) cut(s *server, why string) {
	for b := range s.backends {
		l.broken(b, errGone)
	}
	delete(l.servers, string(s.addr))
	l.log.Info("left", "server", s.addr, "why", why)
}
