package reconcile

import (
	"cmp"
	"slices"

	"rsm/schema"
)

const (
	// notSeen is the value of a setting that nobody asked for when the state was
	// observed.
	notSeen    = "unknown"
	whyNotSeen = "it is not in the state"
)

// Fit makes a state that was observed under another spec one of this cluster: it
// has an entry for every role of the spec, and the roles of this machine that
// the spec has no more are surplus. What the state does not tell is unknown,
// never absent. The state given is not changed.
func Fit(c *schema.Cluster, seen *State) *State {
	s := seen.Clone()
	s.dropStrangers(c)
	for _, n := range c.Redis.Nodes {
		r := s.Redis[n.Name]
		if r == nil {
			r = &RedisState{Name: n.Name, Reach: Unknown, Why: whyNotSeen}
		} else if r.Addr != n.Addr {
			r = &RedisState{Name: n.Name, Reach: Unknown, Why: "the state has it at " + string(r.Addr), Process: elsewhere(r.Addr, r.Process)}
		}
		r.Addr = n.Addr
		s.Redis[n.Name] = r
		r.unseen(n)
	}
	for _, n := range c.Sentinel.Nodes {
		r := s.Sentinels[n.Name]
		if r == nil {
			r = &SentinelState{Name: n.Name, Reach: Unknown, Why: whyNotSeen}
		} else if r.Addr != n.Addr {
			r = &SentinelState{Name: n.Name, Reach: Unknown, Why: "the state has it at " + string(r.Addr), Process: elsewhere(r.Addr, r.Process)}
		}
		r.Addr = n.Addr
		s.Sentinels[n.Name] = r
	}
	for _, role := range DeclaredRoles(c) {
		if s.Roles[role.Name] == nil {
			s.Roles[role.Name] = &RoleState{Name: role.Name, Reach: Unknown, Why: whyNotSeen}
		}
		s.Roles[role.Name].Kind, s.Roles[role.Name].Addr = role.Kind, role.Addr
	}
	return s
}

// elsewhere is the process of a role that the spec has at another address now.
func elsewhere(addr schema.Addr, p Process) Process {
	if !p.Running {
		return Process{Local: p.Local}
	}
	return Process{Local: p.Local, Running: true, PID: p.PID, Elsewhere: addr}
}

// unseen fills in the settings of the spec that the state does not tell.
func (r *RedisState) unseen(n schema.RedisNode) {
	if r.Reach != Up {
		return
	}
	if r.Config == nil {
		r.Config = map[string]string{}
	}
	for key := range n.Config {
		if _, known := r.Config[key]; !known {
			r.Config[key] = notSeen
		}
	}
}

// dropStrangers takes roles out that the spec does not name.
func (s *State) dropStrangers(c *schema.Cluster) {
	before := len(s.Surplus)
	drop := func(name string, kind Kind, addr schema.Addr, p Process) {
		if p.Local {
			s.Surplus = append(s.Surplus, SurplusRole{Name: name, Kind: kind, Addr: addr, Running: p.Running, PID: p.PID})
		}
	}
	for _, name := range names(s.Redis) {
		if _, ok := c.Redis.Node(name); !ok {
			drop(name, KindRedis, s.Redis[name].Addr, s.Redis[name].Process)
			delete(s.Redis, name)
		}
	}
	for _, name := range names(s.Sentinels) {
		if _, ok := c.Sentinel.Node(name); !ok {
			drop(name, KindSentinel, s.Sentinels[name].Addr, s.Sentinels[name].Process)
			delete(s.Sentinels, name)
		}
	}
	declared := DeclaredRoles(c)
	for _, name := range names(s.Roles) {
		if !slices.ContainsFunc(declared, func(d Declared) bool { return d.Name == name }) {
			drop(name, s.Roles[name].Kind, s.Roles[name].Addr, s.Roles[name].Process)
			delete(s.Roles, name)
		}
	}
	if len(s.Surplus) > before {
		slices.SortStableFunc(s.Surplus, func(a, b SurplusRole) int { return cmp.Compare(a.Name, b.Name) })
	}
	named := func(r SurplusRole) bool {
		return s.Redis[r.Name] != nil || s.Sentinels[r.Name] != nil || s.Roles[r.Name] != nil
	}
	s.Surplus = slices.DeleteFunc(s.Surplus, named)
}
