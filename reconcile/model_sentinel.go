package reconcile

import (
	"slices"
	"strconv"
	"time"

	"rsm/schema"
)

// start brings a Sentinel up with what it has written down.
func (s *SentinelState) start() {
	s.Reach, s.Why, s.Process.Running = Up, "", s.Process.Local
	m := s.Process.Memory
	if m == nil {
		return
	}
	s.Master, s.Epoch, s.Flags, s.RoleReported = m.Master, m.Epoch, []string{"master"}, Master
	s.Quorum, s.DownAfter, s.FailoverTimeout, s.ParallelSyncs = m.Quorum, m.DownAfter, m.FailoverTimeout, m.ParallelSyncs
	for _, addr := range m.Replicas {
		s.Replicas = append(s.Replicas, KnownReplica{Addr: addr, Flags: []string{"slave"}})
	}
	for _, addr := range m.Peers {
		s.Peers = append(s.Peers, KnownPeer{Addr: addr, Flags: []string{"sentinel"}})
	}
}

// lose marks what a Sentinel knows at the address as gone.
func (s *SentinelState) lose(addr schema.Addr) {
	for i := range s.Replicas {
		if s.Replicas[i].Addr == addr {
			s.Replicas[i].Flags = []string{"s_down", "slave", "disconnected"}
		}
	}
	for i := range s.Peers {
		if s.Peers[i].Addr == addr {
			s.Peers[i].Flags = []string{"s_down", "sentinel", "disconnected"}
		}
	}
}

func (a WaitGossip) apply(s *State) {
	named, ok := s.Named()
	r := s.Sentinels[a.Sentinel]
	if ok && r.Epoch < named.Epoch {
		r.Master, r.Epoch, r.RoleReported = named.Addr, named.Epoch, Master
	}
}

func (a WaitKnown) apply(s *State) { s.relearn(s.Sentinels[a.Sentinel]) }

func (a Monitor) apply(s *State) {
	r := s.Sentinels[a.Sentinel]
	r.Master, r.Epoch, r.Flags, r.RoleReported = a.Master, 0, []string{"master"}, Master
	r.Quorum, r.DownAfter, r.FailoverTimeout, r.ParallelSyncs = a.Quorum, a.DownAfter, a.FailoverTimeout, a.ParallelSyncs
	r.Replicas, r.Peers = nil, nil
	if named, ok := s.Named(); ok && named.Addr == a.Master {
		r.Epoch = named.Epoch // its peers' hello brings the epoch within two seconds
	}
}

func (a MonitorAll) apply(s *State) {
	for _, each := range a.Monitors {
		s.Sentinels[each.Sentinel].Master, s.Sentinels[each.Sentinel].Epoch = "", 0
	}
	for _, each := range a.Monitors {
		each.apply(s)
	}
}

func (a SetSentinel) apply(s *State) { s.Sentinels[a.Sentinel].setOption(a.Option, a.Value) }

func (a ResetSentinel) apply(s *State) {
	r := s.Sentinels[a.Sentinel]
	r.Replicas, r.Peers = nil, nil
	s.relearn(r)
}

// relearn lets a Sentinel discover what it does not know yet: the master's
// replicas from its INFO, the peers from their hello. It forgets nothing.
func (s *State) relearn(r *SentinelState) {
	replicas, peers := s.knowable(r)
	for _, addr := range replicas {
		if !r.knowsReplica(addr) {
			r.Replicas = append(r.Replicas, KnownReplica{Addr: addr, Flags: []string{"slave"}})
		}
	}
	for _, addr := range peers {
		if !r.knowsPeer(addr) {
			r.Peers = append(r.Peers, KnownPeer{Addr: addr, Flags: []string{"sentinel"}})
		}
	}
}

// knowable lists what a Sentinel should find: the healthy replicas of the master
// that it watches, and the peers that watch the same one.
func (s *State) knowable(r *SentinelState) (replicas, peers []schema.Addr) {
	for _, name := range names(s.Redis) {
		node := s.Redis[name]
		if node.Reach == Up && node.Role == Replica && node.Master == r.Master && node.LinkUp && node.Announced {
			replicas = append(replicas, node.Addr)
		}
	}
	for _, name := range names(s.Sentinels) {
		peer := s.Sentinels[name]
		if peer != r && peer.Knows() && peer.Master == r.Master {
			peers = append(peers, peer.Addr)
		}
	}
	return replicas, peers
}

func (s *SentinelState) knowsReplica(addr schema.Addr) bool {
	return slices.ContainsFunc(s.Replicas, func(r KnownReplica) bool { return r.Addr == addr })
}

func (s *SentinelState) knowsPeer(addr schema.Addr) bool {
	return slices.ContainsFunc(s.Peers, func(p KnownPeer) bool { return p.Addr == addr })
}

func (s *SentinelState) knowsAll(replicas, peers []schema.Addr) bool {
	return !slices.ContainsFunc(replicas, func(a schema.Addr) bool { return !s.knowsReplica(a) }) &&
		!slices.ContainsFunc(peers, func(a schema.Addr) bool { return !s.knowsPeer(a) })
}

// The settings of a monitored master, by the names that SENTINEL SET takes.
const (
	optQuorum          = "quorum"
	optDownAfter       = "down-after-milliseconds"
	optFailoverTimeout = "failover-timeout"
	optParallelSyncs   = "parallel-syncs"
)

func (s *SentinelState) option(name string) string {
	switch name {
	case optQuorum:
		return strconv.Itoa(s.Quorum)
	case optDownAfter:
		return millis(s.DownAfter)
	case optFailoverTimeout:
		return millis(s.FailoverTimeout)
	case optParallelSyncs:
		return strconv.Itoa(s.ParallelSyncs)
	}
	return ""
}

func (s *SentinelState) setOption(name, value string) {
	n := number(value, 0)
	switch name {
	case optQuorum:
		s.Quorum = n
	case optDownAfter:
		s.DownAfter = time.Duration(n) * time.Millisecond
	case optFailoverTimeout:
		s.FailoverTimeout = time.Duration(n) * time.Millisecond
	case optParallelSyncs:
		s.ParallelSyncs = n
	}
}
