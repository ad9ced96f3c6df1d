package follow

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"rsm/internal/redistest"
	"rsm/internal/resp"
	"rsm/schema"
)

const patient = 15 * time.Second

// promptly is how late a new master may be noticed while other tests keep the
// processors busy. Alone it takes some milliseconds: the tests log it, and the
// benchmarks of the proxy hold it to 50.
const promptly = time.Second

// start runs a Follower of the cluster until the test ends.
func start(t *testing.T, c *redistest.Cluster, with ...func(*Config)) (*Follower, *record) {
	t.Helper()
	seen := &record{}
	config := Config{
		Cluster: c.Name, DownAfter: time.Second, Fence: 3 * time.Second, Changed: seen.add,
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	for _, s := range c.Sentinels {
		config.Sentinels = append(config.Sentinels, schema.Addr(s.Addr()))
	}
	for _, s := range c.Redis {
		config.Nodes = append(config.Nodes, schema.Addr(s.Addr()))
	}
	for _, change := range with {
		change(&config)
	}
	f := New(config)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return f, seen
}

// follow is start, and waits until the Follower has found the master and hears
// every Sentinel.
func follow(t *testing.T, c *redistest.Cluster, with ...func(*Config)) (*Follower, *record) {
	t.Helper()
	f, seen := start(t, c, with...)
	redistest.Wait(t, patient, master(f, c.Redis[0].Addr()))
	redistest.Wait(t, patient, func() error {
		for _, s := range f.Status().Sentinels {
			if !s.Subscribed {
				return fmt.Errorf("%s: %s", s.Addr, s.EarError)
			}
		}
		return nil
	})
	return f, seen
}

// dial returns a function that sends commands on one connection, logged in.
func dial(t *testing.T, addr, password string) func(args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patient)
	t.Cleanup(cancel)
	conn, err := resp.Dial(ctx, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	do := func(args ...string) {
		t.Helper()
		if _, err := conn.Do(ctx, args...); err != nil {
			t.Fatalf("%s: %v", strings.Join(args, " "), err)
		}
	}
	do("AUTH", password)
	return do
}

// master is a condition for Wait: addr is published, without a hold.
func master(f *Follower, addr string) func() error {
	return func() error {
		if got := f.Target(); string(got.Master) != addr || got.Hold {
			return fmt.Errorf("master is %q, hold %v (%s), want %q", got.Master, got.Hold, got.Why, addr)
		}
		return nil
	}
}

// record keeps what Changed was told, and when.
type record struct {
	mu   sync.Mutex
	seen []change
}

type change struct {
	at time.Time
	*Target
}

func (r *record) add(t *Target) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, change{time.Now(), t})
}

// first is the first change that fits.
func (r *record) first(fits func(*Target) bool) (change, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.seen {
		if fits(c.Target) {
			return c, true
		}
	}
	return change{}, false
}

// writable waits until one of the servers takes a write, and returns it and when
// that was.
func writable(servers ...*redistest.Server) (*redistest.Server, time.Time) {
	for deadline := time.Now().Add(patient); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		for _, s := range servers {
			if _, err := s.TryDo("SET", "k", "v"); err == nil {
				return s, time.Now()
			}
		}
	}
	return nil, time.Time{}
}

// failover tells a Sentinel to promote a replica and returns which it was and when
// it took a write.
func failover(t *testing.T, c *redistest.Cluster, sentinel int) (*redistest.Server, time.Time) {
	t.Helper()
	redistest.Wait(t, patient, func() error { // it wants to have heard of a replica a moment ago
		_, err := c.Sentinels[sentinel].TryDo("SENTINEL", "FAILOVER", c.Name)
		return err
	})
	next, at := writable(c.Redis[1:]...)
	if next == nil {
		t.Fatal("nobody was promoted")
	}
	return next, at
}

func TestCrash(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, "crash", 3, 3)
	f, seen := follow(t, c)
	old := c.Redis[0]
	killed := time.Now()
	old.Kill()
	f.Ask("connection broke") // as the data path does
	next, at := writable(c.Redis[1:]...)
	if next == nil {
		t.Fatal("nobody was promoted")
	}
	redistest.Wait(t, patient, master(f, next.Addr()))
	lost, ok := seen.first(func(t *Target) bool { return t.Master == "" })
	if !ok || lost.at.Sub(killed) > promptly {
		t.Errorf("the loss was published after %s", lost.at.Sub(killed))
	}
	found, _ := seen.first(func(t *Target) bool { return string(t.Master) == next.Addr() })
	late := found.at.Sub(at)
	t.Logf("lost after %s, %s: first write after %s, published %s later", lost.at.Sub(killed), lost.Why, at.Sub(killed), late)
	if late > promptly {
		t.Errorf("published %s after the first write", late)
	}

	// The deposed master comes back as it was, and says that it is one.
	old.Restart()
	back := time.Now()
	redistest.Wait(t, patient, func() error {
		if n := f.Status().Nodes[0]; n.Role != "master" || n.Error != "" || n.Asked.Before(back) {
			return fmt.Errorf("the old master was seen as %+v", n)
		}
		return nil
	})
	if _, again := seen.first(func(t *Target) bool { return t.Epoch > 0 && string(t.Master) == old.Addr() }); again {
		t.Error("the deposed master was published again")
	}
}

func TestManualFailover(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, "manual", 3, 3)
	f, seen := follow(t, c)
	next, at := failover(t, c, 1)
	redistest.Wait(t, patient, master(f, next.Addr()))
	held, ok := seen.first(func(t *Target) bool { return t.Hold })
	if !ok || string(held.Master) != c.Redis[0].Addr() || held.Why == "" {
		t.Errorf("no hold of the old master: %+v", held.Target)
	}
	found, _ := seen.first(func(t *Target) bool { return string(t.Master) == next.Addr() })
	t.Logf("held for %s, published %s after the first write", found.at.Sub(held.at), found.at.Sub(at))
	if late := found.at.Sub(at); late > promptly {
		t.Errorf("published %s after the first write", late)
	}
	if gap, lost := seen.first(func(t *Target) bool { return t.Master == "" }); lost {
		t.Errorf("a time without a master: %s", gap.Why)
	}
}
