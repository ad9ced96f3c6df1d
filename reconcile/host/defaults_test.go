package host

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// scripted is a host whose redis-server is a shell script, which notes every
// start in the file that it returns. $REDIS in the script is the real one.
func scripted(t *testing.T, script string) (*Host, string) {
	t.Helper()
	redis, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	starts, path := filepath.Join(dir, "starts"), filepath.Join(dir, "redis-server")
	text := fmt.Sprintf("#!/bin/sh\necho $$ $PWD >>%s\nREDIS=%s\n%s\n", starts, redis, script)
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return &Host{LookPath: func(string) (string, error) { return path, nil }}, starts
}

// started reads the pid and the directory of every server that was started, and
// checks that nothing is left of them.
func started(t *testing.T, starts string) int {
	t.Helper()
	text, err := os.ReadFile(starts)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	for _, line := range lines {
		pid, dir, _ := strings.Cut(line, " ")
		if _, err := os.Stat(filepath.Join("/proc", pid)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("process %s is left: %v", pid, err)
		}
		if _, err := os.Stat(dir); !strings.Contains(dir, "rsm-defaults-") || !errors.Is(err, os.ErrNotExist) {
			t.Errorf("directory %q is left: %v", dir, err)
		}
	}
	return len(lines)
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	h, starts := scripted(t, `exec $REDIS "$@"`)
	keys := []string{"maxmemory", "save", "appendonly", "timeout", "replica-serve-stale-data", "unixsocketperm", "logfile",
		"no-such-directive", "dir", "port", "unixsocket"}
	want := map[string]string{"maxmemory": "0", "save": "3600 1 300 100 60 10000", "appendonly": "no", "timeout": "0",
		"replica-serve-stale-data": "yes", "unixsocketperm": "0", "logfile": ""}
	var wg sync.WaitGroup
	for range 4 { // at once: one server answers all
		wg.Go(func() {
			if got, err := h.Defaults(t.Context(), keys); err != nil || !maps.Equal(got, want) {
				t.Errorf("defaults are %v, %v; want %v", got, err, want)
			}
		})
	}
	wg.Wait()
	got, err := h.Defaults(t.Context(), []string{"databases"})
	if err != nil || got["databases"] != "16" || len(got) != 1 {
		t.Errorf("got %v, %v", got, err)
	}
	if n := started(t, starts); n != 1 {
		t.Errorf("%d servers were started, want 1", n)
	}
}

// TestDefaultsInALongDirectory: a socket could not be dialled by that path.
func TestDefaultsInALongDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 40))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", dir)
	if got, err := (&Host{}).Defaults(t.Context(), []string{"timeout"}); err != nil || got["timeout"] != "0" {
		t.Errorf("got %v, %v", got, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

func TestDefaultsOfABrokenBinary(t *testing.T) {
	t.Parallel()
	h, starts := scripted(t, "echo no such library; exit 127")
	for range 2 { // the failure is not remembered
		_, err := h.Defaults(t.Context(), []string{"timeout"})
		if !errors.Is(err, errEnded) || !strings.Contains(err.Error(), "no such library") {
			t.Errorf("error is %v", err)
		}
	}
	if n := started(t, starts); n != 2 {
		t.Errorf("%d servers were started, want 2", n)
	}
}

func TestDefaultsUntilDeadline(t *testing.T) {
	t.Parallel()
	h, starts := scripted(t, "exec sleep 60")
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	start := time.Now()
	var wg sync.WaitGroup
	for range 2 { // the one that asks, and one that waits for its answer
		wg.Go(func() {
			if _, err := h.Defaults(ctx, []string{"timeout"}); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error is %v", err)
			}
		})
	}
	wg.Wait()
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %s", took)
	}
	started(t, starts)
}

func TestDefaultsWithoutABinary(t *testing.T) {
	t.Parallel()
	h := &Host{LookPath: func(string) (string, error) { return "", exec.ErrNotFound }}
	if _, err := h.Defaults(t.Context(), []string{"timeout"}); err == nil || !strings.Contains(err.Error(), "apt-get install redis-server") {
		t.Errorf("error is %v", err)
	}
}
