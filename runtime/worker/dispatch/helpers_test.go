package dispatch

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rsm/internal/redistest"
	"rsm/reconcile"
	"rsm/runtime/bus"
	"rsm/schema"
)

// asDispatcher makes the test binary a dispatcher: JSON of a setup.
const asDispatcher = "RSM_TEST_DISPATCHER"

type setup struct {
	Role schema.DispatcherRole
	Addr schema.Addr
}

func TestMain(m *testing.M) {
	if text := os.Getenv(asDispatcher); text != "" {
		os.Exit(runDispatcher(text))
	}
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		_ = flag.Set("test.parallel", "6") // most of them wait most of the time
	}
	os.Exit(m.Run())
}

func runDispatcher(text string) int {
	var s setup
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	d := Dispatcher{Role: s.Role, Redis: bus.Options{Addr: s.Addr}, Log: slog.New(slog.NewTextHandler(os.Stderr, nil)).With("dispatcher", s.Role.Dispatcher.Name)}
	if err := d.Run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// stage is a Redis with dispatchers.
type stage struct {
	t      *testing.T
	access schema.Access
	addr   schema.Addr
	rdb    *bus.Client
	marks  int // how many dispatchers have been waited for
}

// alone is a stage on one server.
func alone(t *testing.T, config ...string) *stage {
	t.Helper()
	server := redistest.Start(t, config...)
	return newStage(t, schema.Access{}, schema.Addr(server.Addr()))
}

// sentinels is a stage on a cluster.
func sentinels(t *testing.T) (*stage, *redistest.Cluster) {
	t.Helper()
	c := redistest.StartCluster(t, "main", 2, 3)
	access := schema.Access{Cluster: "main"}
	for _, s := range c.Sentinels {
		access.Sentinels = append(access.Sentinels, schema.Addr(s.Addr()))
	}
	return newStage(t, access, ""), c
}

func newStage(t *testing.T, access schema.Access, addr schema.Addr) *stage {
	t.Helper()
	rdb, err := bus.Connect(access, bus.Options{Addr: addr, Name: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rdb.Close() })
	return &stage{t: t, access: access, addr: addr, rdb: rdb}
}

func (s *stage) role(name string) schema.DispatcherRole {
	return schema.DispatcherRole{Access: s.access, Dispatcher: schema.Dispatcher{Name: name, Host: "h1", KeepEvents: 100_000, KeepFor: time.Hour, Silent: 3, Grace: 300 * time.Millisecond}}
}

// operate publishes operations as reconcile does.
func (s *stage) operate(digest string, ops schema.Operations) {
	s.t.Helper()
	values := []any{"digest", digest}
	put := func(kind, name string, value any) {
		content, err := json.Marshal(value)
		if err != nil {
			s.t.Fatal(err)
		}
		values = append(values, kind+"/"+name, content)
	}
	for _, q := range ops.Queues {
		put("queue", q.Name, q)
	}
	for _, h := range ops.Handlers {
		put("handler", h.Name, h)
	}
	for _, r := range ops.Rules {
		put("rule", r.Name, r)
	}
	_, err := s.rdb.TxPipelined(context.Background(), func(p redis.Pipeliner) error {
		p.Del(context.Background(), reconcile.OperationsKey)
		p.HSet(context.Background(), reconcile.OperationsKey, values...)
		p.Publish(context.Background(), reconcile.OperationsChannel, digest)
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// run runs a dispatcher in this process until the test ends, or stop is called.
func (s *stage) run(name string) (d *Dispatcher, stop func()) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	d = &Dispatcher{Role: s.role(name), Redis: bus.Options{Addr: s.addr}}
	if testing.Verbose() {
		d.Log = slog.New(slog.NewTextHandler(os.Stderr, nil)).With("dispatcher", name)
	}
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	stopped := false
	stop = func() {
		if cancel(); !stopped {
			stopped = true
			if err := <-ended; err != nil {
				s.t.Error(err)
			}
		}
	}
	s.t.Cleanup(stop)
	s.listens(name)
	return d, stop
}

// listens waits for the connection of a dispatcher to the channel.
func (s *stage) listens(name string) {
	s.t.Helper()
	redistest.Wait(s.t, 15*time.Second, func() error {
		list, err := s.rdb.ClientList(context.Background()).Result()
		for line := range strings.Lines(list) {
			if strings.Contains(line, "name=rsm-dispatcher-"+name+" ") && strings.Contains(line, " sub=2 ") {
				return nil
			}
		}
		return fmt.Errorf("%s does not listen: %w", name, err)
	})
	// What is published before its first mark is for those who listened already.
	s.marks++
	redistest.Wait(s.t, 15*time.Second, func() error {
		if n := len(s.rdb.Keys(context.Background(), "rsm:bridge:*:*").Val()); n < s.marks {
			return fmt.Errorf("%d marks of %d", n, s.marks)
		}
		return nil
	})
}

// spawn runs a dispatcher as a process of its own.
func (s *stage) spawn(name string) *exec.Cmd {
	s.t.Helper()
	text, err := json.Marshal(setup{s.role(name), s.addr})
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asDispatcher+"="+string(text))
	if testing.Verbose() {
		cmd.Stderr = os.Stderr
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

// send publishes as agents do.
func (s *stage) send(events ...string) {
	s.t.Helper()
	list := make([][]byte, len(events))
	for i, e := range events {
		list[i] = []byte(e)
	}
	if err := bus.Publish(context.Background(), s.rdb, 0, list...); err != nil {
		s.t.Fatal(err)
	}
}

// taskIDs are the ids of all tasks of a queue that nobody runs.
func (s *stage) taskIDs(queue string) []string {
	ids, err := s.rdb.HKeys(context.Background(), "rsm:{"+queue+"}:m").Result()
	if err != nil {
		s.t.Error(err)
	}
	return ids
}

// payloads are the payloads of all tasks, in the order in which they wait.
func (s *stage) payloads(queue string) []map[string]any {
	s.t.Helper()
	ctx := context.Background()
	ids, err := s.rdb.LRange(ctx, "rsm:{"+queue+"}:pending", 0, -1).Result()
	if err != nil {
		s.t.Fatal(err)
	}
	var list []map[string]any
	for i := len(ids) - 1; i >= 0; i-- {
		var m struct{ P map[string]any }
		if err := json.Unmarshal([]byte(s.rdb.HGet(ctx, "rsm:{"+queue+"}:m", ids[i]).Val()), &m); err != nil {
			s.t.Fatal(err)
		}
		list = append(list, m.P)
	}
	return list
}

// wantTasks waits until a queue has as many tasks, and no more come.
func (s *stage) wantTasks(queue string, n int) {
	s.t.Helper()
	redistest.Wait(s.t, 15*time.Second, redistest.Want("tasks of "+queue, n, func() int { return len(s.taskIDs(queue)) }))
	s.quiet()
	if got := len(s.taskIDs(queue)); got != n {
		s.t.Fatalf("%d tasks of %s, want %d", got, queue, n)
	}
}

// quiet waits until every event was handed on.
func (s *stage) quiet() {
	s.t.Helper()
	redistest.Wait(s.t, 15*time.Second, func() error {
		groups, err := s.rdb.XInfoGroups(context.Background(), bus.Stream).Result()
		if err != nil {
			return err
		}
		for _, g := range groups {
			if g.Name == bus.Group && (g.Lag != 0 || g.Pending != 0) {
				return fmt.Errorf("lag %d, pending %d", g.Lag, g.Pending)
			}
		}
		return nil
	})
}

// reasons are those of the dead letters.
func (s *stage) reasons() (list []string) {
	for _, m := range s.rdb.XRange(context.Background(), Dead, "-", "+").Val() {
		list = append(list, fmt.Sprint(m.Values["reason"]))
	}
	return list
}
