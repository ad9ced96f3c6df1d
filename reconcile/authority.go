package reconcile

import (
	"fmt"
	"slices"
	"time"

	"rsm/schema"
)

// Named is who the Sentinels say is master.
type Named struct {
	Addr  schema.Addr
	Epoch uint64
}

// Majority is how many Sentinels of the spec make a majority. A state has an
// entry for each of them, reachable or not.
func (s *State) Majority() int { return len(s.Sentinels)/2 + 1 }

// Epoch is the highest config-epoch that any reachable Sentinel reports.
func (s *State) Epoch() uint64 {
	var epoch uint64
	for _, sentinel := range s.Sentinels {
		if sentinel.Knows() {
			epoch = max(epoch, sentinel.Epoch)
		}
	}
	return epoch
}

// Named returns the address that a majority of the spec's Sentinels name at the
// highest config-epoch. One Sentinel's word is never enough.
func (s *State) Named() (Named, bool) {
	epoch, votes := s.Epoch(), map[schema.Addr]int{}
	for _, sentinel := range s.Sentinels {
		if sentinel.Knows() && sentinel.Epoch == epoch {
			votes[sentinel.Master]++
		}
	}
	for addr, n := range votes {
		if n >= s.Majority() {
			return Named{Addr: addr, Epoch: epoch}, true
		}
	}
	return Named{}, false
}

// Authority is the master: the node that Named names, if it is one of the
// spec's, reachable, and says itself that it is master. Git never names it.
func (s *State) Authority() *RedisState {
	named, ok := s.Named()
	if !ok {
		return nil
	}
	node := s.At(named.Addr)
	if node == nil || node.Reach != Up || node.Role != Master {
		return nil
	}
	return node
}

// FailoverInProgress reports whether any reachable Sentinel is in the middle of
// a failover, or a redis-server of a planned one.
func (s *State) FailoverInProgress() bool {
	if s.sentinelFailover() {
		return true
	}
	for _, node := range s.Redis {
		if node.Reach == Up && node.FailoverState != "" {
			return true
		}
	}
	return false
}

// sentinelFailover reports whether any Sentinel is in the middle of a failover.
func (s *State) sentinelFailover() bool {
	return s.countSentinels(func(r *SentinelState) bool { return r.Knows() && r.HasFlag("failover_in_progress") }) > 0
}

// HasQuorum reports whether the reachable Sentinels that know the master could
// both declare it down and elect a new one.
func (s *State) HasQuorum() bool {
	know, quorum := 0, 0
	for _, sentinel := range s.Sentinels {
		if sentinel.Knows() {
			know, quorum = know+1, max(quorum, sentinel.Quorum)
		}
	}
	return know >= max(s.Majority(), quorum)
}

// successor is who Sentinel would promote: of the replicas that are not refused,
// the one with the lowest replica-priority, then the highest offset, then the
// smallest run id (sentinel.c, compareSlavesForPromotion). Nil when there is none.
func (s *State) successor() *RedisState {
	lost, _ := s.Named()
	var best *RedisState
	for _, name := range names(s.Redis) {
		node := s.Redis[name]
		if node.Addr == lost.Addr || s.refusal(node) != "" {
			continue
		}
		if best == nil || outranks(node, best) {
			best = node
		}
	}
	return best
}

// refusal tells why Sentinel would never promote a node, "" when it would
// (sentinel.c, sentinelSelectSlave).
func (s *State) refusal(node *RedisState) string {
	var downAfter, downFor time.Duration
	for _, r := range s.Sentinels {
		if r.Knows() {
			downAfter, downFor = max(downAfter, r.DownAfter), max(downFor, r.DownFor)
		}
	}
	limit := 10*downAfter + downFor
	switch {
	case node.Reach != Up:
		return "is " + string(node.Reach)
	case node.Role != Replica:
		return "says it is a master"
	case node.Priority == 0:
		return "has replica-priority 0"
	case node.LinkDown > limit+time.Second: // Redis counts whole seconds
		return fmt.Sprintf("lost its master %s ago, longer than Sentinel accepts (%s)", node.LinkDown, limit.Round(time.Second))
	}
	return ""
}

func outranks(a, b *RedisState) bool {
	switch {
	case a.Priority != b.Priority:
		return a.Priority < b.Priority
	case a.Offset != b.Offset:
		return a.Offset > b.Offset
	}
	return a.RunID < b.RunID
}

// drops tells why a node would lose data if it followed the master, or "" when
// the master has all that the node has. An unknown history counts as a loss.
func drops(node, master *RedisState) string {
	switch {
	case node.Loading:
		return "nobody knows what it has while it is loading"
	case node.Keys == 0:
		return ""
	case node.Role == Replica && node.LinkUp:
		return "" // a copy: the data set is still with the master that it follows
	case node.ReplID == master.ReplID && node.Offset <= master.Offset:
		return ""
	case node.ReplID == master.ReplID2 && node.Offset < master.SecondOffset:
		return ""
	case node.ReplID2 == master.ReplID && node.Offset < node.SecondOffset && node.Offset <= master.Offset:
		return "" // promoted out of this history, but never written to since
	case node.ReplID == master.ReplID, node.ReplID == master.ReplID2, node.ReplID2 == master.ReplID:
		return "it has writes that the master lacks"
	}
	return "its data set is not part of the master's history"
}

// names returns the keys of a map in order, so that plans are deterministic.
func names[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
