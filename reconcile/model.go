package reconcile

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"rsm/schema"
)

// The model: what each action does to a state. It is what plan previews are
// made of and what the property tests drive. It is coarser than Redis: time does
// not pass, a start or a sync always succeeds, and Sentinels gossip at once.

func (a StartRole) apply(s *State) {
	switch {
	case a.Role.Kind == KindSentinel:
		s.Sentinels[a.Role.Name].start()
		return
	case a.Role.Kind.OfRsm():
		s.Roles[a.Role.Name].start(a.Told)
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
		if s.Published == nil && r.Process.Data == No {
			s.Published = &Published{} // what starts empty holds nothing
		}
		return
	}
	s.follow(r, a.Follow)
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
	if r := s.Roles[a.Role.Name]; r != nil {
		r.stop()
	}
	s.Surplus = slices.DeleteFunc(s.Surplus, func(r SurplusRole) bool { return r.Name == a.Role.Name })
	for _, r := range s.Sentinels {
		r.lose(a.Role.Addr)
	}
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
	if named, _ := s.Named(); named.Addr == next.Addr {
		epoch = named.Epoch // only the rest of a failover is waited for
	}
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

func (a Publish) apply(s *State) {
	record := a.Registration
	s.Record = &record
}

func (r Registration) equal(o Registration) bool {
	return r.Cluster == o.Cluster && r.Epoch == o.Epoch && r.Master == o.Master &&
		slices.Equal(r.Replicas, o.Replicas) && slices.Equal(r.Sentinels, o.Sentinels) &&
		maps.EqualFunc(r.Managed, o.Managed, slices.Equal)
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
