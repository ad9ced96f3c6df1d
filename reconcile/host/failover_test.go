package host

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"rsm/internal/redistest"
	"rsm/reconcile"
	"rsm/schema"
)

// Sentinel rewrites the files that Start wrote; a later Start has to live with
// that.
func TestRolesThroughAFailover(t *testing.T) {
	t.Parallel()
	ports := redistest.Ports(t, 5)
	h, r1, r2 := newHost(t), redisRef("r1", ports[0]), redisRef("r2", ports[1])
	mustStart(t, h, reconcile.StartRole{Role: r1})
	mustStart(t, h, reconcile.StartRole{Role: r2, Follow: r1.Addr})
	for i, port := range ports[2:] {
		s := sentinelRef(fmt.Sprintf("s%d", i+1), port)
		mustStart(t, h, reconcile.StartRole{Role: s})
		do(t, s, "SENTINEL", "MONITOR", "cache", "127.0.0.1", strconv.Itoa(ports[0]), "2")
		do(t, s, "SENTINEL", "SET", "cache", "down-after-milliseconds", "500")
		do(t, s, "SENTINEL", "SET", "cache", "failover-timeout", "2000")
	}
	for _, port := range ports[2:] {
		redistest.Wait(t, 30*time.Second, func() error {
			_, err := redistest.Do(fmt.Sprintf("127.0.0.1:%d", port), "SENTINEL", "CKQUORUM", "cache")
			replicas, _ := redistest.Do(fmt.Sprintf("127.0.0.1:%d", port), "SENTINEL", "REPLICAS", "cache")
			if known, _ := replicas.([]any); err == nil && len(known) == 0 {
				err = fmt.Errorf("no replica is known to %d", port)
			}
			return err
		})
	}
	if err := h.Stop(t.Context(), reconcile.StopRole{Role: r1, NoSave: true}); err != nil {
		t.Fatal(err)
	}
	redistest.Wait(t, 30*time.Second, redistest.Want("role of r2", "master", func() string { return role0(r2.Addr) }))
	mustStart(t, h, reconcile.StartRole{Role: r1, Follow: r2.Addr})
	if got := role0(r1.Addr); got != "slave" {
		t.Errorf("r1 came back as %q", got)
	}
	for i, port := range ports[2:] {
		s := sentinelRef(fmt.Sprintf("s%d", i+1), port)
		mustStop(t, h, s)
		mustStart(t, h, reconcile.StartRole{Role: s})
		redistest.Wait(t, 30*time.Second, redistest.Want("master of "+s.Name, strconv.Itoa(ports[1]), func() string {
			reply, _ := redistest.Do(string(s.Addr), "SENTINEL", "GET-MASTER-ADDR-BY-NAME", "cache")
			words, _ := reply.([]any)
			if len(words) != 2 {
				return ""
			}
			return fmt.Sprint(words[1])
		}))
	}
}

// role0 is what ROLE says first, empty when there is no answer.
func role0(addr schema.Addr) string {
	reply, _ := redistest.Do(string(addr), "ROLE")
	if words, _ := reply.([]any); len(words) > 0 {
		return fmt.Sprint(words[0])
	}
	return ""
}
