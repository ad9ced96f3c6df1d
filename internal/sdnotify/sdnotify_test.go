package sdnotify

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// listen is systemd's end of a socket.
func listen(t *testing.T, name string) func() string {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return func() string {
		t.Helper()
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		buffer := make([]byte, 1000)
		n, err := conn.Read(buffer)
		if err != nil {
			t.Fatal(err)
		}
		return string(buffer[:n])
	}
}

func env(vars map[string]string) func(string) string {
	return func(name string) string { return vars[name] }
}

func TestManagerHears(t *testing.T) {
	t.Parallel()
	for kind, name := range map[string]string{
		"path":     filepath.Join(t.TempDir(), "notify"),
		"abstract": fmt.Sprintf("@rsm-sdnotify-%d", os.Getpid()),
	} {
		hear := listen(t, name)
		m := Open(env(map[string]string{"NOTIFY_SOCKET": name}))
		for _, tt := range []struct {
			tell func() error
			want string
		}{
			{func() error { return m.Ready("follows\nREADY=0 main") }, "READY=1\nSTATUS=follows READY=0 main"},
			{func() error { return m.Status("in sync") }, "STATUS=in sync"},
			{m.Stopping, "STOPPING=1"},
		} {
			if err := tt.tell(); err != nil {
				t.Fatalf("%s: %v", kind, err)
			}
			if got := hear(); got != tt.want {
				t.Errorf("%s: it hears %q, want %q", kind, got, tt.want)
			}
		}
	}
}

func TestNobodyHears(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "relative", "vsock:2:1"} {
		m := Open(env(map[string]string{"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "1000"}))
		if m != nil || m.Ready("") != nil || m.Status("") != nil || m.Stopping() != nil {
			t.Errorf("%q has a manager", name)
		}
		m.Watch(context.Background(), func() bool { return true }) // returns
	}
	m := Open(env(map[string]string{"NOTIFY_SOCKET": filepath.Join(t.TempDir(), "gone")}))
	if err := m.Ready(""); err == nil {
		t.Error("a socket that is gone hears")
	}
}

func TestWatchdog(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "notify")
	hear := listen(t, name)
	m := Open(env(map[string]string{"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "20000", "WATCHDOG_PID": strconv.Itoa(os.Getpid())}))
	if m.watchdog != 20*time.Millisecond {
		t.Fatalf("the watchdog's time is %v", m.watchdog)
	}
	var dead atomic.Bool
	ctx, cancel := context.WithCancel(t.Context())
	asked, ended := make(chan bool, 1), make(chan bool)
	go func() {
		m.Watch(ctx, func() bool {
			if dead.Load() {
				select {
				case asked <- true:
				default:
				}
			}
			return !dead.Load()
		})
		close(ended)
	}()
	for range 3 {
		if got := hear(); got != "WATCHDOG=1" {
			t.Errorf("it hears %q", got)
		}
	}
	dead.Store(true)
	<-asked // and said nothing: what comes next is not of the watchdog, but for one that was under way
	<-asked
	_ = m.Status("dead")
	for got := hear(); got != "STATUS=dead"; got = hear() {
		if got != "WATCHDOG=1" {
			t.Fatalf("it hears %q", got)
		}
	}
	cancel()
	<-ended
	if other := Open(env(map[string]string{"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "20000", "WATCHDOG_PID": "1"})); other.watchdog != 0 {
		t.Error("it takes another one's watchdog")
	}
}

func TestJournal(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := slog.New(newJournal(&out))
	log.Info("listening\nhere", "addr", "127.0.0.1:1")
	log.With("cluster", "lain").WithGroup("step").Error("it failed", "msg", "a b", "n", 1)
	log.Warn("careful")
	log.Debug("not shown")
	want := "<6>listening here addr=127.0.0.1:1\n<3>it failed cluster=lain step.msg=\"a b\" step.n=1\n<4>careful\n"
	if out.String() != want {
		t.Errorf("it writes\n%s\nwant\n%s", out.String(), want)
	}
}

func TestHandlerKnowsTheJournal(t *testing.T) {
	t.Parallel()
	file, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, stream := range []string{identity(file), "", "1:2"} {
		slog.New(Handler(file, stream)).Info("hello")
	}
	var out bytes.Buffer
	slog.New(Handler(&out, identity(file))).Info("hello")
	text, err := os.ReadFile(file.Name())
	if err != nil || strings.Count(string(text), "<6>hello\n") != 1 || strings.Count(string(text), "time=") != 2 || !strings.HasPrefix(out.String(), "time=") {
		t.Errorf("it writes %q and %q, %v", text, out.String(), err)
	}
}
