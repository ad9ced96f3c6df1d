package supervise

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The test binary is its own helper process: what it does then is in the
// environment variable.
const helperVar = "SUPERVISE_HELPER"

func TestMain(m *testing.M) {
	switch os.Getenv(helperVar) {
	case "":
		os.Exit(m.Run())
	case "starter":
		starter()
	case "holder":
		holder()
	case "headless":
		headless()
	}
}

// starter starts a process, prints its record and exits.
func starter() {
	record, _, err := Start(Command{Path: "/bin/sleep", Args: []string{"300"}, Dir: "/", Log: os.Args[1]})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	_ = json.NewEncoder(os.Stdout).Encode(record)
}

// holder takes a lock, starts a child that outlives it, says so and waits for
// the end of its input.
func holder() {
	_, err := Acquire(context.Background(), os.Args[1], "rsm apply prod", time.Now())
	record, _, startErr := Start(Command{Path: "/bin/sleep", Args: []string{"300"}, Dir: "/", Log: os.Args[2]})
	if err := errors.Join(err, startErr); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	_ = json.NewEncoder(os.Stdout).Encode(record)
	_, _ = bufio.NewReader(os.Stdin).ReadByte()
}

// headless listens, says where, and ends its first thread only: that is what a
// killed server looks like until its last thread is gone.
func headless() {
	if syscall.Gettid() != os.Getpid() {
		fmt.Println("not on the first thread")
		os.Exit(1)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(listener.Addr())
	go func() {
		_, _ = os.Stdin.Read(make([]byte, 1))
		os.Exit(0)
	}()
	_, _, _ = syscall.Syscall(syscall.SYS_EXIT, 0, 0, 0)
}

func helper(t *testing.T, role string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), helperVar+"="+role)
	cmd.Stderr = os.Stderr
	return cmd
}

func start(t *testing.T, shell string) (Record, <-chan error, string) {
	t.Helper()
	log := filepath.Join(t.TempDir(), "log")
	record, exited, err := Start(Command{Path: "/bin/sh", Args: []string{"-c", shell}, Dir: "/", Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = Kill(context.Background(), record) })
	return record, exited, log
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

func TestStartLogsAndReaps(t *testing.T) {
	t.Parallel()
	record, exited, log := start(t, "echo out; echo err >&2; exit 3")
	err := <-exited
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 3 {
		t.Errorf("exit: %v, want status 3", err)
	}
	if Alive(record) {
		t.Error("alive after its end")
	}
	if _, err := os.Stat(procPath(record.PID, "stat")); err == nil {
		t.Error("left as a zombie")
	}
	if text, _ := os.ReadFile(log); string(text) != "out\nerr\n" {
		t.Errorf("log %q", text)
	}
	if info, _ := os.Stat(log); info.Mode().Perm() != 0o600 {
		t.Errorf("log mode %s", info.Mode())
	}
}

func TestStartPassesNoEnvironmentAndNoTerminal(t *testing.T) {
	t.Setenv("SUPERVISE_SECRET", "swordfish")
	record, _, _ := start(t, "sleep 300 & wait")
	environ, err := os.ReadFile(procPath(record.PID, "environ"))
	if err != nil || strings.Contains(string(environ), "swordfish") {
		t.Errorf("environment %q, %v", environ, err)
	}
	stat, err := os.ReadFile(procPath(record.PID, "stat"))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if session := fields[6-3]; session != fmt.Sprint(record.PID) {
		t.Errorf("session %s, want its own %d", session, record.PID)
	}
}

func TestFoundAgainAfterStarterExits(t *testing.T) {
	t.Parallel()
	out, err := helper(t, "starter", filepath.Join(t.TempDir(), "log")).Output()
	var record Record
	if err := errors.Join(err, json.Unmarshal(out, &record)); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if !Alive(record) {
		t.Fatal("not found again")
	}
	found, err := Find(record.PID)
	if err != nil || found.Start != record.Start || found.Boot != record.Boot || found.Argv[1] != "300" {
		t.Errorf("Find = %+v, %v; want %+v", found, err, record)
	}
	if err := Stop(t.Context(), record, 5*time.Second); err != nil {
		t.Error(err)
	}
	if Alive(record) {
		t.Error("alive after Stop")
	}
}

func TestRecycledPidIsNeverSignalled(t *testing.T) {
	t.Parallel()
	record, exited, _ := start(t, "exec sleep 300")
	before := record
	before.Start-- // who had the pid before
	reboot := record
	reboot.Boot = "00000000-0000-0000-0000-000000000000"
	for name, other := range map[string]Record{"start": before, "boot": reboot, "zero": {}, "init": {PID: 1}} {
		if Alive(other) {
			t.Errorf("%s: alive", name)
		}
		if err := errors.Join(Stop(t.Context(), other, time.Second), Kill(t.Context(), other)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	select {
	case err := <-exited:
		t.Fatalf("the process that has the pid now was ended: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	if !Alive(record) {
		t.Error("not alive")
	}
}

func TestStopNeverKills(t *testing.T) {
	t.Parallel()
	record, _, log := start(t, "trap '' TERM; echo ready; while :; do sleep 0.05; done")
	eventually(t, "ready", func() bool { text, _ := os.ReadFile(log); return len(text) > 0 })
	if err := Stop(t.Context(), record, 100*time.Millisecond); !errors.Is(err, ErrRunning) {
		t.Errorf("Stop: %v, want ErrRunning", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Stop(ctx, record, time.Minute); !errors.Is(err, context.Canceled) {
		t.Errorf("Stop: %v, want canceled", err)
	}
	if !Alive(record) {
		t.Error("Stop killed it")
	}
	if err := Kill(t.Context(), record); err != nil || Alive(record) {
		t.Errorf("Kill: %v", err)
	}
}

func TestZombieIsNotAlive(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("/bin/true")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Wait() }()
	record, err := newborn(cmd.Process.Pid, nil)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "zombie", func() bool { s, err := readStat(record.PID); return err == nil && s.dead() })
	if Alive(record) {
		t.Error("a zombie is alive")
	}
	if _, err := Find(record.PID); !errors.Is(err, ErrGone) {
		t.Errorf("Find: %v, want ErrGone", err)
	}
}

// TestDyingProcessIsAlive: a killed process of many threads shows as a zombie
// before its last thread has let go of the port.
func TestDyingProcessIsAlive(t *testing.T) {
	t.Parallel()
	cmd := helper(t, "headless")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	record, err := newborn(cmd.Process.Pid, nil)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "first thread ended", func() bool { s, err := readStat(record.PID); return err == nil && s.state == 'Z' })
	if !Alive(record) {
		t.Error("not alive while its other threads run")
	}
	if _, _, ok := Listener(strings.TrimSpace(addr)); !ok {
		t.Errorf("nobody listens on %s", addr)
	}
	_ = in.Close()
	eventually(t, "gone", func() bool { return !Alive(record) })
	_ = cmd.Wait()
}

func TestWithin(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if pid := Within(dir); pid != 0 {
		t.Errorf("process %d in a new directory", pid)
	}
	sub := filepath.Join(dir, "sub")
	if err := os.Mkdir(sub, 0o700); err != nil {
		t.Fatal(err)
	}
	record, _, err := Start(Command{Path: "/bin/sleep", Args: []string{"300"}, Dir: sub, Log: filepath.Join(dir, "log")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = Kill(context.Background(), record) }()
	if pid := Within(dir); pid != record.PID {
		t.Errorf("Within = %d, want %d", pid, record.PID)
	}
	if pid := Within(filepath.Join(dir, "su")); pid != 0 {
		t.Errorf("Within a prefix of the name = %d", pid)
	}
}

func TestParseStat(t *testing.T) {
	t.Parallel()
	good := "7 (a) b (c) S 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4242 0 0"
	if s, err := parseStat(good); err != nil || s != (stat{name: "a) b (c", state: 'S', threads: 1, start: 4242}) {
		t.Errorf("parseStat = %+v, %v", s, err)
	}
	for _, bad := range []string{"", "7", "7 )(", "7 (a)", "7 (a) S 1", strings.Replace(good, "4242", "x", 1)} {
		if s, err := parseStat(bad); err == nil {
			t.Errorf("parseStat(%q) = %+v", bad, s)
		}
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add("7 (a) S 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4242 0 0")
	f.Fuzz(func(t *testing.T, text string) { _, _ = parseStat(text) })
}

func TestListener(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ listen, ask string }{
		{"127.0.0.1:0", "127.0.0.1"}, {"0.0.0.0:0", "127.0.0.1"}, {"[::]:0", "127.0.0.1"}, {"[::]:0", "::1"},
		{"[::1]:0", "::1"}, {"127.0.0.1:0", "0.0.0.0"}, {"127.0.0.1:0", "localhost"}, {"127.0.0.1:0", "::ffff:127.0.0.1"},
	} {
		l, err := net.Listen("tcp", tt.listen)
		if err != nil {
			t.Fatalf("%s: %v", tt.listen, err)
		}
		_, port, _ := net.SplitHostPort(l.Addr().String())
		addr := net.JoinHostPort(tt.ask, port)
		// A process that a parallel test starts has our sockets until it executes.
		eventually(t, "listen "+tt.listen+", ask "+addr, func() bool {
			pid, name, ok := Listener(addr)
			return ok && pid == os.Getpid() && strings.HasPrefix(name, "supervise")
		})
		_ = l.Close()
		eventually(t, "closed "+addr, func() bool { _, _, ok := Listener(addr); return !ok })
	}
	l, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	for _, addr := range []string{"127.0.0.1:" + port, "[::1]:" + port, "127.0.0.2:", "127.0.0.2", ""} {
		if pid, name, ok := Listener(addr); ok {
			t.Errorf("another address %q: %d %q", addr, pid, name)
		}
	}
}

// TestAskEqualsTable: the kernel and /proc tell the same sockets.
func TestAskEqualsTable(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ network, addr string }{
		{"tcp4", "127.0.0.1:0"}, {"tcp4", "0.0.0.0:0"}, {"tcp6", "[::1]:0"}, {"tcp6", "[::]:0"}, {"tcp", "[::]:0"},
	} {
		l, err := net.Listen(tt.network, tt.addr)
		if err != nil {
			t.Fatalf("%s: %v", tt.addr, err)
		}
		defer l.Close()
		at, f := l.Addr().(*net.TCPAddr).AddrPort(), families[1]
		if tt.network == "tcp4" {
			f = families[0]
		}
		asked, err := ask(f.number, at.Port())
		if err != nil || len(asked) != 1 || asked[0].local != at {
			t.Errorf("%s: the kernel tells %v, %v", at, asked, err)
			continue
		}
		if !slices.Contains(readTable(f.table), asked[0]) {
			t.Errorf("%s: the kernel tells %v, /proc does not", at, asked)
		}
	}
	if asked, err := ask(255, 1); err == nil {
		t.Errorf("no such family: %v", asked)
	}
}

func TestParseSocket(t *testing.T) {
	t.Parallel()
	line := "   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1234 1 0"
	if _, inode, ok := parseSocket(line); !ok || inode != "1234" {
		t.Errorf("inode %q, %v", inode, ok)
	}
	for _, bad := range []string{"", "sl local_address", strings.Replace(line, "0A", "01", 1),
		strings.Replace(line, "00000000:0016", "000000:0016", 1), strings.Replace(line, "0016", "zz", 1)} {
		if local, _, ok := parseSocket(bad); ok {
			t.Errorf("parseSocket(%q) = %s", bad, local)
		}
	}
}

func TestLock(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	held, err := Acquire(t.Context(), path, "rsm apply", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err = Acquire(ctx, path, "rsm plan", time.Now())
	want := fmt.Sprintf("held by rsm apply (pid %d) since ", os.Getpid())
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), want) {
		t.Errorf("second: %v, want %q", err, want)
	}
	time.AfterFunc(20*time.Millisecond, func() { _ = held.Release() })
	second, err := Acquire(t.Context(), path, "rsm plan", time.Now())
	if err != nil {
		t.Fatalf("after release: %v", err)
	}
	if h := readHolder(path); h.Command != "rsm plan" {
		t.Errorf("holder %+v", h)
	}
	if err := second.Release(); err != nil {
		t.Error(err)
	}
}

func TestLockOfAnotherProcessAndNotOfItsChild(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "lock")
	cmd := helper(t, "holder", path, filepath.Join(dir, "log"))
	stdin, err := cmd.StdinPipe()
	stdout, err2 := cmd.StdoutPipe()
	if err := errors.Join(err, err2, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	var child Record
	if err := json.NewDecoder(stdout).Decode(&child); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = Kill(context.Background(), child) }()
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // one try
	_, err = Acquire(ctx, path, "rsm plan", time.Now())
	locked := (*LockedError)(nil)
	if !errors.As(err, &locked) || locked.Holder.PID != cmd.Process.Pid || locked.Holder.Command != "rsm apply prod" {
		t.Errorf("held by another: %v", err)
	}
	_ = cmd.Process.Kill() // it cannot clean up
	_, _ = cmd.Process.Wait()
	_ = stdin.Close()
	if !Alive(child) {
		t.Fatal("the child ended with its starter")
	}
	lock, err := Acquire(ctx, path, "rsm plan", time.Now())
	if err != nil {
		t.Fatalf("the child has the lock: %v", err)
	}
	_ = lock.Release()
}
