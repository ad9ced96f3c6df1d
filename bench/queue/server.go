package queue

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"rsm/bench/ports"
)

// setup says how Redis keeps data.
type setup struct {
	name         string
	aof, replica bool
}

// server is a redis-server, perhaps with a replica.
type server struct {
	addr      string
	processes []*exec.Cmd
	client    *redis.Client
}

// start runs a redis-server as the setup says.
func (b *bench) start(ctx context.Context, with setup) (*server, error) {
	port, err := ports.Block(2)
	if err != nil {
		return nil, err
	}
	s := &server{addr: fmt.Sprintf("127.0.0.1:%d", port)}
	s.client = redis.NewClient(&redis.Options{Addr: s.addr})
	flags := []string{"--appendonly", "no"}
	if with.aof {
		flags = []string{"--appendonly", "yes", "--appendfsync", "everysec"}
	}
	if err := b.launch(s, port, flags...); err != nil {
		return nil, err
	}
	if with.replica {
		if err := b.launch(s, port+1, append(flags, "--replicaof", "127.0.0.1", fmt.Sprint(port))...); err != nil {
			s.stop()
			return nil, err
		}
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		info, err := s.client.Info(ctx, "replication").Result()
		if err == nil && (!with.replica || strings.Contains(info, "state=online")) {
			return s, nil
		}
		if time.Now().After(end) {
			s.stop()
			return nil, fmt.Errorf("start redis-server: not ready after 20 s: %w", err)
		}
	}
}

func (b *bench) launch(s *server, port int, flags ...string) error {
	b.serial++
	dir := filepath.Join(b.dir, fmt.Sprint(b.serial))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return fmt.Errorf("start redis-server: %w", err)
	}
	cmd := exec.Command("redis-server", append([]string{"--port", fmt.Sprint(port), "--bind", "127.0.0.1", "--save", "", "--dir", dir,
		"--repl-diskless-sync-delay", "0"}, flags...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start redis-server: %w", err)
	}
	s.processes = append(s.processes, cmd)
	return nil
}

func (s *server) stop() {
	_ = s.client.Close()
	for _, p := range s.processes {
		_ = p.Process.Kill()
		_ = p.Wait()
	}
}

// used is the memory that holds data.
func (s *server) used(ctx context.Context) (n int64, err error) {
	info, err := s.client.Info(ctx, "memory").Result()
	for _, line := range strings.Split(info, "\r\n") {
		if text, ok := strings.CutPrefix(line, "used_memory:"); ok {
			_, err = fmt.Sscan(text, &n)
		}
	}
	return n, err
}
