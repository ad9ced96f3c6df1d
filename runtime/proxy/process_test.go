package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"rsm/internal/redistest"
	"rsm/runtime/proxy"
	"rsm/schema"
)

// With these the test binary is a proxy: the file of its role, and how many files
// it may have open.
const (
	envRole  = "RSM_TEST_ROLE"
	envFiles = "RSM_TEST_FILES"
)

func TestMain(m *testing.M) {
	if file := os.Getenv(envRole); file != "" {
		if err := child(file); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child is what the process of a proxy does: it ends at SIGTERM, and hands over at
// SIGUSR2. Beside its role it tells its pid.
func child(file string) error {
	if n, err := strconv.Atoi(os.Getenv(envFiles)); err == nil {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: uint64(n), Max: uint64(n)}); err != nil {
			return err
		}
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGUSR2)
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	role, err := schema.DecodeProxyRole(content)
	if err != nil {
		return err
	}
	sockets, err := proxy.Sockets()
	if err != nil {
		return err
	}
	p, err := proxy.New(role, slog.New(slog.NewTextHandler(os.Stderr, nil)), sockets...)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		p.Ready(ctx)
		_ = os.WriteFile(file+".pid", []byte(strconv.Itoa(os.Getpid())), 0o600)
		for s := range signals {
			path, err := os.Executable()
			if s == syscall.SIGTERM || err == nil && p.Handover(ctx, path) == nil {
				cancel()
				return
			}
			_ = os.WriteFile(file+".failed", nil, 0o600)
		}
	}()
	return p.Run(ctx)
}

// startChild runs a proxy in a process of its own and returns how to learn its pid.
func startChild(t testing.TB, role schema.ProxyRole, env ...string) (file string, pid func() int, log *os.File) {
	t.Helper()
	content, err := role.Encode()
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "proxy.json")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	log, err = os.Create(file + ".log")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), envRole+"="+file), env...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	pid = func() int {
		text, _ := os.ReadFile(file + ".pid")
		n, _ := strconv.Atoi(string(text))
		return n
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
		if n := pid(); n > 0 && n != cmd.Process.Pid {
			_ = syscall.Kill(n, syscall.SIGKILL)
		}
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("the proxy said:\n%s", text)
		}
		_ = log.Close()
	})
	redistest.Wait(t, patience, func() error {
		if pid() == 0 {
			return errors.New("the proxy does not run")
		}
		return nil
	})
	return file, pid, log
}

// During restarts of the proxy no connection is refused, and who has connected is
// answered.
func TestHotRestart(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	role := newRole(t, server.Addr(), sentinel(t, server.Addr()).Addr())
	role.Proxy.Admin = schema.NewAddr("127.0.0.1", redistest.Ports(t, 1)[0])
	file, pid, _ := startChild(t, role)
	addr, socket := mainAddr(role), role.Proxy.Listeners[1].Socket
	awaitTable(t, addr)
	var connects atomic.Int64
	var loops sync.WaitGroup
	stop := make(chan struct{})
	for i := range 4 {
		network, to := "tcp", addr
		if i == 3 {
			network, to = "unix", socket
		}
		loops.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := once(network, to); err != nil {
					t.Errorf("connection %d, %s: %v", connects.Load(), network, err)
					return
				}
				connects.Add(1)
			}
		})
	}
	before := connects.Load()
	for range 5 {
		old := pid()
		busy := dial(t, addr)
		busy.want("+OK\r\n", "MULTI")
		if err := syscall.Kill(old, syscall.SIGUSR2); err != nil {
			t.Fatal(err)
		}
		redistest.Wait(t, patience, func() error {
			if pid() == old {
				return errors.New("there is no successor")
			}
			return nil
		})
		redistest.Wait(t, patience, func() error { // a question may still have gone to the old one
			status, _, err := get(role.Proxy.Admin, "/readyz", "")
			if status != 200 || err != nil {
				return fmt.Errorf("the successor's admin listener answers %d, %w", status, err)
			}
			return nil
		})
		busy.want("+QUEUED\r\n", "GET", "k") // with the old one
		busy.want("*1\r\n$-1\r\n", "EXEC")
		redistest.Wait(t, patience, func() error {
			if syscall.Kill(old, 0) == nil && !zombie(old) {
				return fmt.Errorf("process %d has not ended", old)
			}
			return nil
		})
	}
	close(stop)
	loops.Wait()
	if n := connects.Load() - before; n < 100 {
		t.Errorf("only %d connections during the restarts", n)
	}
	t.Logf("%d connections", connects.Load())

	// A successor that cannot start: the proxy goes on.
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	old := pid()
	if err := syscall.Kill(old, syscall.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	redistest.Wait(t, patience, func() error { _, err := os.Stat(file + ".failed"); return err })
	dial(t, addr).want("$-1\r\n", "GET", "k")
	dial(t, socket).want("$-1\r\n", "GET", "k")
	if pid() != old {
		t.Error("another process serves")
	}
	_ = os.WriteFile(file, content, 0o600)

	// SIGTERM ends it, and its socket is gone.
	if err := syscall.Kill(old, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	redistest.Wait(t, patience, func() error {
		if _, err := os.Lstat(socket); err == nil {
			return errors.New("the socket is still there")
		}
		return nil
	})
}

// zombie reports whether nothing but the exit status is left of a process.
func zombie(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, state, _ := strings.Cut(string(text), ") ")
	return err != nil || strings.HasPrefix(state, "Z")
}

// once is what a client does that connects for one request.
func once(network, addr string) error {
	conn, err := net.DialTimeout(network, addr, patience)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := conn.Write(pipeline("PING")); err != nil {
		return err
	}
	reply := make([]byte, 7)
	if _, err := io.ReadFull(conn, reply); err != nil || string(reply) != "+PONG\r\n" {
		return fmt.Errorf("PING is answered by %q, %w", reply, err)
	}
	return nil
}

// Listening sockets are taken as systemd passes them on.
func TestSocketActivation(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	role := newRole(t, server.Addr(), sentinel(t, server.Addr()).Addr())
	role.Proxy.Listeners = role.Proxy.Listeners[:1]
	listener, err := net.Listen("tcp", mainAddr(role))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := listener.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	content, err := role.Encode()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "proxy.json")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	c := dial(t, mainAddr(role)) // before anybody serves
	// A shell tells the pid, as systemd does between fork and exec.
	cmd := exec.Command("sh", "-c", `LISTEN_PID=$$ exec "$0"`, os.Args[0])
	cmd.Env = append(os.Environ(), envRole+"="+file, "LISTEN_FDS=1", "LISTEN_FDNAMES=main")
	cmd.ExtraFiles = []*os.File{raw}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, _ = raw.Close(), listener.Close()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the proxy ended with %v", err)
		}
	})
	c.want("$-1\r\n", "GET", "k")
}

// W16: without descriptors the proxy crashed. Now it takes no more clients until
// there are some again, and serves those that it has.
func TestW16OutOfFiles(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	role := newRole(t, server.Addr(), sentinel(t, server.Addr()).Addr())
	_, _, _ = startChild(t, role, envFiles+"=100")
	addr := mainAddr(role)
	first := dial(t, addr)
	first.want("$-1\r\n", "GET", "k")
	var crowd []*peer
	for range 150 {
		p := dial(t, addr) // the kernel lets it in
		p.send(pipeline("PING"))
		crowd = append(crowd, p)
	}
	answered := 0
	for _, p := range crowd {
		limit := time.Second
		if answered < len(crowd) && answered > 20 {
			limit = 100 * time.Millisecond
		}
		_ = p.conn.SetReadDeadline(time.Now().Add(limit))
		if got, err := p.reply(); string(got) == "+PONG\r\n" {
			answered++
		} else if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("a client gets %q, %v", got, err)
		} else {
			break
		}
	}
	if answered < 20 || answered >= 100 {
		t.Errorf("%d clients are served with 100 descriptors", answered)
	}
	// What needs a connection of its own gets one.
	for range 5 {
		if got := first.ask("BLPOP", "none", "0.01"); got != "*-1\r\n" {
			t.Fatalf("BLPOP is answered by %q", got)
		}
		first.want("+OK\r\n", "MULTI")
		first.want("*0\r\n", "EXEC")
	}
	for _, p := range crowd[:answered] {
		_ = p.conn.Close()
	}
	for _, p := range crowd[answered:100] {
		_ = p.conn.SetReadDeadline(time.Now().Add(patience))
		if got, err := p.reply(); string(got) != "+PONG\r\n" {
			t.Fatalf("a client that had to wait gets %q, %v", got, err)
		}
		_ = p.conn.Close()
	}
	first.want("+PONG\r\n", "PING")
}
