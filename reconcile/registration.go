package reconcile

import (
	"fmt"
	"slices"
	"strings"

	"rsm/schema"
)

func diffRegistration(c *schema.Cluster, s *State, master *RedisState) []Drift {
	want, ok := registration(c, s, master)
	switch {
	case !ok:
		return nil
	case s.Record == nil:
		return []Drift{{c.Name, fieldRegistration, "", "master " + string(want.Master), Missing}}
	case !s.Record.equal(want):
		have, want := describe(*s.Record, want), describe(want, *s.Record)
		return []Drift{{c.Name, fieldRegistration, have, want, Differs}}
	}
	return nil
}

// registration is what should be published: only a master that the Sentinels
// confirm, with the replicas and Sentinels of the spec.
func registration(c *schema.Cluster, s *State, master *RedisState) (Registration, bool) {
	authority := s.Authority()
	if authority == nil || master == nil || authority.Name != master.Name {
		return Registration{}, false
	}
	reg := Registration{Cluster: c.Name, Epoch: publishedEpoch(s, authority.Addr), Master: authority.Addr}
	for _, n := range c.Redis.Nodes {
		if n.Addr != authority.Addr {
			reg.Replicas = append(reg.Replicas, n.Addr)
		}
	}
	for _, n := range c.Sentinel.Nodes {
		reg.Sentinels = append(reg.Sentinels, n.Addr)
	}
	reg.Managed = managedDirectives(c, s)
	return reg, true
}

// managedDirectives lists what rsm manages on each node: what the spec declares,
// and what it declared before and is not yet back to its default.
func managedDirectives(c *schema.Cluster, s *State) map[string][]string {
	managed := map[string][]string{}
	for _, n := range c.Redis.Nodes {
		keys := names(n.Config)
		if s.Record != nil {
			for _, key := range s.Record.Managed[n.Name] {
				if _, managed := ManagedConfig(n)[key]; !managed && !s.Redis[n.Name].reverted(key) {
					keys = append(keys, key)
				}
			}
		}
		if slices.Sort(keys); len(keys) > 0 {
			managed[n.Name] = keys
		}
	}
	return managed
}

// reverted reports whether a directive that left the spec has its default again,
// which can be known only where the server's binary can be asked.
func (r *RedisState) reverted(key string) bool {
	_, known := r.Defaults[key]
	return known && SameValue(key, r.Config[key], r.Defaults[key])
}

// publishedEpoch never falls, so that readers can tell newer from older: Sentinels
// that lost their files, or were turned to another master, count from 0 again.
func publishedEpoch(s *State, master schema.Addr) uint64 {
	epoch := s.Epoch()
	switch {
	case s.Record == nil || epoch > s.Record.Epoch:
		return epoch
	case s.Record.Master == master:
		return s.Record.Epoch
	}
	return s.Record.Epoch + 1
}

// describe names what of a registration is not the same in the other one.
func describe(r, other Registration) string {
	text := fmt.Sprintf("master %s at epoch %d", r.Master, r.Epoch)
	if r.Master == other.Master && !slices.Equal(r.Replicas, other.Replicas) {
		text += ", replicas " + joinAddrs(r.Replicas)
	}
	if !slices.Equal(r.Sentinels, other.Sentinels) {
		text += ", sentinels " + joinAddrs(r.Sentinels)
	}
	if text != fmt.Sprintf("master %s at epoch %d", other.Master, other.Epoch) {
		return text
	}
	for _, node := range names(r.Managed) {
		if !slices.Equal(r.Managed[node], other.Managed[node]) {
			text += ", " + node + " managed: " + strings.Join(r.Managed[node], " ")
		}
	}
	return text
}

func sep(text string) string {
	if text == "" {
		return ""
	}
	return ", "
}
