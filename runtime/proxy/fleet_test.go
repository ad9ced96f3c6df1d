package proxy_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"rsm/internal/redistest"
	"rsm/reconcile"
	"rsm/reconcile/execute"
	"rsm/schema"
)

// place is a server and the address that others know it by: its own, or that of
// a bridge before it.
type place struct {
	*redistest.Server
	known  string
	bridge *bridge // nil when there is none
}

// fleet is a cluster whose mastership moves.
type fleet struct {
	t         testing.TB
	redis     []place
	sentinels []place
	pause     time.Duration // how long writes may wait in a handover
}

// newFleet starts a master, two replicas and three Sentinels that wait for longer
// than usual, as a machine that runs many tests is slow.
func newFleet(t testing.TB) *fleet {
	t.Helper()
	c := redistest.StartCluster(t, "cache", 3, 3)
	f := &fleet{t: t, pause: 2400 * time.Millisecond}
	for _, s := range c.Redis {
		f.redis = append(f.redis, place{Server: s, known: s.Addr()})
	}
	for _, s := range c.Sentinels {
		s.Do("SENTINEL", "SET", "cache", "down-after-milliseconds", "3000")
		s.Do("SENTINEL", "SET", "cache", "failover-timeout", "6000")
		f.sentinels = append(f.sentinels, place{Server: s, known: s.Addr()})
	}
	f.whole()
	return f
}

// role is what a proxy in front of the fleet is told.
func (f *fleet) role(downAfter time.Duration) schema.ProxyRole {
	var sentinels []string
	for _, s := range f.sentinels {
		sentinels = append(sentinels, s.known)
	}
	role := newRole(f.t, "", sentinels...)
	role.Cluster.Redis.Nodes = nil
	for i, n := range f.redis {
		role.Cluster.Redis.Nodes = append(role.Cluster.Redis.Nodes, schema.RedisNode{Name: nodeName(i), Addr: schema.Addr(n.known)})
	}
	role.Cluster.Sentinel.Quorum, role.Cluster.Sentinel.DownAfter = 2, downAfter
	return role
}

func nodeName(i int) string { return "redis-" + strconv.Itoa(i+1) }

// named is the node that every Sentinel names, with the epoch; -1 when they do
// not agree, or are not done.
func (f *fleet) named() (leader int, epoch string, err error) {
	leader = -1
	for _, s := range f.sentinels {
		m := s.Master("cache")
		at := -1
		for i, n := range f.redis {
			if n.known == m["ip"]+":"+m["port"] {
				at = i
			}
		}
		switch {
		case at < 0 || leader >= 0 && at != leader || epoch != "" && epoch != m["config-epoch"]:
			return -1, "", fmt.Errorf("sentinel %s names %s:%s at epoch %s", s.known, m["ip"], m["port"], m["config-epoch"])
		case m["flags"] != "master" || m["num-slaves"] != strconv.Itoa(len(f.redis)-1):
			return -1, "", fmt.Errorf("sentinel %s says %s, %s replicas", s.known, m["flags"], m["num-slaves"])
		}
		leader, epoch = at, m["config-epoch"]
	}
	return leader, epoch, nil
}

// healthy reports what keeps the fleet from being one master that all others
// follow, to the knowledge of every Sentinel.
func (f *fleet) healthy() (leader int, err error) {
	leader, _, err = f.named()
	if err != nil {
		return leader, err
	}
	_, port, _ := strings.Cut(f.redis[leader].known, ":")
	for i, n := range f.redis {
		info, err := n.TryDo("INFO", "replication")
		text := fmt.Sprint(info)
		switch {
		case err != nil:
			return leader, err
		case i == leader && !strings.Contains(text, "role:master"):
			return leader, fmt.Errorf("%s is no master", nodeName(i))
		case i != leader && !(strings.Contains(text, "master_port:"+port+"\r") && strings.Contains(text, "master_link_status:up")):
			return leader, fmt.Errorf("%s does not follow: %s", nodeName(i), text)
		}
	}
	for _, s := range f.sentinels {
		replicas, err := s.TryDo("SENTINEL", "REPLICAS", "cache")
		if text := fmt.Sprint(replicas); err != nil || strings.Count(text, "master-link-status ok") != len(f.redis)-1 ||
			strings.Count(text, " flags slave ") != len(f.redis)-1 {
			return leader, fmt.Errorf("sentinel %s has not asked every replica: %v", s.known, err)
		}
		peers, err := s.TryDo("SENTINEL", "SENTINELS", "cache")
		if text := fmt.Sprint(peers); err != nil || strings.Count(text, " flags sentinel ") != len(f.sentinels)-1 {
			return leader, fmt.Errorf("sentinel %s misses a peer: %v", s.known, err)
		}
	}
	return leader, nil
}

// whole waits until the fleet is healthy and returns who leads. Nodes that lead
// or follow somebody else are told whom to follow after a while, which is what
// Sentinel does later.
func (f *fleet) whole() int {
	f.t.Helper()
	leader, began := -1, time.Now()
	redistest.Wait(f.t, 60*time.Second, func() (err error) {
		if leader, err = f.healthy(); err != nil && leader >= 0 && time.Since(began) > time.Second {
			f.align(leader)
		}
		return err
	})
	return leader
}

func (f *fleet) align(leader int) {
	host, port, _ := strings.Cut(f.redis[leader].known, ":")
	for i, n := range f.redis {
		text, err := n.TryDo("INFO", "replication")
		if i != leader && err == nil && !strings.Contains(fmt.Sprint(text), "master_port:"+port+"\r") {
			_, _ = n.TryDo("REPLICAOF", host, port)
		}
	}
}

// handover hands the mastership over as rsm does.
func (f *fleet) handover(leader int) (execute.Handed, error) {
	ref := func(name, addr string) reconcile.RoleRef {
		return reconcile.RoleRef{Cluster: "cache", Name: name, Addr: schema.Addr(addr)}
	}
	to := (leader + 1) % len(f.redis)
	a := reconcile.Handover{
		Cluster: "cache", From: ref(nodeName(leader), f.redis[leader].known), To: ref(nodeName(to), f.redis[to].known),
		Sentinel: ref("sentinel-0", f.sentinels[0].known), Pause: f.pause, Timeout: 6 * time.Second,
	}
	for i, n := range f.redis {
		if i != to && i != leader {
			a.Rivals = append(a.Rivals, reconcile.Rival{Name: nodeName(i), Addr: schema.Addr(n.known), Priority: 100})
		}
	}
	var handed execute.Handed
	e := &execute.Executor{Handed: func(h execute.Handed) { handed = h }}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return handed, e.Do(ctx, a)
}
