package proxy_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"rsm/internal/redistest"
)

var chaosTime = flag.Duration("chaos", 15*time.Second, "for how long TestChaos breaks things")

// campaign is many clients of one proxy, and what is done to the servers behind it.
type campaign struct {
	*ledger
	t     testing.TB
	fleet *fleet
	addr  string
	limit time.Duration // nobody may wait longer
	ended chan struct{}
	dice  *rand.Rand
	did   []string
}

func (c *campaign) over() bool {
	select {
	case <-c.ended:
		return true
	default:
		return false
	}
}

// TestChaos lets 200 clients work while servers are killed and stopped, the mastership
// moves, and connections are slow, deaf and cut, one after the other. Every client
// knows the only right replies to what it sends.
func TestChaos(t *testing.T) {
	first := *seed
	if first == 0 {
		first = uint64(time.Now().UnixNano())
	}
	t.Logf("-seed %d", first)
	f := newBridgedFleet(t)
	role := f.role(2 * time.Second)
	role.Proxy.Hold = 8 * time.Second
	goroutines, connections := runtime.NumGoroutine(), f.connections()
	_, stop := runUntil(t, role)
	defer stop()
	awaitPong(t, mainAddr(role))
	c := &campaign{
		ledger: &ledger{counts: map[string]int{}, longest: map[string]time.Duration{}}, t: t, fleet: f,
		addr: mainAddr(role), limit: role.Proxy.Hold + 2*time.Second, ended: make(chan struct{}), dice: rand.New(rand.NewPCG(first, 0)),
	}
	defer c.report()
	var work sync.WaitGroup
	end := sync.OnceFunc(func() {
		close(c.ended)
		work.Wait()
	})
	defer end()
	before := heap()
	c.cast(&work, first)
	c.breakThings(*chaosTime)
	end()
	if after := heap(); after > before+64<<20 {
		t.Errorf("heap %d MB, %d MB before", after>>20, before>>20)
	} else {
		t.Logf("heap %d MB, %d MB before", after>>20, before>>20)
	}
	c.leavesNobody()
	stop()
	redistest.Wait(t, patience, func() error {
		if now := f.connections(); now > connections {
			return fmt.Errorf("the servers have %d connections, %d before the proxy", now, connections)
		}
		if now := runtime.NumGoroutine(); now > goroutines+10 { // some serve Sentinels
			return fmt.Errorf("%d goroutines, %d before the proxy", now, goroutines)
		}
		return nil
	})
}

// report tells what was done and what came of it.
func (c *campaign) report() {
	lost := c.judge()
	c.t.Logf("%s; %v; acknowledged writes that were lost: %v", strings.Join(c.did, ", "), c.counts, lost)
	c.t.Logf("longest waits: %s", slowest(c.longest))
	for i, v := range c.violations {
		if i == 30 {
			c.t.Errorf("and %d more", len(c.violations)-i)
			break
		}
		c.t.Error(v)
	}
}

// leavesNobody: when the clients are gone, so is everything that they had.
func (c *campaign) leavesNobody() {
	c.t.Helper()
	watcher := dial(c.t, c.addr)
	leader := c.fleet.redis[c.fleet.whole()]
	redistest.Wait(c.t, patience, func() error {
		if list := watcher.ask("CLIENT", "LIST"); strings.Count(list, "id=") != 1 {
			return fmt.Errorf("clients are left: %.500s", list)
		}
		if blocked := leader.Info("blocked_clients"); blocked != "0" {
			return fmt.Errorf("%s connections are still blocked", blocked)
		}
		return nil
	})
	_ = watcher.conn.Close()
}

// cast starts the clients.
func (c *campaign) cast(work *sync.WaitGroup, seed uint64) {
	kinds := []struct {
		name string
		step func(*actor)
		n    int
	}{
		{"incr", (*actor).incr, 30}, {"set", (*actor).setAndGet, 40}, {"pipeline", (*actor).many, 30},
		{"transaction", (*actor).transact, 30}, {"watch", (*actor).watch, 20},
		{"big", (*actor).big, 5}, {"sluggish", (*actor).sips, 5},
	}
	id := 0
	start := func(kind string, step func(*actor), set func(*actor)) {
		a := &actor{Rand: rand.New(rand.NewPCG(seed, uint64(id)+1)), campaign: c, id: id, kind: kind, tag: fmt.Sprintf("%s%d", kind, id)}
		id++
		a.count, a.both = tally{l: c.ledger, key: a.tag + ":n", at: time.Now()}, tally{l: c.ledger, key: a.tag + ":m", at: time.Now()}
		for i := range 3 {
			a.cells = append(a.cells, &cell{l: c.ledger, key: fmt.Sprintf("%s:%d", a.tag, i), at: time.Now()})
		}
		set(a)
		work.Go(func() { a.run(step) })
	}
	for _, k := range kinds {
		var g *group
		for i := range k.n {
			if i%5 == 0 {
				g = &group{key: fmt.Sprintf("%s:group:%d", k.name, i), won: map[string]string{}, since: time.Now()}
			}
			start(k.name, k.step, func(a *actor) { a.group = g })
		}
	}
	for i := range 10 {
		q := &queue{key: fmt.Sprintf("queue:%d", i), pushed: map[int]item{}}
		start("push", (*actor).push, func(a *actor) { a.queue = q })
		start("pop", (*actor).pop, func(a *actor) { a.queue = q })
		topic := &topic{name: fmt.Sprintf("topic:%d", i)}
		start("publish", func(a *actor) { a.publish(topic) }, func(*actor) {})
		start("subscribe", func(a *actor) { a.subscribe(topic) }, func(*actor) {})
	}
}
