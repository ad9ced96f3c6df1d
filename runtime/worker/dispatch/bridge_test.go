package dispatch

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rsm/internal/redistest"
	"rsm/runtime/bus"
	"rsm/schema"
)

// all is a handler for everything.
var all = schema.Operations{
	Queues:   []schema.Queue{{Name: "q"}},
	Handlers: []schema.Handler{{Name: "h", Queue: "q", Types: []string{"monitoring", "eml"}}},
}

// TestForeign: messages of programs that only publish enter the stream once, although
// three dispatchers hear them and many are equal; those of agents do not enter again.
func TestForeign(t *testing.T) {
	t.Parallel()
	s := alone(t)
	s.operate("1", all)
	for _, name := range []string{"d1", "d2", "d3"} {
		s.run(name)
	}
	ctx := context.Background()
	var senders sync.WaitGroup
	for sender := range 4 {
		senders.Go(func() {
			for i := range 250 {
				switch sender {
				case 0: // equal ones are all meant
					s.rdb.Publish(ctx, bus.Channel, `{"cpu_usage":1,"mem_usage":2,"disk_usage":3}`)
				case 1: // one with an id is sent three times
					s.rdb.Publish(ctx, bus.Channel, fmt.Sprintf(`{"id":"f%d"}`, i/3))
				case 2: // an agent's
					s.send(fmt.Sprintf(`{"id":"a%d"}`, i), `{"id":"and another","cpu_usage":5}`)
				case 3: // one that writes both without telling
					s.rdb.XAdd(ctx, &redis.XAddArgs{Stream: bus.Stream, Values: []any{"j", fmt.Sprintf(`{"id":"w%d"}`, i)}})
					s.rdb.Publish(ctx, bus.Channel, fmt.Sprintf(`{"id":"w%d"}`, i))
				}
			}
		})
	}
	senders.Wait()
	const want = 250 + 84 + 500 + 250
	s.wantTasks("q", 250+84+251+250)
	if n := s.rdb.XLen(ctx, bus.Stream).Val(); n != want {
		t.Errorf("%d events in the stream, want %d", n, want)
	}
}

// TestShell: redis-cli and Python are enough to be an agent.
func TestShell(t *testing.T) {
	t.Parallel()
	s := alone(t)
	s.operate("1", all)
	s.run("d1")
	s.run("d2")
	_, port, _ := strings.Cut(string(s.addr), ":")
	python, err := exec.LookPath("/usr/bin/python3")
	if err != nil {
		t.Fatal("apt-get install python3 python3-redis")
	}
	shell := `for i in 1 2 3; do redis-cli -p ` + port + ` PUBLISH monitoring '{"cpu_usage":50,"mem_usage":20,"disk_usage":30}'; done`
	script := filepath.Join(t.TempDir(), "agent.py")
	lines := `import json, redis
r = redis.Redis(port=` + port + `)
for i in range(3):
    r.publish("monitoring", json.dumps({"type": "eml", "host": "py1", "cpu_usage": 12.5}))
r.publish("monitoring", "x" * 10_000_000)
r.publish("monitoring", json.dumps({"cpu_usage": float("nan")}))
r.publish("monitoring", b"\xff\xfe\x00")
r.publish("monitoring", "")
`
	if err := os.WriteFile(script, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, cmd := range []*exec.Cmd{exec.Command("sh", "-c", shell), exec.Command(python, script)} {
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", cmd, err, out)
		}
	}
	s.wantTasks("q", 6)
	redistest.Wait(t, 10*time.Second, redistest.Want("dead letters", 4, func() int { return len(s.reasons()) }))
	if reasons := fmt.Sprint(s.reasons()); !strings.Contains(reasons, "10000000 bytes") || !strings.Contains(reasons, "NaN") {
		t.Error(reasons)
	}
}

// TestBridgeKilled: dispatchers that are killed lose and double nothing as long as
// one is there.
func TestBridgeKilled(t *testing.T) {
	t.Parallel()
	s := alone(t)
	s.operate("1", all)
	s.run("stays")
	a, b := s.spawn("a"), s.spawn("b")
	s.listens("a")
	s.listens("b")
	ctx := context.Background()
	for i := range 2000 {
		s.rdb.Publish(ctx, bus.Channel, `{"cpu_usage":1}`)
		switch i {
		case 400:
			_ = a.Process.Kill()
			_ = a.Wait()
			a = s.spawn("a")
		case 1200:
			_ = b.Process.Kill()
		}
	}
	s.wantTasks("q", 2000)
}

// TestLate: a dispatcher that slept over a message does not bring it again.
func TestLate(t *testing.T) {
	t.Parallel()
	s := alone(t)
	ctx := context.Background()
	b := newBridge(s.rdb, newMeter(), slog.New(slog.DiscardHandler))
	old := fmt.Sprintf("%d:x", time.Now().Add(-90*time.Second).UnixMilli())
	fresh := fmt.Sprintf("%d:y", time.Now().UnixMilli())
	for _, mark := range []string{old, fresh, fresh} {
		if err := b.bring(ctx, []message{{mark: mark, number: 1, text: `{"cpu_usage":1}`}}); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.rdb.XLen(ctx, bus.Stream).Val(); n != 1 {
		t.Errorf("%d events", n)
	}
}

func TestPlace(t *testing.T) {
	t.Parallel()
	var p place
	var got []string
	for _, m := range []string{"lost", "mark m1", "one", "in 2", "agent", "agent", "two", "in x", "three", "mark m2", "one", "in 1", "agent", "two"} {
		channel := bus.Channel
		if strings.HasPrefix(m, "mark ") || strings.HasPrefix(m, "in ") {
			channel = bus.Marks
		}
		mark, number, ok, lost := p.hear(channel, m)
		if ok {
			got = append(got, fmt.Sprint(mark, " ", number, " ", m))
		}
		if lost != (m == "lost") || ok && m == "agent" {
			t.Errorf("%s: ok %v, lost %v", m, ok, lost)
		}
	}
	const want = `["m1 1 one","m1 2 two","m1 3 three","m2 1 one","m2 2 two"]`
	if text, _ := json.Marshal(got); string(text) != want {
		t.Errorf("%s", text)
	}
}

// TestKeysOfOthers: another program has written what belongs to dispatchers. Once
// that is mended, nothing is missing.
func TestKeysOfOthers(t *testing.T) {
	t.Parallel()
	s, ctx := alone(t), context.Background()
	s.operate("1", all)
	s.rdb.Set(ctx, "rsm:{q}:pending", "theirs", 0)
	s.run("d1")
	s.send(`{"id":"a"}`)
	redistest.Wait(t, 10*time.Second, func() error { // it was read, and is not done
		pending, err := s.rdb.XPending(ctx, bus.Stream, bus.Group).Result()
		if err == nil && pending.Count != 1 {
			err = fmt.Errorf("%d events are under way", pending.Count)
		}
		return err
	})
	s.rdb.Del(ctx, "rsm:{q}:pending")
	s.wantTasks("q", 1)

	b := newBridge(s.rdb, newMeter(), slog.New(slog.DiscardHandler))
	message := []message{{mark: fmt.Sprintf("%d:x", time.Now().UnixMilli()), number: 1, text: `{"id":"b"}`}}
	s.rdb.Rename(ctx, bus.Stream, "kept")
	s.rdb.Set(ctx, bus.Stream, "theirs", 0)
	if err := b.bring(ctx, message); err == nil {
		t.Error("a string is no stream")
	}
	s.rdb.Rename(ctx, "kept", bus.Stream)
	if err := b.bring(ctx, message); err != nil {
		t.Error(err)
	}
	s.wantTasks("q", 2)
}
