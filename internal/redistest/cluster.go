package redistest

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strconv"
	"testing"
)

// Cluster is a master with replicas and Sentinels.
type Cluster struct {
	// Name is the master name in the Sentinels.
	Name string
	// Redis holds the master first.
	Redis     []*Server
	Sentinels []*Server
}

// StartCluster runs a master, nRedis-1 replicas and nSentinel Sentinels that
// monitor it under the name with a majority as quorum, down-after 1 s and
// failover-timeout 3 s, and waits until replicas are in sync and every Sentinel
// knows everyone.
func StartCluster(t testing.TB, name string, nRedis, nSentinel int) *Cluster {
	t.Helper()
	c := &Cluster{Name: name, Redis: []*Server{Start(t)}}
	for range nRedis - 1 {
		c.Redis = append(c.Redis, Start(t, fmt.Sprintf("replicaof 127.0.0.1 %d", c.Redis[0].Port())))
	}
	for _, replica := range c.Redis[1:] {
		Wait(t, patience, Want("link of "+replica.Addr(), "up", func() string { return replica.Info("master_link_status") }))
	}
	ids, ports := make([]string, nSentinel), Ports(t, nSentinel)
	for i := range ids {
		ids[i] = randomID(t)
	}
	for i := range nSentinel {
		c.Sentinels = append(c.Sentinels, run(t, "redis-sentinel", ports[i], c.sentinelConfig(ids, ports, i)))
	}
	for _, sentinel := range c.Sentinels {
		Wait(t, patience, func() error { return c.knowsAll(sentinel) })
	}
	return c
}

// sentinelConfig introduces the Sentinels to each other, which saves the two
// seconds until their first hello messages.
func (c *Cluster) sentinelConfig(ids []string, ports []int, self int) []string {
	lines := []string{
		"sentinel myid " + ids[self],
		fmt.Sprintf("sentinel monitor %s 127.0.0.1 %d %d", c.Name, c.Redis[0].Port(), len(ids)/2+1),
		fmt.Sprintf("sentinel down-after-milliseconds %s 1000", c.Name),
		fmt.Sprintf("sentinel failover-timeout %s 3000", c.Name),
	}
	for i, id := range ids {
		if i != self {
			lines = append(lines, fmt.Sprintf("sentinel known-sentinel %s 127.0.0.1 %d %s", c.Name, ports[i], id))
		}
	}
	return lines
}

func (c *Cluster) knowsAll(sentinel *Server) error {
	master := sentinel.Master(c.Name)
	replicas, peers := strconv.Itoa(len(c.Redis)-1), strconv.Itoa(len(c.Sentinels)-1)
	if master["flags"] != "master" || master["num-slaves"] != replicas || master["num-other-sentinels"] != peers {
		return fmt.Errorf("sentinel %s knows %v", sentinel.Addr(), master)
	}
	_, err := sentinel.TryDo("SENTINEL", "CKQUORUM", c.Name)
	return err
}

// Master returns what SENTINEL MASTER says of the name, empty when the Sentinel
// does not know it.
func (s *Server) Master(name string) map[string]string {
	reply, _ := s.TryDo("SENTINEL", "MASTER", name)
	words, _ := reply.([]any)
	fields := make(map[string]string, len(words)/2)
	for i := 0; i+1 < len(words); i += 2 {
		fields[fmt.Sprint(words[i])] = fmt.Sprint(words[i+1])
	}
	return fields
}

func randomID(t testing.TB) string {
	id := make([]byte, 20)
	if _, err := rand.Read(id); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(id)
}
