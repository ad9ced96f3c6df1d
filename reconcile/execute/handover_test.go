package execute_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"rsm/internal/redistest"
	"rsm/internal/resp"
	"rsm/reconcile"
	"rsm/reconcile/execute"
)

// baton is a real cluster whose mastership is handed around.
type baton struct {
	*redistest.Cluster
	t      *testing.T
	leader int // index in Redis
	heard  []execute.Handed
}

func newBaton(t *testing.T, replicas int) *baton {
	t.Helper()
	b := &baton{Cluster: redistest.StartCluster(t, "cache", replicas+1, 3), t: t}
	for _, s := range b.Sentinels { // a machine that runs many tests is slow
		s.Do("SENTINEL", "SET", "cache", "down-after-milliseconds", "3000")
		s.Do("SENTINEL", "SET", "cache", "failover-timeout", "6000")
	}
	b.settled()
	return b
}

func role(name string, s *redistest.Server) reconcile.RoleRef {
	return reconcile.RoleRef{Cluster: "cache", Name: name, Addr: addr(s)}
}

func name(i int) string { return "r" + strconv.Itoa(i+1) }

// to is the Handover to a node; exact holds the others back.
func (b *baton) to(i int, exact bool) reconcile.Handover {
	a := reconcile.Handover{
		Cluster: "cache", From: role(name(b.leader), b.Redis[b.leader]), To: role(name(i), b.Redis[i]), Exact: exact,
		Sentinel: role("s1", b.Sentinels[0]), Pause: 2400 * time.Millisecond, Timeout: 6 * time.Second,
	}
	for j, s := range b.Redis {
		if j != i && j != b.leader {
			a.Rivals = append(a.Rivals, reconcile.Rival{Name: name(j), Addr: addr(s), Priority: 100, HeldBack: exact})
		}
	}
	return a
}

func (b *baton) executor() *execute.Executor {
	return &execute.Executor{Handed: func(h execute.Handed) { b.heard = append(b.heard, h) }}
}

// passed waits until everybody follows the leader that was heard of last.
func (b *baton) passed() {
	b.t.Helper()
	leader := b.heard[len(b.heard)-1].Leader
	for i, s := range b.Redis {
		if addr(s) == leader {
			b.leader = i
		}
	}
	b.settled()
}

// settled waits until the leader leads, alone, and no failover goes on.
func (b *baton) settled() {
	b.t.Helper()
	port := strconv.Itoa(b.Redis[b.leader].Port())
	redistest.Wait(b.t, 30*time.Second, func() error {
		for _, s := range b.Sentinels {
			if m := s.Master("cache"); m["port"] != port || m["flags"] != "master" || m["num-slaves"] != strconv.Itoa(len(b.Redis)-1) {
				return fmt.Errorf("sentinel %s says %v", s.Addr(), m)
			}
			if replicas := fmt.Sprint(s.Do("SENTINEL", "REPLICAS", "cache")); strings.Count(replicas, "master-link-status ok") != len(b.Redis)-1 {
				return fmt.Errorf("sentinel %s has not asked every replica: %s", s.Addr(), replicas)
			}
		}
		for i, s := range b.Redis {
			if have := s.Info("role"); (have == "master") != (i == b.leader) {
				return fmt.Errorf("%s is a %s", name(i), have)
			}
			if i != b.leader && (s.Info("master_port") != port || s.Info("master_link_status") != "up") {
				return fmt.Errorf("%s does not follow", name(i))
			}
		}
		return nil
	})
}

func (b *baton) fullSyncs() int {
	n := 0
	for _, s := range b.Redis {
		syncs, _ := strconv.Atoi(s.Info("sync_full"))
		n += syncs
	}
	return n
}

// hang stops a node until the test ends.
func (b *baton) hang(i int) {
	b.Redis[i].Pause()
	b.t.Cleanup(b.Redis[i].Resume)
}

// writable fails unless the leader takes a write now.
func (b *baton) writable() {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), 100*time.Millisecond)
	defer cancel()
	conn, err := resp.Dial(ctx, b.Redis[b.leader].Addr())
	if err != nil {
		b.t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Do(ctx, "SET", "writable", "1"); err != nil {
		b.t.Errorf("the master does not take a write: %v", err)
	}
}

var handovers = flag.Int("handovers", 3, "how often TestHandoverUnderWriters hands over")

// TestHandoverUnderWriters hands the mastership on and on while clients write: no
// acknowledged write is lost, writes stall shortly, and nobody needs a full sync.
func TestHandoverUnderWriters(t *testing.T) {
	t.Parallel()
	b := newBaton(t, 2)
	syncs, written := b.fullSyncs(), 0
	for i := range *handovers {
		w := startWriters(t, b.Sentinels[0], 4)
		started := time.Now()
		redistest.Wait(t, 10*time.Second, w.wrote(500))
		rate := 500 / time.Since(started).Seconds()
		must(t, b.executor(), b.to((b.leader+1)%3, false))
		redistest.Wait(t, 10*time.Second, w.wrote(len(w.snapshot())+100))
		w.stop()
		b.passed()
		written += len(w.acked)
		if lost := w.lost(t, b.Redis[b.leader]); len(lost) > 0 {
			t.Errorf("handover %d lost %d of %d acknowledged writes: %v …", i+1, len(lost), len(w.acked), lost[0])
		}
		if w.longest > 2*time.Second {
			t.Errorf("handover %d: a client waited for %s", i+1, w.longest)
		}
		t.Logf("handover %d: %.0f writes/s, stalled %s (%s of it to catch up), longest gap of a client %s, %d refused, %d in doubt",
			i+1, rate, b.heard[i].Stalled.Round(time.Millisecond), b.heard[i].CaughtUp.Round(time.Millisecond), w.longest.Round(time.Millisecond), w.refused, w.doubt)
	}
	if have := b.fullSyncs(); have != syncs {
		t.Errorf("%d full syncs", have-syncs)
	}
	t.Logf("%d acknowledged writes in all", written)
}

// TestHandoverAnswersClients: what waited during the pause is refused, not cut off
// and not executed; the connections are closed only then.
func TestHandoverAnswersClients(t *testing.T) {
	t.Parallel()
	b := newBaton(t, 1)
	old := b.Redis[0]
	blocked, queued, writes := dial(t, old), dial(t, old), dial(t, old)
	_ = call(queued, "MULTI")
	_ = call(queued, "SET", "queued", "1")
	answers := make(chan string, 2)
	go func() { answers <- call(blocked, "BLPOP", "nothing", "0") }()
	e := b.executor()
	e.Dial = tap("FAILOVER", func(conn net.Conn, p []byte) (int, error) {
		go func() { answers <- call(queued, "EXEC") }() // writes are paused by now
		return conn.Write(p)
	})
	done := make(chan string)
	go func() {
		for {
			if reply := call(writes, "SET", "paused", "1"); reply != "OK" {
				done <- reply
				return
			}
		}
	}()
	must(t, e, b.to(1, false))
	if reply := <-done; !strings.HasPrefix(reply, "READONLY ") {
		t.Errorf("a paused write got %q", reply)
	}
	got := []string{<-answers, <-answers}
	slices.Sort(got)
	if !strings.HasPrefix(got[0], "EXECABORT Transaction discarded because of: READONLY ") || !strings.HasPrefix(got[1], "UNBLOCKED ") {
		t.Errorf("a transaction and BLPOP got %q", got)
	}
	if reply := call(writes, "PING"); reply != "EOF" && !strings.Contains(reply, "reset") && !strings.Contains(reply, "broken pipe") {
		t.Errorf("the client is still connected: %q", reply)
	}
	b.passed()
	if reply := b.Redis[1].Do("EXISTS", "queued"); reply != int64(0) {
		t.Error("the refused transaction was executed")
	}
}

// TestHandoverAborts breaks a handover at every place. Each time the old master
// stays, and takes writes at once.
func TestHandoverAborts(t *testing.T) {
	t.Parallel()
	for what, tt := range map[string]struct {
		at   string // the command at which it happens
		hurt func(b *baton, cancel func(), conn net.Conn, p []byte) (int, error)
		want string
	}{
		"the replica hangs": {"PAUSE", func(b *baton, _ func(), conn net.Conn, p []byte) (int, error) {
			b.hang(1)
			return conn.Write(p)
		}, "had all writes"},
		"interrupted": {"PAUSE", func(_ *baton, cancel func(), conn net.Conn, p []byte) (int, error) {
			cancel()
			return conn.Write(p)
		}, "canceled"},
		"the master is lost, paused": {"PAUSE", func(_ *baton, _ func(), conn net.Conn, p []byte) (int, error) {
			n, err := conn.Write(p)
			time.Sleep(20 * time.Millisecond)
			return n, errors.Join(err, conn.Close())
		}, "PAUSE"},
		"Sentinel has nobody": {"FAILOVER", func(b *baton, _ func(), conn net.Conn, p []byte) (int, error) {
			b.Redis[1].Kill()
			redistest.Wait(b.t, time.Second, func() error {
				if replicas := fmt.Sprint(b.Sentinels[0].Do("SENTINEL", "REPLICAS", "cache")); !strings.Contains(replicas, "disconnected") {
					return errors.New("not noticed")
				}
				return nil
			})
			return conn.Write(p)
		}, "NOGOODSLAVE"},
		"Sentinel is lost before": {"FAILOVER", func(_ *baton, _ func(), conn net.Conn, p []byte) (int, error) {
			return len(p), conn.Close()
		}, "gave the failover up"},
		"the replica hangs at its promotion": {"FAILOVER", func(b *baton, _ func(), conn net.Conn, p []byte) (int, error) {
			b.hang(1)
			return conn.Write(p)
		}, "gave the failover up"},
	} {
		t.Run(what, func(t *testing.T) {
			b := newBaton(t, 1)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			e := b.executor()
			e.Dial = tap(tt.at, func(conn net.Conn, p []byte) (int, error) { return tt.hurt(b, cancel, conn, p) })
			err := e.Do(ctx, b.to(1, false))
			b.writable()
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "r1 stays the master") {
				t.Errorf("error is %v, want %s", err, tt.want)
			}
			if have := b.Redis[0].Info("role"); have != "master" || len(b.heard) > 0 {
				t.Errorf("the old master is a %s, heard %v", have, b.heard)
			}
		})
	}
}

// TestHandoverLosesSentinel: the answer to SENTINEL FAILOVER is lost, and the
// promotion comes nonetheless.
func TestHandoverLosesSentinel(t *testing.T) {
	t.Parallel()
	b := newBaton(t, 1)
	e := b.executor()
	e.Dial = tap("FAILOVER", func(conn net.Conn, p []byte) (int, error) {
		n, err := conn.Write(p)
		return n, errors.Join(err, conn.Close())
	})
	w := startWriters(t, b.Sentinels[0], 2)
	redistest.Wait(t, 10*time.Second, w.wrote(100))
	must(t, e, b.to(1, false))
	b.passed()
	w.stop()
	if lost := w.lost(t, b.Redis[1]); b.leader != 1 || len(lost) > 0 {
		t.Errorf("%s leads, %d writes are lost", name(b.leader), len(lost))
	}
}

// TestHandoverPromotedLate: the replica hangs at its promotion and comes back when
// writes go on. The old master follows it at once, and the error says what that
// may have cost.
func TestHandoverPromotedLate(t *testing.T) {
	t.Parallel()
	b := newBaton(t, 1)
	e := b.executor()
	e.Dial = tap("FAILOVER", func(conn net.Conn, p []byte) (int, error) {
		b.Redis[1].Pause()
		time.AfterFunc(3*time.Second, b.Redis[1].Resume)
		return conn.Write(p)
	})
	err := do(t, e, b.to(1, false))
	if err == nil || !strings.Contains(err.Error(), "some of them may be lost") {
		t.Errorf("error is %v", err)
	}
	b.passed()
	b.writable()
}

// TestHandoverToTheWorse: Sentinel prefers r2, and is made to promote r3. The
// priority of r2 is 0 only meanwhile, also when it is interrupted.
func TestHandoverToTheWorse(t *testing.T) {
	t.Parallel()
	b := newBaton(t, 2)
	a := b.to(2, true)
	a.Rivals[0].Priority = 7
	b.Redis[1].Do("CONFIG", "SET", "replica-priority", "7")
	notice := func(milliseconds string) { b.Sentinels[0].Do("SENTINEL", "DEBUG", "INFO-PERIOD", milliseconds) }
	notice("3600000")
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		redistest.Wait(t, 5*time.Second, redistest.Want("priority", "0", func() string { return b.Redis[1].Info("slave_priority") }))
		cancel()
	}()
	if err := b.executor().Do(ctx, a); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
	if have := b.Redis[1].Info("slave_priority"); have != "7" {
		t.Errorf("after an interrupt the priority is %s", have)
	}
	notice("1000")
	must(t, b.executor(), a)
	b.passed()
	if have := b.Redis[1].Info("slave_priority"); b.leader != 2 || have != "7" || !strings.Contains(readFile(t, b.Redis[1].Config), "replica-priority 7") {
		t.Errorf("%s leads, r2 has priority %s", name(b.leader), have)
	}
}

// tap hurts the first write that has the word in it.
func tap(word string, hurt func(conn net.Conn, p []byte) (int, error)) func(context.Context, string, string) (net.Conn, error) {
	var once sync.Once
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		var d net.Dialer
		conn, err := d.DialContext(ctx, network, addr)
		return &tapped{Conn: conn, write: func(p []byte) (n int, err error) {
			hit := false
			if strings.Contains(strings.ToUpper(string(p)), word) {
				once.Do(func() { hit = true })
			}
			if hit {
				return hurt(conn, p)
			}
			return conn.Write(p)
		}}, err
	}
}

type tapped struct {
	net.Conn
	write func([]byte) (int, error)
}

func (c *tapped) Write(p []byte) (int, error) { return c.write(p) }

func dial(t *testing.T, s *redistest.Server) *resp.Conn {
	t.Helper()
	conn, err := resp.Dial(t.Context(), s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// call is the reply to a command, or the error, as text.
func call(conn *resp.Conn, args ...string) string {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	reply, err := conn.Do(ctx, args...)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(reply)
}
