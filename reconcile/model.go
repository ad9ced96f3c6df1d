package reconcile

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"rsm/schema"
)

// The model: what each action does to a state. It is what plan previews are
// made of and what the property tests drive. It is coarser than Redis: time does
// not pass, a start or a sync always succeeds, and Sentinels gossip at once.

func (a StartRole) apply(s *State) {
	if a.Role.Kind == KindSentinel {
		s.Sentinels[a.Role.Name].start()
		return
	}
	r := s.Redis[a.Role.Name]
	r.Reach, r.Why, r.Version, r.Process.Running = Up, "", r.Process.Binary, r.Process.Local
	r.ReadOnly, r.Announced = true, true
	r.Config = make(map[string]string, len(a.Config))
	for key, value := range a.Config {
		r.Config[key] = value
	}
	r.Priority = number(r.Config["replica-priority"], r.Priority)
	if a.Follow == "" {
		r.Role, r.Master, r.LinkUp = Master, "", false
		if r.Process.Data == Yes {
			r.Keys = max(r.Keys, 1) // how many only Redis knows
		}
		if r.ReplID == "" {
			r.ReplID = "history-of-" + r.Name
		}
		return
	}
	s.follow(r, a.Follow)
}

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

// follow attaches a replica: it drops what it has and takes the master's history.
// The link comes up later, see WaitSync.
func (s *State) follow(r *RedisState, addr schema.Addr) {
	r.Role, r.Master, r.LinkUp, r.Syncing, r.LinkDown = Replica, addr, false, false, 0
	master := s.At(addr)
	if master == nil || master.Reach != Up {
		return
	}
	r.Loading, r.Keys, r.ReplID, r.ReplID2 = false, master.Keys, master.ReplID, master.ReplID2
	r.Offset, r.SecondOffset = master.Offset, master.SecondOffset
	if !slices.Contains(master.Replicas, r.Addr) {
		master.Replicas = append(master.Replicas, r.Addr)
	}
}

// lead makes a replica the master: a new history that continues its old one.
func (r *RedisState) lead() {
	r.Role, r.Master, r.LinkUp, r.Syncing = Master, "", false, false
	r.ReplID, r.ReplID2, r.SecondOffset = r.ReplID+"+"+r.Name, r.ReplID, r.Offset+1
}

func (a StopRole) apply(s *State) {
	if r := s.Redis[a.Role.Name]; r != nil {
		r.Reach, r.Process.Running, r.Role, r.Keys = Down, false, "", 0
		for _, other := range s.Redis {
			other.Replicas = without(other.Replicas, r.Addr)
			if other.Master == r.Addr {
				other.LinkUp = false
			}
		}
	}
	if r := s.Sentinels[a.Role.Name]; r != nil {
		r.Reach, r.Process.Running = Down, false
	}
	s.Surplus = slices.DeleteFunc(s.Surplus, func(r SurplusRole) bool { return r.Name == a.Role.Name })
}

func (a ConfigSet) apply(s *State) {
	r := s.Redis[a.Node]
	if r.Config == nil {
		r.Config = map[string]string{}
	}
	r.Config[a.Key] = a.Value
	switch a.Key {
	case "replica-priority":
		r.Priority = number(a.Value, r.Priority)
	case "replica-read-only":
		r.ReadOnly = a.Value == "yes"
	case "replica-announced":
		r.Announced = a.Value == "yes"
	}
}

func (a Replicate) apply(s *State) {
	r := s.Redis[a.Node]
	for _, other := range s.Redis {
		other.Replicas = without(other.Replicas, r.Addr)
	}
	s.follow(r, a.Master)
}

func (a Promote) apply(s *State) { s.Redis[a.Node].lead() }

func (a Snapshot) apply(s *State) { s.Redis[a.Role.Name].Copied = true }

func (a WaitSync) apply(s *State) {
	r := s.Redis[a.Node]
	r.Loading = false
	s.follow(r, a.Master)
	r.LinkUp = true
}

// apply elects the successor by Sentinel's own rules and lets every replica and
// Sentinel follow it, as a failover does.
func (a WaitFailover) apply(s *State) {
	next := s.At(a.Predicted)
	if next == nil {
		next = s.successor()
	}
	if next == nil {
		return
	}
	epoch := s.Epoch() + 1
	if next.Role != Master {
		next.lead()
	}
	for _, name := range names(s.Redis) {
		if r := s.Redis[name]; r != next {
			r.FailoverState = ""
			if r.Reach == Up {
				s.follow(r, next.Addr)
				r.LinkUp = true
			}
		}
	}
	next.FailoverState = ""
	for _, r := range s.Sentinels {
		if r.Knows() {
			r.Master, r.Epoch, r.Flags, r.RoleReported = next.Addr, epoch, []string{"master"}, Master
		}
	}
	for _, r := range s.Sentinels {
		if r.Knows() {
			s.relearn(r)
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

func (a Publish) apply(s *State) {
	record := a.Registration
	s.Record = &record
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

func (r Registration) equal(o Registration) bool {
	return r.Cluster == o.Cluster && r.Epoch == o.Epoch && r.Master == o.Master &&
		slices.Equal(r.Replicas, o.Replicas) && slices.Equal(r.Sentinels, o.Sentinels)
}

func number(text string, otherwise int) int {
	if n, err := strconv.Atoi(strings.TrimSpace(text)); err == nil {
		return n
	}
	return otherwise
}

func without(list []schema.Addr, addr schema.Addr) []schema.Addr {
	return slices.DeleteFunc(slices.Clone(list), func(a schema.Addr) bool { return a == addr })
}
