package reconcile

import (
	"rsm/schema"
)

// unnamedTarget chooses a master where every Sentinel answers, but no majority
// names one: on a new cluster, after Sentinels lost their files, after a total
// outage. Whatever could hide newer data makes it refuse.
func unnamedTarget(c *schema.Cluster, s *State) target {
	if unknown := s.filter(func(r *RedisState) bool { return r.Reach == Unknown }); len(unknown) > 0 {
		return heldTarget("no Sentinel majority names a master, and %s is unknown (%s): it may hold newer data",
			unknown[0].Name, unknown[0].Why)
	}
	if loading := s.filter(func(r *RedisState) bool { return r.Reach == Up && r.Loading }); len(loading) > 0 {
		t := heldTarget("no Sentinel majority names a master, and %s is still loading its data set", loading[0].Name)
		t.held.Wait = true
		return t
	}
	if addr, disagree := s.remembered(); disagree {
		t := heldTarget("the Sentinels disagree on the master and none has a majority: %s", s.opinions())
		t.held.Wait = s.oneLeads() // the highest epoch wins by gossip, within seconds
		return t
	} else if addr != "" {
		return rememberedTarget(s, addr)
	}
	up := s.filter(func(r *RedisState) bool { return r.Reach == Up })
	switch masters := mastersOf(up); {
	case len(up) == 0:
		return outageTarget(c, s)
	case len(masters) == 0:
		return leaderlessTarget(c, s, up)
	default:
		return graphTarget(c, s, up, masters)
	}
}

// remembered returns the address that those Sentinels name that know one at all.
func (s *State) remembered() (addr schema.Addr, disagree bool) {
	for _, r := range s.Sentinels {
		if !r.Knows() {
			continue
		}
		if addr != "" && addr != r.Master {
			return "", true
		}
		addr = r.Master
	}
	return addr, false
}

// oneLeads reports whether exactly one address is named at the highest epoch.
func (s *State) oneLeads() bool {
	leaders := map[schema.Addr]bool{}
	for _, r := range s.Sentinels {
		if r.Knows() && r.Epoch == s.Epoch() {
			leaders[r.Master] = true
		}
	}
	return len(leaders) == 1
}

func (s *State) opinions() string {
	text := ""
	for _, name := range names(s.Sentinels) {
		if r := s.Sentinels[name]; r.Knows() {
			text += sep(text) + name + " names " + string(r.Master) + " at epoch " + uintText(r.Epoch)
		} else {
			text += sep(text) + name + " names nobody"
		}
	}
	return text
}

// rememberedTarget handles a minority of Sentinels that agree while the others
// are blank: enough when the node itself says master and nobody else does.
func rememberedTarget(s *State, addr schema.Addr) target {
	node := s.At(addr)
	if node == nil || node.Reach != Up || node.Role != Master {
		return heldTarget("only a minority of Sentinels names a master (%s), and it does not confirm", addr)
	}
	for _, r := range s.filter(func(r *RedisState) bool { return r.Reach == Up && r.Role == Master && r.Keys > 0 }) {
		if r != node {
			return heldTarget("only a minority of Sentinels names %s, and %s is a master with data, too", node.Name, r.Name)
		}
	}
	return target{node: node, basis: "the only master, named by every Sentinel that knows one"}
}

// graphTarget handles blank Sentinels and at least one master: the master that
// the replicas follow (scenario 2), or the only one that has data.
func graphTarget(c *schema.Cluster, s *State, up, masters []*RedisState) target {
	full := s.filter(func(r *RedisState) bool {
		return r.Reach == Up && r.Role == Master && (r.Keys > 0 || len(r.Replicas) > 0)
	})
	if len(full) == 0 {
		if len(up) == len(masters) && s.noDataOnDisk() {
			return seedTarget(c, s)
		}
		full = masters[:1]
	}
	if len(full) > 1 {
		t := heldTarget("%d nodes are masters and no Sentinel knows which is right: %s", len(full), nodeList(full))
		t.held.Flag = allowFlag(AllowPromote, "NODE")
		return t
	}
	master := full[0]
	for _, r := range up {
		if r.Role == Replica && s.root(r) != master && (r.LinkUp || drops(r, master) != "") {
			return heldTarget("no Sentinel knows a master, and the replicas disagree: %s follows %s, not %s", r.Name, r.Master, master.Name)
		}
	}
	if newer := s.newerOnDisk(master); newer != "" {
		t := heldTarget("no Sentinel knows a master; %s is up as one, but %s", master.Name, newer)
		t.held.Flag = allowFlag(AllowPromote, "NODE")
		return t
	}
	return target{node: master, basis: "the only master; no Sentinel knows any"}
}

// newerOnDisk tells why a node that is down may have data that a lone master
// lacks: rsm's own record says that another was master, or nobody follows it.
func (s *State) newerOnDisk(master *RedisState) string {
	for _, r := range s.filter(func(r *RedisState) bool { return r.Reach == Down && r.Process.Data != No }) {
		recorded := s.Record != nil && s.Record.Master == r.Addr
		vouched := s.Record != nil && s.Record.Master == master.Addr || len(master.Replicas) > 0
		if recorded {
			return r.Name + ", which is down, was the last recorded master"
		}
		if !vouched {
			return r.Name + ", which is down, may have newer data on disk"
		}
	}
	return ""
}

// leaderlessTarget handles blank Sentinels and replicas without any master
// (scenario 3): the replica with the most of the one history there is.
func leaderlessTarget(c *schema.Cluster, s *State, up []*RedisState) target {
	holders := s.filter(func(r *RedisState) bool { return r.Reach == Up && r.Keys > 0 })
	down := s.filter(func(r *RedisState) bool { return r.Reach == Down && r.Process.Data != No })
	switch {
	case len(down) > 0:
		t := heldTarget("there is no master, and %s, which is down, may have newer data", down[0].Name)
		t.held.Flag = allowFlag(AllowPromote, "NODE")
		return t
	case len(holders) == 0:
		return seedTarget(c, s)
	case !sameHistory(holders):
		t := heldTarget("there is no master, and the data sets have different histories: %s", nodeList(holders))
		t.held.Flag = allowFlag(AllowPromote, "NODE")
		return t
	}
	for _, r := range up {
		switch {
		case r.LinkUp && s.At(r.Master) == nil:
			return heldTarget("there is no master, and %s follows %s, which is no node of this cluster", r.Name, r.Master)
		case r.LinkUp: // in a ring, or behind a replica that is looked at, too
		case r.LinkDown < settle(c):
			t := heldTarget("there is no master; %s lost its link less than %s ago", r.Name, settle(c))
			t.held.Wait = true
			return t
		}
	}
	best := holders[0]
	for _, r := range holders {
		if r.Offset > best.Offset || r.Offset == best.Offset && outranks(r, best) {
			best = r
		}
	}
	return target{node: best, basis: "it has the most of the only data set"}
}

// outageTarget handles a cluster of which no redis-server is alive and no
// Sentinel remembers anything: rsm's own record decides, or the only data set.
func outageTarget(c *schema.Cluster, s *State) target {
	holders := s.filter(func(r *RedisState) bool { return r.Process.Data != No })
	if len(holders) == 0 {
		return seedTarget(c, s)
	}
	if s.Record != nil {
		if node := s.At(s.Record.Master); node != nil && node.Process.Data == Yes {
			return target{node: node, basis: "the last recorded master; nothing is alive and no Sentinel remembers"}
		}
	}
	if len(holders) == 1 && holders[0].Process.Data == Yes {
		return target{node: holders[0], basis: "the only node with data on disk"}
	}
	text := ""
	for _, r := range holders {
		text += sep(text) + r.Name
	}
	t := heldTarget("nothing is alive, no Sentinel remembers a master, and several nodes may have data on disk: %s", text)
	t.held.Flag = allowFlag(AllowPromote, "NODE")
	return t
}

func seedTarget(c *schema.Cluster, s *State) target {
	return target{node: s.Redis[c.Redis.Seed], basis: "the seed; there is no data anywhere"}
}

func (s *State) noDataOnDisk() bool {
	return len(s.filter(func(r *RedisState) bool { return r.Reach == Down && r.Process.Data != No })) == 0
}

// root follows a chain of replicas up to the node that is no replica.
func (s *State) root(r *RedisState) *RedisState {
	for range len(s.Redis) {
		if r == nil || r.Role != Replica {
			return r
		}
		r = s.At(r.Master)
	}
	return nil
}
