// Package redistest runs real redis-server and redis-sentinel processes for
// tests, on loopback ports that were free, and ends them with the test. For
// answers that no real server gives there is Fake.
//
//	s := redistest.Start(t, "appendonly yes")
//	s.Do("SET", "key", "value")
//	s.Kill()
package redistest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"rsm/internal/resp"
)

// patience is how long a server may take to do anything at all; machines that
// run tests are slow at times.
const patience = 15 * time.Second

// Server is one process under test. Its methods fail the test when they cannot
// do what they say.
type Server struct {
	// Dir is its working directory, Config the path of its configuration file.
	Dir, Config string

	t      testing.TB
	argv   []string
	port   int
	mu     sync.Mutex
	cmd    *exec.Cmd
	exited chan struct{}
}

// Start runs a redis-server with the given redis.conf lines, without
// persistence unless they ask for it, and waits until it answers.
func Start(t testing.TB, config ...string) *Server {
	t.Helper()
	return StartAt(t, Ports(t, 1)[0], config...)
}

// StartAt is Start on a given port.
func StartAt(t testing.TB, port int, config ...string) *Server {
	t.Helper()
	defaults := []string{`save ""`, "appendonly no", "repl-diskless-sync-delay 0", "shutdown-timeout 0"}
	return run(t, "redis-server", port, append(defaults, config...))
}

// StartSentinel runs a redis-sentinel with the given sentinel.conf lines and
// waits until it answers.
func StartSentinel(t testing.TB, config ...string) *Server {
	t.Helper()
	return run(t, "redis-sentinel", Ports(t, 1)[0], config)
}

func run(t testing.TB, binary string, port int, config []string) *Server {
	t.Helper()
	path, err := exec.LookPath(binary)
	if err != nil {
		t.Fatalf("%s is not on PATH: apt-get install redis-server redis-sentinel", binary)
	}
	dir := t.TempDir()
	s := &Server{t: t, Dir: dir, Config: filepath.Join(dir, "redis.conf"), port: port}
	s.argv = []string{path, s.Config}
	lines := append([]string{"bind 127.0.0.1", "port " + strconv.Itoa(port), "dir " + dir, "logfile log"}, config...)
	if err := os.WriteFile(s.Config, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	s.launch()
	return s
}

// Restart starts the process again with the configuration file as it is now,
// after ending it if it runs.
func (s *Server) Restart() {
	s.t.Helper()
	s.Kill()
	s.launch()
}

func (s *Server) launch() {
	s.t.Helper()
	cmd := exec.Command(s.argv[0], s.argv[1:]...)
	cmd.Dir = s.Dir
	// A test binary that is killed must not leave servers behind.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(exited)
	}()
	s.mu.Lock()
	s.cmd, s.exited = cmd, exited
	s.mu.Unlock()
	Wait(s.t, patience, func() error {
		select {
		case <-exited:
			s.t.Fatalf("%s exited:\n%s", strings.Join(s.argv, " "), s.Log())
		default:
		}
		return s.alive()
	})
}

// alive is true of a server that answers anything, even that it wants a
// password or is loading.
func (s *Server) alive() error {
	_, err := s.TryDo("PING")
	if refused := resp.Error(""); errors.As(err, &refused) {
		return nil
	}
	return err
}

// Addr is the server's "host:port".
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// Port is the TCP port.
func (s *Server) Port() int { return s.port }

// PID is the process id, also after the process ended.
func (s *Server) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cmd.Process.Pid
}

// Kill ends the process with SIGKILL and waits until it is gone. Killing a dead
// one does nothing.
func (s *Server) Kill() {
	s.mu.Lock()
	cmd, exited := s.cmd, s.exited
	s.mu.Unlock()
	if cmd != nil {
		_ = cmd.Process.Kill()
		<-exited
	}
}

// Pause stops the process as it is, so that it accepts connections and answers
// nothing, until Resume.
func (s *Server) Pause() { s.signal(syscall.SIGSTOP) }

// Resume ends a Pause.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig os.Signal) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatalf("signal %s: %v", s.Addr(), err)
	}
}

// Log returns what the server has logged.
func (s *Server) Log() string {
	log, _ := os.ReadFile(filepath.Join(s.Dir, "log"))
	return string(log)
}

// Do sends one command and returns its reply as internal/resp reads it. It
// fails the test on an error reply.
func (s *Server) Do(args ...string) any {
	s.t.Helper()
	reply, err := s.TryDo(args...)
	if err != nil {
		s.t.Fatalf("%s> %s: %v", s.Addr(), strings.Join(args, " "), err)
	}
	return reply
}

// TryDo is Do that returns errors; error replies as resp.Error. Each call uses
// a connection of its own.
func (s *Server) TryDo(args ...string) (any, error) { return Do(s.Addr(), args...) }

// Do sends one command to any server.
func Do(addr string, args ...string) (any, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	conn, err := resp.Dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.Do(ctx, args...)
}

// Info returns the field of INFO, empty when there is none.
func (s *Server) Info(field string) string {
	s.t.Helper()
	text, _ := s.Do("INFO").(string)
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok && name == field {
			return value
		}
	}
	return ""
}

// Wait asks cond every few milliseconds until it returns nil, and fails the
// test with cond's last error when that takes longer than timeout.
func Wait(t testing.TB, timeout time.Duration, cond func() error) {
	t.Helper()
	deadline := time.Now().Add(timeout)
	for {
		err := cond()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %s: %v", timeout, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// Want is a condition for Wait: got() equals want.
func Want[T comparable](what string, want T, got func() T) func() error {
	return func() error {
		if have := got(); have != want {
			return fmt.Errorf("%s is %v, want %v", what, have, want)
		}
		return nil
	}
}
