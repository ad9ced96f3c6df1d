package reconcile

import (
	"fmt"
	"math/rand/v2"
	"time"

	"rsm/schema"
)

// testCluster is a spec with n redis-servers r1… and m Sentinels s1….
func testCluster(n, m int) *schema.Cluster {
	c := &schema.Cluster{Name: "test"}
	for i := range n {
		c.Redis.Nodes = append(c.Redis.Nodes, schema.RedisNode{
			Name: fmt.Sprintf("r%d", i+1), Host: "local", Addr: schema.NewAddr("127.0.0.1", 7001+i),
			Priority: 100, Config: map[string]string{"maxmemory": "100mb"},
		})
	}
	for i := range m {
		c.Sentinel.Nodes = append(c.Sentinel.Nodes, schema.SentinelNode{
			Name: fmt.Sprintf("s%d", i+1), Host: "local", Addr: schema.NewAddr("127.0.0.1", 8001+i),
		})
	}
	c.Redis.Seed = "r1"
	c.Sentinel.Quorum = c.Sentinel.Majority()
	c.Sentinel.DownAfter, c.Sentinel.FailoverTimeout, c.Sentinel.ParallelSyncs = 5*time.Second, 60*time.Second, 1
	return c
}

// absent is the state of a cluster of which nothing runs and nothing is on disk.
func absent(c *schema.Cluster) *State {
	s := &State{Cluster: c.Name, Redis: map[string]*RedisState{}, Sentinels: map[string]*SentinelState{}, Roles: map[string]*RoleState{}}
	for _, n := range c.Redis.Nodes {
		s.Redis[n.Name] = &RedisState{Name: n.Name, Addr: n.Addr, Reach: Down, Priority: n.Priority, SecondOffset: -1,
			Process: Process{Local: true, Data: No, Binary: "7.0.15"}}
	}
	for _, n := range c.Sentinel.Nodes {
		s.Sentinels[n.Name] = &SentinelState{Name: n.Name, Addr: n.Addr, Reach: Down, MyID: "id-" + n.Name,
			Process: Process{Local: true, Data: No, Binary: "7.0.15"}}
	}
	for _, r := range DeclaredRoles(c) {
		s.Roles[r.Name] = &RoleState{Name: r.Name, Kind: r.Kind, Addr: r.Addr, Reach: Down, Process: Process{Local: true}}
	}
	return s
}

// withProxies adds n proxies p1… to a cluster.
func withProxies(c *schema.Cluster, n int) *schema.Cluster {
	for i := range n {
		c.Proxies = append(c.Proxies, schema.Proxy{Name: fmt.Sprintf("p%d", i+1), Cluster: c.Name, Host: "local", Address: "127.0.0.1",
			Listeners: []schema.Listener{{Name: "main", Addr: schema.NewAddr("127.0.0.1", 9001+i)}}})
	}
	return c
}

// withRoles adds an agent, a dispatcher, a worker and what they work on.
func withRoles(c *schema.Cluster) *schema.Cluster {
	c.Agents = []schema.Agent{{Name: "a1", Cluster: c.Name, Host: "local", Address: "127.0.0.1", Interval: 10 * time.Second}}
	c.Dispatchers = []schema.Dispatcher{{Name: "d1", Cluster: c.Name, Host: "local", Address: "127.0.0.1", Silent: 3}}
	c.Workers = []schema.Worker{{Name: "w1", Cluster: c.Name, Host: "local", Address: "127.0.0.1", Queues: []string{"default"}, Concurrency: 10}}
	c.Operations = schema.Operations{
		Queues:   []schema.Queue{{Name: "default", Attempts: 3}},
		Handlers: []schema.Handler{{Name: "note", Queue: "default", Types: []string{"note"}, Log: &schema.Log{}}},
		Rules:    []schema.Rule{{Name: "cpu", Type: "monitoring", Expr: "cpu_usage > 90", Receivers: []string{"note"}}},
	}
	return c
}

// healthy is the state in which the cluster is what the spec says, r1 leading.
func healthy(c *schema.Cluster) *State {
	s := absent(c)
	for _, step := range NewPlan(c, s, nil).Steps {
		step.Action.apply(s)
	}
	for _, r := range s.Redis {
		r.Keys, r.Offset, r.Version, r.RunID = 10, 1000, "7.0.15", "run-"+r.Name
		r.Process.Data = Yes
	}
	return s
}

// The faults that the property tests inject. Each changes a state as the outside
// world might; none asks what rsm would like.
var faults = []struct {
	name string
	hurt func(*rand.Rand, *schema.Cluster, *State)
}{
	{"kill redis", func(r *rand.Rand, _ *schema.Cluster, s *State) { s.kill(pickRedis(r, s)) }},
	{"kill master", func(_ *rand.Rand, _ *schema.Cluster, s *State) {
		if m := s.Authority(); m != nil {
			s.kill(m)
		}
	}},
	{"hang redis", func(r *rand.Rand, _ *schema.Cluster, s *State) {
		n := pickRedis(r, s)
		n.Reach, n.Why = Unknown, "timeout"
	}},
	{"lose disk", func(r *rand.Rand, _ *schema.Cluster, s *State) {
		n := pickRedis(r, s)
		s.kill(n)
		n.Process.Data, n.ReplID, n.Offset = No, "", 0
	}},
	{"reborn empty", func(r *rand.Rand, _ *schema.Cluster, s *State) {
		n := pickRedis(r, s)
		s.kill(n)
		n.Reach, n.Role, n.Keys, n.Offset, n.Process.Running = Up, Master, 0, 0, true
		n.ReplID, n.ReplID2, n.Process.Data = fmt.Sprint("reborn-", r.IntN(1e6)), "", No
	}},
	{"stray write", func(r *rand.Rand, _ *schema.Cluster, s *State) {
		if n := pickRedis(r, s); n.Reach == Up {
			if n.Role == Replica {
				n.lead()
			}
			n.Offset += 100
			n.Keys += 5
		}
	}},
	{"wrong master", func(r *rand.Rand, _ *schema.Cluster, s *State) {
		if n, m := pickRedis(r, s), pickRedis(r, s); n.Reach == Up {
			n.Role, n.Master, n.LinkUp = Replica, m.Addr, m.Reach == Up && m != n && m.ReplID == n.ReplID
		}
	}},
	{"foreign master", func(r *rand.Rand, _ *schema.Cluster, s *State) {
		if n := pickRedis(r, s); n.Reach == Up && n.Role == Replica {
			n.Master, n.ReplID, n.LinkUp = "10.9.9.9:6379", "foreign", r.IntN(2) == 0
		}
	}},
	{"blank sentinel", func(r *rand.Rand, _ *schema.Cluster, s *State) { pickSentinel(r, s).blank() }},
	{"blank sentinels", func(_ *rand.Rand, _ *schema.Cluster, s *State) {
		for _, x := range s.Sentinels {
			x.blank()
		}
	}},
	{"kill sentinel", func(r *rand.Rand, _ *schema.Cluster, s *State) {
		x := pickSentinel(r, s)
		if x.Knows() && r.IntN(3) > 0 {
			x.Process.Memory = &Memory{Master: x.Master, Epoch: x.Epoch, Quorum: x.Quorum}
		}
		x.Reach, x.Process.Running = Down, false
		x.blank()
	}},
	{"hang sentinel", func(r *rand.Rand, _ *schema.Cluster, s *State) { pickSentinel(r, s).Reach = Unknown }},
	{"sentinel elsewhere", func(r *rand.Rand, _ *schema.Cluster, s *State) {
		x := pickSentinel(r, s)
		x.Master, x.Epoch = pickRedis(r, s).Addr, uint64(r.IntN(5))
	}},
	{"all elsewhere", func(r *rand.Rand, _ *schema.Cluster, s *State) {
		addr := pickRedis(r, s).Addr
		for _, x := range s.Sentinels {
			if x.Knows() {
				x.Master = addr
			}
		}
	}},
	{"settings", func(r *rand.Rand, _ *schema.Cluster, s *State) {
		pickSentinel(r, s).Quorum = r.IntN(4)
		pickSentinel(r, s).DownAfter = time.Duration(r.IntN(9)) * time.Second
		if n := pickRedis(r, s); n.Config != nil {
			n.Config["maxmemory"], n.Config["replica-read-only"] = "1", "no"
		}
	}},
	{"failover", func(_ *rand.Rand, c *schema.Cluster, s *State) {
		if s.HasQuorum() && s.successor() != nil {
			waitFailover(c, s, "").apply(s)
		}
	}},
	{"failover begins", func(r *rand.Rand, _ *schema.Cluster, s *State) {
		x := pickSentinel(r, s)
		x.Flags = append(x.Flags, "failover_in_progress")
	}},
	{"stale replica", func(r *rand.Rand, _ *schema.Cluster, s *State) {
		x := pickSentinel(r, s)
		x.Replicas = append(x.Replicas, KnownReplica{Addr: "127.0.0.1:9999", Flags: []string{"slave", "s_down"}})
	}},
	{"surplus", func(r *rand.Rand, _ *schema.Cluster, s *State) {
		s.Surplus = append(s.Surplus, SurplusRole{Name: fmt.Sprint("old", r.IntN(9)), Kind: KindRedis, Addr: "127.0.0.1:9999", Running: true})
	}},
	{"priority", func(r *rand.Rand, _ *schema.Cluster, s *State) { pickRedis(r, s).Priority = 0 }},
	{"loading", func(r *rand.Rand, _ *schema.Cluster, s *State) { n := pickRedis(r, s); n.Loading = n.Reach == Up }},
	{"loading data", func(r *rand.Rand, _ *schema.Cluster, s *State) {
		n := pickRedis(r, s)
		n.Reach, n.Loading, n.Role, n.Keys, n.ReplID, n.Process.Running = Up, true, Master, 0, "loading", true
	}},
	{"clients", func(r *rand.Rand, _ *schema.Cluster, s *State) { pickRedis(r, s).Clients = 3 }},
	{"data grows", func(r *rand.Rand, _ *schema.Cluster, s *State) { pickRedis(r, s).Memory = 200 << 20 }},
	{"record", func(r *rand.Rand, _ *schema.Cluster, s *State) {
		s.Record = &Registration{Cluster: s.Cluster, Master: pickRedis(r, s).Addr}
	}},
	{"kill proxy", func(r *rand.Rand, _ *schema.Cluster, s *State) { onRole(r, s, (*RoleState).stop) }},
	{"hang proxy", func(r *rand.Rand, _ *schema.Cluster, s *State) {
		onRole(r, s, func(p *RoleState) { p.Reach, p.Why = Unknown, "timeout" })
	}},
	{"other settings", func(r *rand.Rand, c *schema.Cluster, s *State) {
		onRole(r, s, func(p *RoleState) {
			p.Process.Foreign = ""
			p.start(otherSettings(c, p))
		})
	}},
	{"old proxy", func(r *rand.Rand, _ *schema.Cluster, s *State) {
		onRole(r, s, func(p *RoleState) { p.Version, p.Process.Binary = "v1.9.0", "v2.0.0" })
	}},
	{"refused settings", func(r *rand.Rand, c *schema.Cluster, s *State) {
		onRole(r, s, func(p *RoleState) {
			p.Refused, p.Refusal, p.Digest, p.Told = toldOf(c, p.Name).Digest(), "no", "other", Told{}
		})
	}},
	{"proxy port taken", func(r *rand.Rand, _ *schema.Cluster, s *State) {
		onRole(r, s, func(p *RoleState) {
			if p.stop(); p.Process.Local {
				p.Reach, p.Process.Foreign = Unknown, "nginx (pid 812)"
			}
		})
	}},
	{"remote proxy", func(r *rand.Rand, _ *schema.Cluster, s *State) {
		onRole(r, s, func(p *RoleState) { p.Process, p.Loaded = Process{}, Loaded{} })
	}},
	{"surplus proxy", func(r *rand.Rand, _ *schema.Cluster, s *State) {
		s.Surplus = append(s.Surplus, SurplusRole{Name: fmt.Sprint("gone", r.IntN(9)), Kind: KindProxy, Addr: "127.0.0.1:9998", Running: true})
	}},
	{"flush", func(_ *rand.Rand, _ *schema.Cluster, s *State) {
		if s.Published != nil {
			s.Published = &Published{}
		}
	}},
	{"other operations", func(r *rand.Rand, _ *schema.Cluster, s *State) {
		s.Published = &Published{Operations: map[string]string{"rule/cpu": `{"Name":"cpu","Expr":"true"}`, "queue/gone": `{"Name":"gone"}`, "digest": "x"},
			Roles: map[string]string{"r9": "{}"}, Backlog: map[string]int64{"gone": int64(r.IntN(2))}}
	}},
	{"operations out of sight", func(_ *rand.Rand, _ *schema.Cluster, s *State) {
		s.Published = &Published{Why: "NOPERM"}
	}},
	{"long ago", func(_ *rand.Rand, _ *schema.Cluster, s *State) {
		for _, n := range s.Redis {
			n.LinkDown = time.Hour
		}
	}},
}

func toldOf(c *schema.Cluster, name string) Told {
	for _, role := range DeclaredRoles(c) {
		if role.Name == name {
			return role.Told
		}
	}
	return Told{}
}

// otherSettings is what a role was told before.
func otherSettings(c *schema.Cluster, p *RoleState) Told {
	told := toldOf(c, p.Name)
	switch {
	case told.Proxy != nil:
		told.Proxy.Proxy.MaxClients++
	case told.Agent != nil:
		told.Agent.Agent.Interval++
	case told.Dispatcher != nil:
		told.Dispatcher.Dispatcher.Silent++
	case told.Worker != nil:
		told.Worker.Worker.Concurrency++
	}
	return told
}

func pickRedis(r *rand.Rand, s *State) *RedisState {
	list := names(s.Redis)
	return s.Redis[list[r.IntN(len(list))]]
}

func onRole(r *rand.Rand, s *State, do func(*RoleState)) {
	if list := names(s.Roles); len(list) > 0 {
		do(s.Roles[list[r.IntN(len(list))]])
	}
}

func pickSentinel(r *rand.Rand, s *State) *SentinelState {
	list := names(s.Sentinels)
	return s.Sentinels[list[r.IntN(len(list))]]
}

func (s *State) kill(n *RedisState) {
	if n.Loading { // from disk, so there is something
		n.Loading, n.Process.Data = false, Yes
	}
	n.Reach, n.Process.Running, n.Role, n.Master, n.LinkUp, n.Keys = Down, false, "", "", false, 0
	for _, other := range s.Redis {
		if other.Master == n.Addr {
			other.LinkUp = false
		}
		other.Replicas = without(other.Replicas, n.Addr)
	}
	n.Replicas = nil
}

func (s *SentinelState) blank() {
	s.Master, s.Epoch, s.Flags, s.Replicas, s.Peers = "", 0, nil, nil, nil
}
