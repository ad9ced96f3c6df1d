package proxy_test

import (
	"fmt"
	"testing"
	"time"

	"rsm/internal/redistest"
)

// newBridgedFleet is a fleet whose servers and Sentinels are known by bridges.
func newBridgedFleet(t testing.TB) *fleet {
	t.Helper()
	f := &fleet{t: t, pause: 1600 * time.Millisecond}
	for i := range 3 {
		b := newBridge(t)
		config := []string{"bind-source-addr " + insiders, "replica-announce-ip 127.0.0.1", "replica-announce-port " + portOf(b.addr)}
		if i > 0 {
			config = append(config, "replicaof 127.0.0.1 "+portOf(f.redis[0].known))
		}
		s := redistest.Start(t, config...)
		b.leadTo(s.Addr())
		f.redis = append(f.redis, place{s, b.addr, b})
	}
	for range 3 {
		b := newBridge(t)
		s := redistest.StartSentinel(t, "bind-source-addr "+insiders, "sentinel announce-ip 127.0.0.1", "sentinel announce-port "+portOf(b.addr),
			fmt.Sprintf("sentinel monitor cache 127.0.0.1 %s 2", portOf(f.redis[0].known)),
			"sentinel down-after-milliseconds cache 2000", "sentinel failover-timeout cache 4000")
		b.leadTo(s.Addr())
		f.sentinels = append(f.sentinels, place{s, b.addr, b})
	}
	f.whole()
	return f
}

// connections counts those of clients, Sentinels and proxies to all servers.
func (f *fleet) connections() int {
	n := 0
	for _, s := range append(f.redis[:len(f.redis):len(f.redis)], f.sentinels...) {
		s.bridge.mu.Lock()
		for x := range s.bridge.crossing {
			if !inside(x.client) {
				n++
			}
		}
		s.bridge.mu.Unlock()
	}
	return n
}

// fault is something that is done to the fleet, and undone.
type fault struct {
	name string
	// loses: Redis may lose acknowledged writes by it.
	loses bool
	do    func(c *campaign, leader int)
}

func faults() []fault {
	return []fault{
		{"handover", false, (*campaign).handOver},
		{"kill the master", true, (*campaign).killMaster},
		{"SENTINEL FAILOVER", true, func(c *campaign, _ int) {
			_, _ = c.anySentinel().TryDo("SENTINEL", "FAILOVER", "cache")
			c.wait(3 * time.Second)
		}},
		{"stop the master", true, func(c *campaign, leader int) { c.stop(c.fleet.redis[leader], 6*time.Second) }},
		{"stop the master shortly", false, func(c *campaign, leader int) { c.stop(c.fleet.redis[leader], 800*time.Millisecond) }},
		{"stop a replica", false, func(c *campaign, leader int) { c.stop(c.replica(leader), 4*time.Second) }},
		{"stop a Sentinel", false, func(c *campaign, _ int) { c.stop(c.anySentinel(), 4*time.Second) }},
		{"kill a replica", false, func(c *campaign, leader int) { c.kill(c.replica(leader), time.Second) }},
		{"kill a Sentinel", false, func(c *campaign, _ int) { c.kill(c.anySentinel(), 3*time.Second) }},
		{"CLIENT KILL on the master", false, func(c *campaign, leader int) {
			for range 5 {
				_, _ = c.fleet.redis[leader].TryDo("CLIENT", "KILL", "TYPE", "normal")
				c.wait(200 * time.Millisecond)
			}
		}},
		{"slow network", false, func(c *campaign, _ int) {
			c.storm(weather{delay: time.Duration(1+c.dice.IntN(20)) * time.Millisecond}, 3*time.Second, c.everywhere()...)
		}},
		{"slow master", false, func(c *campaign, leader int) {
			c.storm(weather{delay: 50 * time.Millisecond}, 3*time.Second, c.fleet.redis[leader])
		}},
		{"deaf master", false, func(c *campaign, leader int) {
			c.storm(weather{deafTo: true, deafFrom: true}, c.between(200, 6000), c.fleet.redis[leader])
		}},
		{"master that is not heard", false, func(c *campaign, leader int) {
			c.storm(weather{deafFrom: true}, c.between(200, 6000), c.fleet.redis[leader])
		}},
		{"master cannot be reached", false, func(c *campaign, leader int) {
			c.fleet.redis[leader].bridge.cut(false, false)
			c.storm(weather{refuse: true}, c.between(200, 4000), c.fleet.redis[leader])
		}},
		{"deaf replica", false, func(c *campaign, leader int) {
			c.storm(weather{deafTo: true, deafFrom: true}, 3*time.Second, c.replica(leader))
		}},
		{"deaf Sentinel", false, func(c *campaign, _ int) {
			c.storm(weather{deafTo: true, deafFrom: true}, 4*time.Second, c.anySentinel())
		}},
		{"deaf Sentinels", false, func(c *campaign, _ int) {
			c.storm(weather{deafTo: true, deafFrom: true}, c.between(1000, 6000), c.fleet.sentinels...)
		}},
		{"failover behind deaf Sentinels", true, func(c *campaign, _ int) {
			_, _ = c.fleet.sentinels[0].TryDo("SENTINEL", "FAILOVER", "cache")
			c.storm(weather{deafTo: true, deafFrom: true}, 3*time.Second, c.fleet.sentinels...)
		}},
		{"RST", false, func(c *campaign, leader int) {
			for range 10 {
				c.fleet.redis[leader].bridge.cut(true, false)
				c.wait(c.between(20, 300))
			}
		}},
	}
}

// breakThings does one fault after the other, in random order.
func (c *campaign) breakThings(limit time.Duration) {
	next := faults()[:2] // what happens most comes first, also in a short campaign
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); {
		if len(next) == 0 {
			next = faults()
			c.dice.Shuffle(len(next), func(i, j int) { next[i], next[j] = next[j], next[i] })
		}
		fault := next[0]
		next = next[1:]
		leader := c.fleet.whole()
		_, epoch, _ := c.fleet.named()
		began := time.Now()
		fault.do(c, leader)
		after := c.fleet.whole()
		_, now, _ := c.fleet.named()
		what := fault.name
		if !fault.loses && fault.name != "handover" && now != epoch {
			what += " (Sentinel failed over)"
		}
		if fault.loses || fault.name != "handover" && now != epoch {
			c.lose(window{began.Add(-time.Second), time.Now(), what})
		}
		c.did = append(c.did, what)
		c.t.Logf("%s %s, %s -> %s, epoch %s -> %s, whole after %s", began.Format("15:04:05.000"), what, nodeName(leader), nodeName(after),
			epoch, now, time.Since(began).Round(time.Millisecond))
		c.wait(500 * time.Millisecond) // of peace
	}
}

func (c *campaign) wait(d time.Duration) { time.Sleep(d) }

func (c *campaign) between(low, high int) time.Duration {
	return time.Duration(low+c.dice.IntN(high-low)) * time.Millisecond
}

func (c *campaign) anySentinel() place { return c.fleet.sentinels[c.dice.IntN(len(c.fleet.sentinels))] }

func (c *campaign) replica(leader int) place {
	return c.fleet.redis[(leader+1+c.dice.IntN(len(c.fleet.redis)-1))%len(c.fleet.redis)]
}

func (c *campaign) everywhere() []place {
	return append(c.fleet.redis[:len(c.fleet.redis):len(c.fleet.redis)], c.fleet.sentinels...)
}

func (c *campaign) handOver(leader int) {
	handed, err := c.fleet.handover(leader)
	if err != nil {
		c.t.Errorf("handover: %v", err)
	}
	c.t.Logf("writes were paused for %s", handed.Stalled.Round(time.Millisecond))
}

func (c *campaign) stop(p place, d time.Duration) {
	p.Pause()
	c.wait(d)
	p.Resume()
}

// kill ends a server and starts it again after a while.
func (c *campaign) kill(p place, d time.Duration) {
	p.Kill()
	p.bridge.close()
	c.wait(d)
	p.Restart()
	p.bridge.open()
}

// killMaster kills the master and starts it again, empty, when another one leads.
func (c *campaign) killMaster(leader int) {
	old := c.fleet.redis[leader]
	old.Kill()
	old.bridge.close()
	redistest.Wait(c.t, 30*time.Second, func() error {
		for _, s := range c.fleet.sentinels {
			if m := s.Master("cache"); m["port"] == portOf(old.known) {
				return fmt.Errorf("sentinel %s still names the dead master", s.known)
			}
		}
		return nil
	})
	old.Restart()
	old.bridge.open()
}

// storm changes the weather for a while.
func (c *campaign) storm(w weather, d time.Duration, at ...place) {
	for _, p := range at {
		p.bridge.set(w)
	}
	c.wait(d)
	for _, p := range at {
		p.bridge.set(weather{})
	}
}
