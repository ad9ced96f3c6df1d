package dispatch

import (
	"context"
	"fmt"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"rsm/internal/redistest"
	"rsm/runtime/bus"
	"rsm/schema"
)

// loaded are two handlers and a rule that changes its alert with every event, so
// that dispatchers meet at the same states.
var loaded = schema.Operations{
	Queues: []schema.Queue{{Name: "q"}, {Name: "n"}},
	Handlers: []schema.Handler{
		{Name: "each", Queue: "q", Types: []string{"monitoring"}},
		{Name: "some", Queue: "q", Types: []string{"monitoring"}, When: "int(n) % 10 == 0"},
		{Name: "oncall", Queue: "n", Types: []string{"none"}},
	},
	Rules: []schema.Rule{{Name: "hot", Type: "monitoring", Expr: "n >= 0", By: []string{"host"}, Severity: "warning", Summary: "hot",
		Receivers: []string{"oncall"}, GroupBy: []string{"host"}, Repeat: time.Hour, GroupInterval: time.Minute}},
}

// TestKilled: dispatchers are killed again and again under load, and every event
// reaches every handler once.
func TestKilled(t *testing.T) {
	t.Parallel()
	s := alone(t)
	s.operate("1", loaded)
	crew := map[string]*exec.Cmd{"a": s.spawn("a"), "b": s.spawn("b"), "c": s.spawn("c")}
	const events = 6_000
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for i := 0; i < events; i += 20 {
			var list []string
			for n := i; n < i+20; n++ {
				list = append(list, fmt.Sprintf(`{"id":"e%d","host":"h%d","n":%d}`, n, n%7, n))
			}
			s.send(list...)
			time.Sleep(5 * time.Millisecond)
		}
	}()
	kills := 0
	for running := true; running; {
		for name := range crew {
			_ = crew[name].Process.Kill()
			_ = crew[name].Wait()
			crew[name] = s.spawn(name)
			kills++
			select {
			case <-ended:
				running = false
			case <-time.After(150 * time.Millisecond):
			}
			if !running {
				break
			}
		}
	}
	s.wantTasks("q", events+events/10)
	s.wantTasks("n", 7)
	ctx := context.Background()
	if n := s.rdb.HLen(ctx, Alerts).Val(); n != 7 {
		t.Errorf("%d alerts", n)
	}
	if n := s.rdb.LLen(ctx, "rsm:{q}:pending").Val(); n != events+events/10 {
		t.Errorf("%d tasks wait", n)
	}
	if got := s.rdb.HGet(ctx, Counts, "firing").Val(); got != "7" {
		t.Errorf("counts say %s", got)
	}
	t.Logf("%d kills", kills)
}

// TestFrozen: a dispatcher that stands still holds up what it has for two seconds,
// and does nothing a second time when it goes on.
func TestFrozen(t *testing.T) {
	t.Parallel()
	s := alone(t)
	s.operate("1", loaded)
	a, b := s.spawn("a"), s.spawn("b")
	s.listens("a")
	s.listens("b")
	n := 0
	send := func(events int) {
		for range events / 2 {
			s.send(fmt.Sprintf(`{"id":"e%d","host":"h%d","n":%d}`, n, n%7, n*10+1))
			s.rdb.Publish(context.Background(), bus.Channel, `{"host":"h1","n":11}`)
			n += 2
		}
	}
	send(400)
	_ = a.Process.Signal(syscall.SIGSTOP)
	send(400)
	s.wantTasks("q", 800)
	_ = a.Process.Signal(syscall.SIGCONT)
	_ = b.Process.Signal(syscall.SIGSTOP)
	send(400)
	s.wantTasks("q", 1200)
	_ = b.Process.Signal(syscall.SIGCONT)
	send(400)
	s.wantTasks("q", 1600)
	if got := s.rdb.XLen(context.Background(), bus.Stream).Val(); got != 1600 {
		t.Errorf("%d events", got)
	}
}

// TestFailover: the master dies or freezes under load. What has reached its replica
// is handed on once, and nothing that was sent again afterwards twice.
func TestFailover(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(*redistest.Server){"kill": (*redistest.Server).Kill, "freeze": (*redistest.Server).Pause} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, c := sentinels(t)
			s.operate("1", loaded)
			s.run("a")
			s.run("b")
			defer c.Redis[0].Kill() // one that is frozen ends no connection
			sent := map[string]bool{}
			var outbox []string
			ctx := context.Background()
			began := time.Now()
			failed, last := false, false
			for n := 0; !last || len(outbox) > 0; n++ {
				if last = time.Since(began) > 5*time.Second; !last {
					id := fmt.Sprintf("e%d", n)
					sent[id] = n%10 == 0
					outbox = append(outbox, fmt.Sprintf(`{"id":"%s","host":"h%d","n":%d}`, id, n%7, n))
				}
				if !failed && time.Since(began) > time.Second {
					failed = true
					go fail(c.Redis[0])
				}
				outbox = publish(ctx, s.rdb, outbox)
				time.Sleep(5 * time.Millisecond)
				if time.Since(began) > 40*time.Second {
					t.Fatal("the outbox does not drain")
				}
			}
			want := 0
			for _, some := range sent {
				if want++; some {
					want++
				}
			}
			redistest.Wait(t, 20*time.Second, func() error {
				// Replication is asynchronous: what the old master took in its last moments
				// may be gone.
				if got := len(s.taskIDs("q")); got < want-50 {
					return fmt.Errorf("%d tasks of %d", got, want)
				}
				return nil
			})
			s.quiet()
			waiting := s.rdb.LRange(ctx, "rsm:{q}:pending", 0, -1).Val()
			seen := map[string]bool{}
			for _, id := range waiting {
				if seen[id] {
					t.Errorf("task %s twice", id)
				}
				seen[id] = true
			}
			t.Logf("%d events, %d of %d tasks", len(sent), len(seen), want)
			if n := s.rdb.LLen(ctx, "rsm:{n}:pending").Val(); n != 7 {
				t.Errorf("%d notifications", n)
			}
		})
	}
}

// publish sends an outbox as an agent does: it keeps what was not confirmed.
func publish(ctx context.Context, rdb *bus.Client, outbox []string) []string {
	if len(outbox) == 0 {
		return nil
	}
	n := min(len(outbox), 200)
	list := make([][]byte, n)
	for i := range n {
		list[i] = []byte(outbox[i])
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if bus.Publish(ctx, rdb, 0, list...) != nil {
		return outbox
	}
	return outbox[n:]
}
