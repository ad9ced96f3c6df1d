package execute_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rsm/internal/redistest"
	"rsm/reconcile"
	"rsm/reconcile/execute"
)

// machine records what it was asked, and keeps copies in dir.
type machine struct {
	dir   string
	calls []string
	err   error
}

func (m *machine) Start(_ context.Context, a reconcile.StartRole) error {
	m.calls = append(m.calls, "start "+a.Role.Name)
	return m.err
}

func (m *machine) Stop(_ context.Context, a reconcile.StopRole) error {
	m.calls = append(m.calls, "stop "+a.Role.Name)
	return m.err
}

func (m *machine) Reload(_ context.Context, a reconcile.ReloadRole) error {
	m.calls = append(m.calls, "reload "+a.Role.Name)
	return m.err
}

func (m *machine) Publish(r reconcile.Registration) error {
	m.calls = append(m.calls, "publish "+r.Cluster)
	return m.err
}

func (m *machine) Keep(role reconcile.RoleRef, path, replid string, offset int64) (string, error) {
	m.calls = append(m.calls, fmt.Sprintf("keep %s %s %d", role.Name, replid, offset))
	content, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	kept := filepath.Join(m.dir, "kept.rdb")
	return kept, errors.Join(m.err, os.WriteFile(kept, content, 0o600))
}

func TestHostActions(t *testing.T) {
	t.Parallel()
	actions := map[string]reconcile.Action{
		"start r1":      reconcile.StartRole{Role: reconcile.RoleRef{Name: "r1"}},
		"stop r1":       reconcile.StopRole{Role: reconcile.RoleRef{Name: "r1"}},
		"reload p1":     reconcile.ReloadRole{Role: reconcile.RoleRef{Name: "p1"}},
		"publish cache": reconcile.Publish{Registration: reconcile.Registration{Cluster: "cache"}},
	}
	for want, action := range actions {
		m := &machine{}
		must(t, &execute.Executor{Host: m}, action)
		if strings.Join(m.calls, ",") != want {
			t.Errorf("%T called %v", action, m.calls)
		}
		m.err = errors.New("disk full")
		if err := do(t, &execute.Executor{Host: m}, action); !errors.Is(err, m.err) {
			t.Errorf("%T: error is %v", action, err)
		}
		if err := do(t, &execute.Executor{}, action); !errors.Is(err, execute.ErrNoHost) {
			t.Errorf("%T without a host: error is %v", action, err)
		}
	}
}

func snapshotOf(t *testing.T, s *redistest.Server) reconcile.Snapshot {
	t.Helper()
	return reconcile.Snapshot{
		Role:   reconcile.RoleRef{Cluster: "cache", Name: "r1", Kind: reconcile.KindRedis, Addr: addr(s)},
		ReplID: s.Info("master_replid"),
	}
}

// TestSnapshot keeps a copy, also right after another save and with a background
// save under way, and the copy has the data.
func TestSnapshot(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "rdbcompression no", "rdb-key-save-delay 2000", "enable-debug-command yes")
	server.Do("DEBUG", "POPULATE", "100", "key")
	server.Do("SAVE")
	server.Do("SET", "needle", "in-the-haystack")
	server.Do("BGSAVE")
	m := &machine{dir: t.TempDir()}
	action := snapshotOf(t, server)
	must(t, &execute.Executor{Host: m}, action)
	if want := fmt.Sprintf("keep r1 %s %s", action.ReplID, server.Info("rdb_last_save_time")); strings.Join(m.calls, ",") != want {
		t.Errorf("called %v, want %s", m.calls, want)
	}
	if !strings.Contains(readFile(t, filepath.Join(m.dir, "kept.rdb")), "in-the-haystack") {
		t.Error("the copy lacks what was written before it")
	}
}

// TestSnapshotOfAnotherDataSet: a copy under a wrong name is worse than none.
func TestSnapshotOfAnotherDataSet(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	action := snapshotOf(t, server)
	m := &machine{dir: t.TempDir()}
	e := &execute.Executor{Host: m}
	action.ReplID = "0123456789012345678901234567890123456789"
	if err := do(t, e, action); err == nil || !strings.Contains(err.Error(), "history") {
		t.Errorf("other history: error is %v", err)
	}
	if len(m.calls) != 0 {
		t.Errorf("called %v", m.calls)
	}
}

// TestSnapshotWhileWritten: a write during the save is noticed.
func TestSnapshotWhileWritten(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "rdb-key-save-delay 5000", "enable-debug-command yes")
	server.Do("DEBUG", "POPULATE", "200", "key")
	action := snapshotOf(t, server)
	written := make(chan error, 1)
	go func() {
		deadline := time.Now().Add(10 * time.Second)
		for time.Now().Before(deadline) {
			if text, err := server.TryDo("INFO"); err != nil || strings.Contains(fmt.Sprint(text), "rdb_bgsave_in_progress:1") {
				_, err = server.TryDo("SET", "late", "1")
				written <- err
				return
			}
		}
		written <- errors.New("no save was seen")
	}()
	m := &machine{dir: t.TempDir()}
	err := do(t, &execute.Executor{Host: m}, action)
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	if err == nil || len(m.calls) != 0 {
		t.Errorf("error is %v, calls %v", err, m.calls)
	}
}

// TestSnapshotThatCannotBeSaved names the reason within the save's own time.
func TestSnapshotThatCannotBeSaved(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	server.Do("SET", "a", "1")
	// The name of the RDB file is taken by a folder, which rename(2) refuses.
	if err := os.MkdirAll(filepath.Join(server.Dir, "dump.rdb", "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	err := do(t, &execute.Executor{Host: &machine{dir: t.TempDir()}}, snapshotOf(t, server))
	if err == nil || !strings.Contains(err.Error(), "save r1: BGSAVE: it saved nothing") {
		t.Errorf("error is %v", err)
	}
}
