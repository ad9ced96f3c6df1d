package proxy_test

import (
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"rsm/internal/redistest"
)

var handovers = flag.Int("handovers", 1, "how often the mastership is handed over")

// moved is what a crew saw of one change of the master.
type moved struct {
	rate         float64       // acknowledged writes per second before
	gap, longest time.Duration // without any write; of a request
	failed, lost []string
	writes       int
}

// watchMove has a crew write through the proxy while the master changes.
func (f *fleet) watchMove(addr, prefix string, change func(leader int)) moved {
	f.t.Helper()
	leader := f.whole()
	w := startCrew(f.t, addr, prefix)
	defer w.stop()
	redistest.Wait(f.t, patience, w.wrote(500)) // everybody has begun
	before, began := w.count(), time.Now()
	redistest.Wait(f.t, patience, w.wrote(before+1000))
	m := moved{rate: float64(w.count()-before) / time.Since(began).Seconds()}
	began = time.Now()
	change(leader)
	now := leader
	redistest.Wait(f.t, 30*time.Second, func() (err error) {
		if now, _, err = f.named(); now == leader {
			err = fmt.Errorf("%s still leads", nodeName(leader))
		}
		return err
	})
	redistest.Wait(f.t, patience, w.wrote(w.count()+500))
	w.stop()
	from, to := w.gap(began)
	m.gap, m.longest, m.failed, m.writes = to.Sub(from), w.longest, w.failed, w.writes
	m.lost = w.lost(f.redis[now].Server)
	return m
}

// first is the beginning of a list, for people.
func first(list []string) []string { return list[:min(len(list), 5)] }

// TestHandoverThroughProxy: while the mastership is handed over, no request of
// clients of the proxy fails, and no write that was acknowledged is lost.
func TestHandoverThroughProxy(t *testing.T) {
	f := newFleet(t)
	role := f.role(3 * time.Second)
	run(t, role)
	awaitPong(t, mainAddr(role))
	var gaps, longest []time.Duration
	for i := range *handovers {
		var stalled time.Duration
		m := f.watchMove(mainAddr(role), fmt.Sprintf("h%d", i), func(leader int) {
			handed, err := f.handover(leader)
			for again := 0; err != nil && again < 3; again++ { // one that is given up changed nothing
				t.Logf("handover %d: %v", i+1, err)
				handed, err = f.handover(leader)
			}
			if err != nil {
				t.Fatalf("handover %d: %v", i+1, err)
			}
			stalled = handed.Stalled
		})
		t.Logf("handover %d: %.0f writes/s, %d in all, %d failed requests, %d lost writes, paused %s, no write for %s, longest request %s", i+1,
			m.rate, m.writes, len(m.failed), len(m.lost), stalled.Round(time.Millisecond), m.gap.Round(time.Millisecond), m.longest.Round(time.Millisecond))
		slow := m.longest > 2*time.Second || m.rate < 1000
		if *handovers == 1 { // the processors have other tests to do, too
			slow = m.longest > 8*time.Second
		}
		if len(m.failed)+len(m.lost) > 0 || slow {
			t.Errorf("handover %d: %.0f writes/s, longest request %s, failed %q, lost %q", i+1, m.rate, m.longest, first(m.failed), first(m.lost))
		}
		gaps, longest = append(gaps, m.gap), append(longest, m.longest)
	}
	t.Logf("no write for %s, longest request %s", spread(gaps), spread(longest))
}

// TestManualFailoverThroughProxy: nothing waits for the replicas when a person
// tells Sentinel to fail over, but the proxy holds what would be lost.
func TestManualFailoverThroughProxy(t *testing.T) {
	f := newFleet(t)
	role := f.role(3 * time.Second)
	run(t, role)
	awaitPong(t, mainAddr(role))
	var gaps, longest []time.Duration
	lost, failed := 0, 0
	for i := range *handovers {
		m := f.watchMove(mainAddr(role), fmt.Sprintf("m%d", i), func(int) { f.sentinels[i%len(f.sentinels)].Do("SENTINEL", "FAILOVER", "cache") })
		t.Logf("failover %d: %.0f writes/s, %d in all, %d failed requests, %d lost writes, no write for %s, longest request %s %q %q", i+1,
			m.rate, m.writes, len(m.failed), len(m.lost), m.gap.Round(time.Millisecond), m.longest.Round(time.Millisecond), first(m.failed), first(m.lost))
		gaps, longest = append(gaps, m.gap), append(longest, m.longest)
		lost, failed = lost+len(m.lost), failed+len(m.failed)
		if m.longest > 8*time.Second {
			t.Errorf("failover %d: a request took %s", i+1, m.longest)
		}
	}
	t.Logf("no write for %s, longest request %s, %d failed, %d lost", spread(gaps), spread(longest), failed, lost)
}

func spread(list []time.Duration) string {
	slices.Sort(list)
	ms := func(i int) time.Duration { return list[i].Round(time.Millisecond / 10) }
	return fmt.Sprintf("%s to %s, median %s", ms(0), ms(len(list)-1), ms(len(list)/2))
}
