package reconcile

import (
	"fmt"
	"slices"
	"strings"

	"rsm/schema"
)

// At returns the redis-server observed at the address, or nil.
func (s *State) At(addr schema.Addr) *RedisState {
	for _, r := range s.Redis {
		if r.Addr == addr && addr != "" {
			return r
		}
	}
	return nil
}

func (s *State) countSentinels(is func(*SentinelState) bool) int {
	n := 0
	for _, r := range s.Sentinels {
		if is(r) {
			n++
		}
	}
	return n
}

// filter lists the nodes that satisfy is, by name.
func (s *State) filter(is func(*RedisState) bool) []*RedisState {
	var list []*RedisState
	for _, name := range names(s.Redis) {
		if is(s.Redis[name]) {
			list = append(list, s.Redis[name])
		}
	}
	return list
}

func nodeList(nodes []*RedisState) string {
	list := make([]string, len(nodes))
	for i, r := range nodes {
		list[i] = fmt.Sprintf("%s (%d keys, offset %d)", r.Name, r.Keys, r.Offset)
	}
	return strings.Join(list, ", ")
}

func sameHistory(nodes []*RedisState) bool {
	return !slices.ContainsFunc(nodes, func(r *RedisState) bool { return r.ReplID != nodes[0].ReplID })
}

func mastersOf(nodes []*RedisState) []*RedisState {
	var masters []*RedisState
	for _, r := range nodes {
		if r.Role == Master {
			masters = append(masters, r)
		}
	}
	return masters
}
