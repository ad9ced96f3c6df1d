package observe_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rsm/internal/redistest"
	"rsm/reconcile"
	"rsm/reconcile/observe"
	"rsm/schema"
)

// specOf declares the cluster as it runs: redis nodes r1…, Sentinels s1….
func specOf(c *redistest.Cluster) *schema.Cluster {
	spec := &schema.Cluster{Name: c.Name, Sentinel: schema.Sentinel{Quorum: len(c.Sentinels)/2 + 1}}
	for i, s := range c.Redis {
		spec.Redis.Nodes = append(spec.Redis.Nodes, node(fmt.Sprintf("r%d", i+1), s.Addr(), nil))
	}
	for i, s := range c.Sentinels {
		spec.Sentinel.Nodes = append(spec.Sentinel.Nodes, schema.SentinelNode{Name: fmt.Sprintf("s%d", i+1), Addr: schema.Addr(s.Addr())})
	}
	return spec
}

func node(name, addr string, config map[string]string) schema.RedisNode {
	return schema.RedisNode{Name: name, Addr: schema.Addr(addr), Priority: 100, Config: config}
}

// one declares a cluster of a single redis-server.
func one(addr string, config map[string]string) *schema.Cluster {
	return &schema.Cluster{Name: "cache", Redis: schema.Redis{Nodes: []schema.RedisNode{node("r1", addr, config)}}}
}

// oneSentinel declares a cluster of a single Sentinel.
func oneSentinel(addr string) *schema.Cluster {
	return &schema.Cluster{Name: "cache", Sentinel: schema.Sentinel{
		Nodes: []schema.SentinelNode{{Name: "s1", Addr: schema.Addr(addr)}},
	}}
}

func look(t *testing.T, o *observe.Observer, c *schema.Cluster) *reconcile.State {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	state, err := o.Observe(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	return state
}

func equal[T comparable](t *testing.T, what string, have, want T) {
	t.Helper()
	if have != want {
		t.Errorf("%s is %v, want %v", what, have, want)
	}
}

func TestCluster(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, "cache", 3, 3)
	c.Redis[0].Do("MSET", "a", "1", "b", "2")
	for _, replica := range c.Redis[1:] {
		redistest.Wait(t, 5*time.Second, redistest.Want("offset", c.Redis[0].Info("master_repl_offset"), func() string {
			return replica.Info("master_repl_offset")
		}))
	}
	spec := specOf(c)
	spec.Redis.Nodes[0].Config = map[string]string{"maxmemory": "64mb", "no-such-thing": "1"}
	state := look(t, &observe.Observer{}, spec)

	equal(t, "cluster", state.Cluster, "cache")
	checkMaster(t, state.Redis["r1"], c)
	for _, name := range []string{"r2", "r3"} {
		checkReplica(t, state.Redis[name], state.Redis["r1"])
	}
	for i, name := range []string{"s1", "s2", "s3"} {
		checkSentinel(t, state.Sentinels[name], c.Sentinels[i], state)
	}
	if authority := state.Authority(); authority == nil || authority.Name != "r1" {
		t.Errorf("authority is %v, want r1", authority)
	}
}

func checkMaster(t *testing.T, m *reconcile.RedisState, c *redistest.Cluster) {
	t.Helper()
	equal(t, "reach", m.Reach, reconcile.Up)
	equal(t, "why", m.Why, "")
	equal(t, "role", m.Role, reconcile.Master)
	equal(t, "keys", m.Keys, 2)
	equal(t, "master", m.Master, "")
	equal(t, "run id", m.RunID, c.Redis[0].Info("run_id"))
	equal(t, "version", m.Version, c.Redis[0].Info("redis_version"))
	equal(t, "replid", m.ReplID, c.Redis[0].Info("master_replid"))
	equal(t, "second offset", m.SecondOffset, -1)
	equal(t, "failover state", m.FailoverState, "")
	equal(t, "read only", m.ReadOnly, true)
	equal(t, "announced", m.Announced, true)
	equal(t, "priority", m.Priority, 100)
	equal(t, "maxmemory", m.Config["maxmemory"], "0")
	equal(t, "replica-priority", m.Config["replica-priority"], "100")
	equal(t, "bad directive", m.BadConfig["no-such-thing"], "unknown directive")
	equal(t, "bad directives", len(m.BadConfig), 1)
	replicas := slices.Sorted(slices.Values(m.Replicas))
	want := []schema.Addr{schema.Addr(c.Redis[1].Addr()), schema.Addr(c.Redis[2].Addr())}
	slices.Sort(want)
	if !slices.Equal(replicas, want) {
		t.Errorf("replicas are %v, want %v", replicas, want)
	}
}

func checkReplica(t *testing.T, r, master *reconcile.RedisState) {
	t.Helper()
	equal(t, r.Name+" reach", r.Reach, reconcile.Up)
	equal(t, r.Name+" role", r.Role, reconcile.Replica)
	equal(t, r.Name+" master", r.Master, master.Addr)
	equal(t, r.Name+" link", r.LinkUp, true)
	equal(t, r.Name+" link down", r.LinkDown, 0)
	equal(t, r.Name+" syncing", r.Syncing, false)
	equal(t, r.Name+" keys", r.Keys, 2)
	equal(t, r.Name+" replid", r.ReplID, master.ReplID)
	equal(t, r.Name+" clients", r.Clients, 0)
	if r.Offset == 0 {
		t.Errorf("%s has offset 0", r.Name)
	}
}

func checkSentinel(t *testing.T, s *reconcile.SentinelState, server *redistest.Server, state *reconcile.State) {
	t.Helper()
	equal(t, s.Name+" reach", s.Reach, reconcile.Up)
	equal(t, s.Name+" master", s.Master, state.Redis["r1"].Addr)
	equal(t, s.Name+" my id", s.MyID, server.Do("SENTINEL", "MYID").(string))
	equal(t, s.Name+" epoch", s.Epoch, 0)
	equal(t, s.Name+" flags", strings.Join(s.Flags, ","), "master")
	equal(t, s.Name+" role reported", s.RoleReported, reconcile.Master)
	equal(t, s.Name+" quorum", s.Quorum, 2)
	equal(t, s.Name+" down-after", s.DownAfter, time.Second)
	equal(t, s.Name+" failover-timeout", s.FailoverTimeout, 3*time.Second)
	equal(t, s.Name+" parallel-syncs", s.ParallelSyncs, 1)
	equal(t, s.Name+" usable", s.Usable, true)
	equal(t, s.Name+" tilt", s.Tilt, false)
	equal(t, s.Name+" replicas", len(s.Replicas), 2)
	equal(t, s.Name+" peers", len(s.Peers), 2)
	for _, peer := range s.Peers {
		if peer.Addr == s.Addr || len(peer.ID) != 40 {
			t.Errorf("%s has peer %v", s.Name, peer)
		}
	}
}

// TestCountsClientsOfAWritableReplica holds what is counted as an ordinary client.
func TestCountsClientsOfAWritableReplica(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, "cache", 2, 1)
	c.Redis[1].Do("CONFIG", "SET", "replica-read-only", "no")
	c.Redis[1].Do("CONFIG", "SET", "replica-announced", "no")
	c.Redis[1].Do("CONFIG", "SET", "replica-priority", "7")
	r := look(t, &observe.Observer{}, specOf(c)).Redis["r2"]
	equal(t, "read only", r.ReadOnly, false)
	equal(t, "announced", r.Announced, false)
	equal(t, "priority", r.Priority, 7)
	equal(t, "clients", r.Clients, 0)

	conn := connect(t, c.Redis[1].Addr())
	defer conn.Close()
	redistest.Wait(t, 5*time.Second, redistest.Want("clients", 1, func() int {
		return look(t, &observe.Observer{}, specOf(c)).Redis["r2"].Clients
	}))
}

// TestHungServerDelaysNobody is W8: a server that accepts and never answers costs
// one timeout, and the others are seen.
func TestHungServerDelaysNobody(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, "cache", 2, 3)
	c.Redis[1].Pause()
	defer c.Redis[1].Resume()
	c.Sentinels[2].Pause()
	defer c.Sentinels[2].Resume()
	start := time.Now()
	state := look(t, &observe.Observer{Timeout: 700 * time.Millisecond}, specOf(c))
	if took := time.Since(start); took > 1300*time.Millisecond {
		t.Errorf("took %s for a timeout of 700ms", took)
	}
	for name, r := range state.Redis {
		wantHung(t, name, name == "r2", r.Reach, r.Why)
	}
	for name, s := range state.Sentinels {
		wantHung(t, name, name == "s3", s.Reach, s.Why)
	}
}

func wantHung(t *testing.T, name string, hung bool, reach reconcile.Reach, why string) {
	t.Helper()
	if !hung {
		equal(t, name, reach, reconcile.Up)
		return
	}
	equal(t, name, reach, reconcile.Unknown)
	equal(t, name+" why", why, "no answer within 700ms")
}

// TestNothingListens holds that only a refused connection is "down".
func TestNothingListens(t *testing.T) {
	t.Parallel()
	addr := fmt.Sprintf("127.0.0.1:%d", redistest.Ports(t, 1)[0])
	state := look(t, &observe.Observer{}, one(addr, nil))
	equal(t, "reach", state.Redis["r1"].Reach, reconcile.Down)
	equal(t, "why", state.Redis["r1"].Why, "connection refused")
}

func TestIPv6(t *testing.T) {
	t.Parallel()
	port := redistest.Ports(t, 2)
	redistest.StartAt(t, port[0], "bind 127.0.0.1 ::1")
	redistest.StartAt(t, port[1], "bind 127.0.0.1 ::1", fmt.Sprintf("replicaof ::1 %d", port[0]), "replica-announce-ip ::1")
	master, replica := schema.NewAddr("::1", port[0]), schema.NewAddr("::1", port[1])
	sentinel := redistest.StartSentinel(t, fmt.Sprintf("sentinel monitor cache ::1 %d 1", port[0]))
	spec := oneSentinel(sentinel.Addr())
	spec.Redis.Nodes = []schema.RedisNode{node("r1", string(master), nil), node("r2", string(replica), nil)}
	redistest.Wait(t, 15*time.Second, func() error {
		state := look(t, &observe.Observer{}, spec)
		r1, r2, s1 := state.Redis["r1"], state.Redis["r2"], state.Sentinels["s1"]
		if r2.Master == master && r2.LinkUp && slices.Equal(r1.Replicas, []schema.Addr{replica}) && s1.Master == master &&
			len(s1.Replicas) == 1 && s1.Replicas[0].Addr == replica {
			return nil
		}
		return fmt.Errorf("r1 %+v, r2 %+v, s1 %+v", r1, r2, s1)
	})
}

func TestWrongKind(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	cluster := redistest.Start(t, "cluster-enabled yes", fmt.Sprintf("cluster-port %d", redistest.Ports(t, 1)[0]))
	sentinel := redistest.StartSentinel(t)
	for _, test := range []struct {
		spec *schema.Cluster
		want string
	}{
		{one(sentinel.Addr(), nil), "a Sentinel answers where the spec has a redis-server"},
		{one(cluster.Addr(), nil), "it runs in Redis Cluster mode, which Sentinel cannot watch"},
		{oneSentinel(server.Addr()), "a redis-server answers where the spec has a Sentinel"},
	} {
		reach, why := only(look(t, &observe.Observer{}, test.spec))
		equal(t, "reach", reach, reconcile.Unknown)
		equal(t, "why", why, test.want)
	}
}

// only returns how the single server of a state was reached.
func only(s *reconcile.State) (reconcile.Reach, string) {
	for _, r := range s.Redis {
		return r.Reach, r.Why
	}
	for _, r := range s.Sentinels {
		return r.Reach, r.Why
	}
	return "", ""
}

// TestSentinelThatKnowsNothing is scenario 1: that is an answer, not a failure.
func TestSentinelThatKnowsNothing(t *testing.T) {
	t.Parallel()
	server := redistest.StartSentinel(t)
	s := look(t, &observe.Observer{}, oneSentinel(server.Addr())).Sentinels["s1"]
	equal(t, "reach", s.Reach, reconcile.Up)
	equal(t, "knows", s.Knows(), false)
	equal(t, "usable", s.Usable, false)
	equal(t, "id length", len(s.MyID), 40)
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	fake := redistest.StartFake(t, func([]string) redistest.Reply { return redistest.Hang() })
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	start := time.Now()
	state, err := (&observe.Observer{}).Observe(ctx, one(fake.Addr(), nil))
	if err == nil || state != nil || time.Since(start) > 2*time.Second {
		t.Errorf("after %s: %v, %v", time.Since(start), state, err)
	}
}

func BenchmarkObserve6(b *testing.B) {
	spec := specOf(redistest.StartCluster(b, "cache", 3, 3))
	o := &observe.Observer{}
	for b.Loop() {
		state, err := o.Observe(b.Context(), spec)
		if err != nil || state.Authority() == nil {
			b.Fatal(state, err)
		}
	}
}

// BenchmarkObserve300 observes 50 clusters of 6 processes at once, as a plan of
// all clusters does; they share the same 6 processes.
func BenchmarkObserve300(b *testing.B) {
	spec := specOf(redistest.StartCluster(b, "cache", 3, 3))
	o := &observe.Observer{}
	for b.Loop() {
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if state, err := o.Observe(b.Context(), spec); err != nil || state.Authority() == nil {
					b.Error(state, err)
				}
			})
		}
		wg.Wait()
	}
}

func BenchmarkObserve1(b *testing.B) {
	spec := one(redistest.Start(b).Addr(), nil)
	o := &observe.Observer{}
	for b.Loop() {
		if _, err := o.Observe(b.Context(), spec); err != nil {
			b.Fatal(err)
		}
	}
}
