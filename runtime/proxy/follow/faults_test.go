package follow

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rsm/internal/redistest"
	"rsm/schema"
)

func TestFrozenMaster(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, "frozen", 3, 3)
	f, seen := follow(t, c)
	old := c.Redis[0]
	frozen := time.Now()
	old.Pause()
	next, at := writable(c.Redis[1:]...)
	if next == nil {
		t.Fatal("nobody was promoted")
	}
	redistest.Wait(t, patient, master(f, next.Addr()))
	lost, ok := seen.first(func(t *Target) bool { return t.Master == "" })
	if took := lost.at.Sub(frozen); !ok || took < 500*time.Millisecond || took > 3*time.Second {
		t.Errorf("lost after %s (%+v), want about 1 s", took, lost.Target)
	}
	found, _ := seen.first(func(t *Target) bool { return string(t.Master) == next.Addr() })
	if late := found.at.Sub(at); late > promptly {
		t.Errorf("published %s after the first write", late)
	}
	old.Resume() // it believes for some seconds that it is the master
	resumed := time.Now()
	redistest.Wait(t, patient, func() error {
		if n := f.Status().Nodes[0]; n.Error != "" || n.Asked.Before(resumed) {
			return fmt.Errorf("the old master was seen as %+v", n)
		}
		return nil
	})
	if err := master(f, next.Addr())(); err != nil {
		t.Error(err)
	}
}

// A frozen Sentinel keeps its connections open and says nothing.
func TestFrozenSentinel(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, "blind", 3, 3)
	f, seen := follow(t, c)
	c.Sentinels[0].Pause()
	redistest.Wait(t, 4*time.Second, func() error {
		if s := f.Status().Sentinels[0]; s.Reachable || s.Subscribed || s.Error == "" || s.EarError == "" {
			return fmt.Errorf("seen as %+v", s)
		}
		return nil
	})
	next, at := failover(t, c, 1)
	redistest.Wait(t, patient, master(f, next.Addr()))
	found, _ := seen.first(func(t *Target) bool { return string(t.Master) == next.Addr() })
	if late := found.at.Sub(at); late > promptly {
		t.Errorf("published %s after the first write", late)
	}
	c.Sentinels[0].Resume()
	redistest.Wait(t, patient, func() error {
		if s := f.Status().Sentinels[0]; !s.Reachable || !s.Subscribed {
			return fmt.Errorf("seen as %+v", s)
		}
		return nil
	})
	if err := master(f, next.Addr())(); err != nil {
		t.Error(err)
	}
}

func TestFence(t *testing.T) {
	t.Parallel()
	for _, alive := range []int{0, 1} { // of three
		t.Run(fmt.Sprint(alive, " left"), func(t *testing.T) {
			t.Parallel()
			const fence = 2 * time.Second
			c := redistest.StartCluster(t, "fence", 1, 3)
			f, seen := follow(t, c, func(c *Config) { c.Fence = fence })
			for _, s := range c.Sentinels[alive:] {
				s.Kill()
			}
			killed := time.Now()
			redistest.Wait(t, patient, master(f, ""))
			lost, _ := seen.first(func(t *Target) bool { return t.Master == "" && t.Proof.IsZero() })
			if took := lost.at.Sub(killed); took < fence/2 || took > fence+promptly {
				t.Errorf("lost after %s, want %s less the age of the proof", took, fence)
			}
			if !strings.Contains(lost.Why, "Sentinels") {
				t.Errorf("why: %s", lost.Why)
			}
			for _, s := range c.Sentinels[alive:] {
				s.Restart()
			}
			redistest.Wait(t, patient, master(f, c.Redis[0].Addr()))
		})
	}
}

func TestRestartInPlace(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, "reborn", 1, 1)
	f, _ := follow(t, c)
	before := f.Target().RunID
	c.Redis[0].Restart()
	redistest.Wait(t, patient, func() error {
		if got := f.Target(); got.RunID == before || len(got.RunID) != 40 {
			return fmt.Errorf("target %+v", got)
		}
		return nil
	})
	if s := f.Status().Switches; len(s) != 2 || s[1].From != s[1].To || s[1].At.Before(s[1].Since) {
		t.Errorf("switches: %+v", s)
	}
}

// deaf is a Dial whose connections cannot subscribe.
func deaf(ctx context.Context, addr schema.Addr) (net.Conn, error) {
	conn, err := dialTCP(ctx, addr)
	return deafConn{conn}, err
}

type deafConn struct{ net.Conn }

func (c deafConn) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte("SUBSCRIBE")) {
		return 0, errors.New("deaf")
	}
	return c.Conn.Write(b)
}

// Without any event a crash is followed as fast: the leader tells, when asked.
func TestDeaf(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, "deaf", 3, 3)
	f, seen := start(t, c, func(c *Config) { c.Dial = deaf })
	redistest.Wait(t, patient, master(f, c.Redis[0].Addr()))
	c.Redis[0].Kill()
	f.Ask("connection broke")
	next, at := writable(c.Redis[1:]...)
	if next == nil {
		t.Fatal("nobody was promoted")
	}
	redistest.Wait(t, patient, master(f, next.Addr()))
	found, _ := seen.first(func(t *Target) bool { return string(t.Master) == next.Addr() })
	t.Logf("published %s after the first write", found.at.Sub(at))
	if late := found.at.Sub(at); late > promptly {
		t.Errorf("published %s after the first write", late)
	}
}

func TestPassword(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, "secret", 1, 1)
	password := atomic.Pointer[string]{}
	first, second := "first", "second"
	password.Store(&first)
	read := func() (string, error) {
		if p := password.Load(); p != nil {
			return *p, nil
		}
		return "", errors.New("no such file")
	}
	c.Redis[0].Do("CONFIG", "SET", "requirepass", first)
	f, _ := follow(t, c, func(c *Config) { c.Password, c.SentinelPassword = read, read }) // the Sentinel has none
	rotate := func(to string) {
		conn := dial(t, c.Redis[0].Addr(), *password.Load())
		conn("CONFIG", "SET", "requirepass", to)
		conn("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
	}
	rotate(second)
	redistest.Wait(t, patient, func() error {
		if got := f.Target(); got.Master != "" || !strings.Contains(got.Why, "WRONGPASS") {
			return fmt.Errorf("target %+v", got)
		}
		return nil
	})
	password.Store(&second)
	redistest.Wait(t, patient, master(f, c.Redis[0].Addr()))
	password.Store(nil)
	dial(t, c.Redis[0].Addr(), second)("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
	redistest.Wait(t, patient, func() error {
		if got := f.Target(); got.Master != "" || !strings.Contains(got.Why, "no such file") {
			return fmt.Errorf("target %+v", got)
		}
		return nil
	})
}

// A Follower whose servers hang ends at once and leaves nothing behind.
func TestEnds(t *testing.T) { // not parallel: it counts goroutines
	hung := redistest.StartFake(t, func([]string) redistest.Reply { return redistest.Hang() })
	odd := redistest.StartFake(t, func([]string) redistest.Reply { return redistest.Raw("what?\r\n") })
	quiet := redistest.StartFake(t, func([]string) redistest.Reply { return redistest.Reply{} })
	var dialled, closed atomic.Int64
	addrs := []schema.Addr{schema.Addr(hung.Addr()), schema.Addr(odd.Addr()), schema.Addr(quiet.Addr()), "127.0.0.1:1", "203.0.113.1:6379"}
	f := New(Config{Cluster: "x", Sentinels: addrs, Nodes: addrs, DownAfter: time.Second, Fence: time.Second,
		Dial: func(ctx context.Context, addr schema.Addr) (net.Conn, error) {
			conn, err := dialTCP(ctx, addr)
			if err != nil {
				return nil, err
			}
			dialled.Add(1)
			return &countedConn{Conn: conn, closed: &closed}, nil
		}})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	redistest.Wait(t, patient, func() error {
		for _, s := range f.Status().Sentinels {
			if s.Error == "" && s.Asked.IsZero() || s.EarError == "" && !s.Subscribed && s.Addr != addrs[0] {
				return fmt.Errorf("%+v", s)
			}
		}
		return nil
	})
	for range 1000 {
		f.Ask("no answer")
	}
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Second):
		t.Error("Run did not end within a second")
	}
	redistest.Wait(t, patient, redistest.Want("open connections", 0, func() int64 { return dialled.Load() - closed.Load() }))
	redistest.Wait(t, patient, func() error {
		stacks := make([]byte, 1<<20)
		if left := string(stacks[:runtime.Stack(stacks, true)]); strings.Contains(left, "follow.(*Follower)") || strings.Contains(left, "follow.ping") {
			return errors.New(left)
		}
		return nil
	})
	if got := f.Target(); got.Master != "" || got.Why == "" {
		t.Errorf("target %+v", got)
	}
}

// countedConn counts its first Close.
type countedConn struct {
	net.Conn
	closed *atomic.Int64
	once   atomic.Bool
}

func (c *countedConn) Close() error {
	if c.once.CompareAndSwap(false, true) {
		c.closed.Add(1)
	}
	return c.Conn.Close()
}

func TestFreshReplicas(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, "fresh", 3, 1)
	f, _ := follow(t, c, func(c *Config) { c.Lag = true })
	fresh := func(s *redistest.Server, than time.Time) func() error {
		return func() error {
			for _, r := range f.Target().Replicas {
				if string(r.Addr) == s.Addr() && r.FreshAsOf.After(than) {
					return nil
				}
			}
			return fmt.Errorf("not fresh as of %s: %+v", than, f.Target().Replicas)
		}
	}
	live, stopped := c.Redis[1], c.Redis[2]
	for range 5 {
		c.Redis[0].Do("INCR", "n")
		wrote := time.Now()
		redistest.Wait(t, patient, fresh(live, wrote))
		if got, want := live.Do("GET", "n"), c.Redis[0].Do("GET", "n"); got != want {
			t.Fatalf("fresh, but has %v, not %v", got, want)
		}
	}
	redistest.Wait(t, patient, fresh(stopped, time.Now()))
	stopped.Pause()
	c.Redis[0].Do("INCR", "n")
	wrote := time.Now()
	redistest.Wait(t, patient, fresh(live, wrote))
	if fresh(stopped, wrote)() == nil {
		t.Error("the stopped replica is as fresh as a write after it stopped")
	}
	redistest.Wait(t, patient, redistest.Want("replicas", 1, func() int { return len(f.Target().Replicas) }))
	stopped.Resume()
	redistest.Wait(t, patient, fresh(stopped, time.Now()))
	if err := master(f, c.Redis[0].Addr())(); err != nil {
		t.Error(err)
	}
}
