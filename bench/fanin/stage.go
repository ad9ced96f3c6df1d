package fanin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"rsm/bench/ports"
	"rsm/reconcile"
	"rsm/runtime/bus"
	"rsm/schema"
)

// stage is a Redis with a Sentinel and two dispatchers.
type stage struct {
	redis       string
	client      *bus.Client
	server      *exec.Cmd
	sentinel    *exec.Cmd
	dispatchers []*exec.Cmd
}

const patience = 20 * time.Second

// operations are what events are judged by.
var operations = schema.Operations{
	Queues:   []schema.Queue{{Name: "q", Lease: 10 * time.Second, Attempts: 3, Crashes: 3}},
	Handlers: []schema.Handler{{Name: "hot", Queue: "q", Types: []string{"monitoring"}, When: "cpu_usage > 98"}},
	Rules: []schema.Rule{
		{Name: "cpu", Type: "monitoring", Expr: "cpu_usage > 90", Clear: "cpu_usage < 80", For: 5 * time.Minute, By: []string{"host"}, Severity: "warning", Summary: "busy", Receivers: []string{"hot"}, GroupBy: []string{"host"}, Repeat: time.Hour},
		{Name: "memory", Type: "monitoring", Expr: "mem_usage > 90 && memory.available < 1000000000", For: time.Minute, By: []string{"host"}, Severity: "warning", Summary: "full", Receivers: []string{"hot"}, GroupBy: []string{"host"}, Repeat: time.Hour},
		{Name: "disk", Type: "monitoring", Expr: "disks.exists(d, d.usage > 90 || d.inodes_usage > 90)", By: []string{"host"}, Severity: "critical", Summary: "full", Receivers: []string{"hot"}, GroupBy: []string{"host"}, Repeat: time.Hour},
	},
}

func start(ctx context.Context, o options, dir string) (*stage, error) {
	port, err := ports.Block(2)
	if err != nil {
		return nil, err
	}
	s := &stage{redis: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))}
	sentinel := net.JoinHostPort("127.0.0.1", strconv.Itoa(port+1))
	steps := []func() error{
		func() error {
			s.server, err = run(ctx, dir, "redis", "redis-server", "--port", strconv.Itoa(port), "--save", "", "--dir", dir, "--maxclients", strconv.Itoa(o.agents+100), "--tcp-backlog", "4096")
			return err
		},
		func() error { return answers(ctx, s.redis) },
		func() error {
			conf := filepath.Join(dir, "sentinel.conf")
			if err := os.WriteFile(conf, fmt.Appendf(nil, "port %d\ndir %s\nsentinel monitor main 127.0.0.1 %d 1\n", port+1, dir, port), 0o600); err != nil {
				return err
			}
			s.sentinel, err = run(ctx, dir, "sentinel", "redis-sentinel", conf)
			return err
		},
		func() error { return answers(ctx, sentinel) },
		func() error { return s.publish(ctx) },
		func() error { return s.dispatch(ctx, o, dir, schema.Addr(sentinel)) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			s.stop()
			return nil, err
		}
	}
	return s, nil
}

// run starts a process that ends with this one.
func run(ctx context.Context, dir, name string, argv ...string) (*exec.Cmd, error) {
	out, err := os.Create(filepath.Join(dir, name+".out"))
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = out, out, &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return cmd, nil
}

// answers waits until somebody listens.
func answers(ctx context.Context, addr string) error {
	return until(ctx, func() error {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			_ = conn.Close()
		}
		return err
	})
}

func until(ctx context.Context, ready func() error) error {
	deadline := time.Now().Add(patience)
	for {
		err := ready()
		if err == nil || ctx.Err() != nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// publish writes the operations as reconcile does.
func (s *stage) publish(ctx context.Context) error {
	client, err := bus.Connect(schema.Access{}, bus.Options{Name: "bench", Addr: schema.Addr(s.redis)})
	if err != nil {
		return err
	}
	s.client = client
	values := []any{"digest", "1"}
	add := func(field string, value any) {
		content, failed := json.Marshal(value)
		values, err = append(values, field, content), errors.Join(err, failed)
	}
	for _, q := range operations.Queues {
		add("queue/"+q.Name, q)
	}
	for _, h := range operations.Handlers {
		add("handler/"+h.Name, h)
	}
	for _, r := range operations.Rules {
		add("rule/"+r.Name, r)
	}
	// Queues tell of new tasks while somebody watches.
	watched := client.Set(ctx, "rsm:{q}:watched", 1, 0).Err()
	return errors.Join(err, watched, client.HSet(ctx, reconcile.OperationsKey, values...).Err())
}

// dispatch starts two dispatchers and waits until both are there.
func (s *stage) dispatch(ctx context.Context, o options, dir string, sentinel schema.Addr) error {
	for _, name := range []string{"d1", "d2"} {
		role := schema.DispatcherRole{Access: schema.Access{Cluster: "main", Sentinels: []schema.Addr{sentinel}},
			Dispatcher: schema.Dispatcher{Name: name, Cluster: "main", Host: "local", Address: "127.0.0.1", KeepEvents: 100_000, KeepFor: time.Hour, Silent: 3, Grace: 5 * time.Second}}
		content, err := schema.Encode(role)
		if err != nil {
			return err
		}
		file := filepath.Join(dir, name+".json")
		if err := os.WriteFile(file, content, 0o600); err != nil {
			return err
		}
		cmd, err := run(ctx, dir, name, o.rsm, "dispatcher", "--config", file)
		if err != nil {
			return err
		}
		s.dispatchers = append(s.dispatchers, cmd)
	}
	return until(ctx, func() error {
		roles, err := bus.ReadRoles(ctx, s.client)
		if err == nil && (len(roles) != 2 || s.client.PubSubNumSub(ctx, bus.Channel).Val()[bus.Channel] != 2) {
			err = errors.New("the dispatchers do not come")
		}
		return err
	})
}

func (s *stage) stop() {
	if s.client != nil {
		_ = s.client.Close()
	}
	for _, cmd := range append(s.dispatchers, s.sentinel, s.server) {
		if cmd != nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	}
}

// used is the CPU time of processes.
func used(pids ...int) (all time.Duration) {
	for _, pid := range pids {
		content, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		_, rest, _ := strings.Cut(string(content), ") ")
		fields := strings.Fields(rest)
		for _, i := range []int{11, 12} { // utime and stime, in hundredths of a second
			if i < len(fields) {
				n, _ := strconv.Atoi(fields[i])
				all += time.Duration(n) * 10 * time.Millisecond
			}
		}
	}
	return all
}
