package host

import (
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"rsm/internal/redistest"
	"rsm/reconcile"
	"rsm/schema"
)

const stopSignal = syscall.SIGSTOP

func TestCheckConfig(t *testing.T) {
	t.Parallel()
	var h Host
	good := map[string]string{"save": "900 1 300 10", "maxmemory": "1gb", "appendonly": "yes", "replica-priority": "10",
		"client-output-buffer-limit": "normal 0 0 0 replica 1mb 1mb 60", "notify-keyspace-events": "KEA", "proc-title-template": "{title} x"}
	if bad, err := h.CheckConfig(t.Context(), good); err != nil || bad != nil {
		t.Errorf("good: %v, %v", bad, err)
	}
	config := maps.Clone(good)
	maps.Copy(config, map[string]string{"maxmemroy": "1gb", "hz": "often", "save": "900", "appendfsync": "a\nb"})
	for range 2 { // the second is cached
		bad, err := h.CheckConfig(t.Context(), config)
		if err != nil || len(bad) != 4 || bad["maxmemroy"] != "Bad directive or wrong number of arguments" ||
			!strings.Contains(bad["hz"], "integer") || bad["save"] == "" || bad["appendfsync"] == "" {
			t.Errorf("bad: %q, %v", bad, err)
		}
		delete(bad, "hz") // the caller's own
	}
}

func TestMissingBinary(t *testing.T) {
	t.Parallel()
	h := &Host{Dir: t.TempDir(), LookPath: func(string) (string, error) { return "", exec.ErrNotFound }}
	const want = "redis-server is not on PATH: apt-get install redis-server (or set PATH)"
	ref := redisRef("r1", redistest.Ports(t, 1)[0])
	if p := h.Process(t.Context(), ref); p.BinaryErr != want || p.Binary != "" {
		t.Errorf("process: %+v", p)
	}
	if _, err := h.CheckConfig(t.Context(), nil); err == nil || err.Error() != want {
		t.Errorf("check: %v", err)
	}
	if err := h.Start(t.Context(), reconcile.StartRole{Role: ref}); err == nil || err.Error() != "start r1: "+want {
		t.Errorf("start: %v", err)
	}
	if len(h.Clusters()) != 0 {
		t.Error("a refused start left files")
	}
}

func TestData(t *testing.T) {
	t.Parallel()
	empty := redistest.Start(t)
	empty.Do("SAVE")
	full := redistest.Start(t)
	full.Do("SET", "key", "value")
	full.Do("SAVE")
	functions := redistest.Start(t)
	functions.Do("FUNCTION", "LOAD", "#!lua name=l\nredis.register_function('f', function() return 1 end)")
	functions.Do("SAVE")
	appended := redistest.Start(t, "appendonly yes")
	read := func(path string) string {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	keys := read(filepath.Join(full.Dir, "dump.rdb"))
	for name, tt := range map[string]struct {
		files map[string]string
		want  reconcile.Presence
	}{
		"no directory":  {nil, reconcile.No},
		"empty rdb":     {map[string]string{"dump.rdb": read(filepath.Join(empty.Dir, "dump.rdb"))}, reconcile.No},
		"rdb":           {map[string]string{"dump.rdb": keys}, reconcile.Yes},
		"renamed rdb":   {map[string]string{"mine": keys}, reconcile.Yes},
		"functions":     {map[string]string{"dump.rdb": read(filepath.Join(functions.Dir, "dump.rdb"))}, reconcile.Yes},
		"cut rdb":       {map[string]string{"dump.rdb": keys[:20]}, reconcile.Yes},
		"temporary rdb": {map[string]string{"temp-1.rdb": keys}, reconcile.No},
		"zero rdb":      {map[string]string{"dump.rdb": ""}, reconcile.No},
		"old aof":       {map[string]string{"appendonly.aof": "*1"}, reconcile.Yes},
		"new aof":       {map[string]string{"appendonlydir/appendonly.aof.1.incr.aof": "*1"}, reconcile.Yes},
		"fresh aof": {map[string]string{
			"appendonlydir/appendonly.aof.manifest":   read(filepath.Join(appended.Dir, "appendonlydir/appendonly.aof.manifest")),
			"appendonlydir/appendonly.aof.1.base.rdb": read(filepath.Join(appended.Dir, "appendonlydir/appendonly.aof.1.base.rdb")),
			"appendonlydir/appendonly.aof.1.incr.aof": read(filepath.Join(appended.Dir, "appendonlydir/appendonly.aof.1.incr.aof")),
		}, reconcile.No},
	} {
		h, ref := &Host{Dir: t.TempDir()}, redisRef("r1", 1)
		for file, text := range tt.files {
			if err := writeFile(h.roleDir(ref, "data", file), []byte(text)); err != nil {
				t.Fatal(err)
			}
		}
		if got := h.data(ref); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}

// TestStartKeepsWhatItDrops: the files of a role that is about to lose them are
// copied first, whatever becomes of the start.
func TestStartKeepsWhatItDrops(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	ref := redisRef("r1", redistest.Ports(t, 1)[0])
	file := filepath.Join(h.roleDir(ref, "data"), "appendonlydir", "a.aof")
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("the only copy"), 0o600); err != nil {
		t.Fatal(err)
	}
	_ = h.Start(t.Context(), reconcile.StartRole{Role: ref, Follow: "127.0.0.1:1", Drops: true})
	kept, err := filepath.Glob(filepath.Join(h.Dir, "copies", "cache", "r1-files-*", "appendonlydir", "a.aof"))
	if err != nil || len(kept) != 1 {
		t.Fatalf("kept %v, %v", kept, err)
	}
	if text, err := os.ReadFile(kept[0]); string(text) != "the only copy" {
		t.Errorf("kept %q, %v", text, err)
	}
}

func TestKeep(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	s.Do("SET", "key", "value")
	s.Do("SAVE")
	h, ref := &Host{Dir: t.TempDir()}, redisRef("r1", s.Port())
	id := s.Info("master_replid")
	rdb := filepath.Join(s.Dir, "dump.rdb")
	if h.Kept(ref, id, 7) {
		t.Error("kept before Keep")
	}
	path, err := h.Keep(ref, rdb, id, 7)
	if err != nil || path != filepath.Join(h.Dir, "copies", "cache", "r1-"+id[:8]+"-7.rdb") {
		t.Fatalf("Keep = %s, %v", path, err)
	}
	if !h.Kept(ref, id, 7) || h.Kept(ref, id, 8) || h.Kept(redisRef("r2", 1), id, 7) {
		t.Error("Kept knows another data set")
	}
	text, err := os.ReadFile(rdb)
	if err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(t.TempDir(), "broken.rdb")
	if err := os.WriteFile(broken, text[:len(text)-4], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Keep(ref, broken, id, 9); err == nil || h.Kept(ref, id, 9) {
		t.Errorf("a broken file was kept: %v", err)
	}
	for _, id := range []string{"", "../../../../x", "abc"} {
		if _, err := h.Keep(ref, rdb, id, 7); err == nil {
			t.Errorf("kept as %q", id)
		}
	}
	bare := &Host{Dir: t.TempDir(), LookPath: func(string) (string, error) { return "", exec.ErrNotFound }}
	if _, err := bare.Keep(ref, rdb, id, 7); err != nil {
		t.Errorf("without redis-check-rdb: %v", err)
	}
	if _, err := bare.Keep(ref, s.Config, id, 8); err == nil {
		t.Error("a text file was kept")
	}
	if left, _ := filepath.Glob(filepath.Join(h.Dir, "copies", "cache", ".*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestRegistration(t *testing.T) {
	t.Parallel()
	h := &Host{Dir: t.TempDir()}
	if r, err := h.Record("cache"); r != nil || err != nil {
		t.Errorf("before: %v, %v", r, err)
	}
	want := reconcile.Registration{Cluster: "cache", Epoch: 3, Master: "127.0.0.1:1", Replicas: []schema.Addr{"127.0.0.1:2"}}
	if err := h.Publish(want); err != nil {
		t.Fatal(err)
	}
	if r, err := h.Record("cache"); err != nil || !reflect.DeepEqual(*r, want) {
		t.Errorf("Record = %+v, %v", r, err)
	}
	if err := os.WriteFile(h.registrationPath("cache"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Record("cache"); err == nil {
		t.Error("half a file is read")
	}
	if err := h.Publish(reconcile.Registration{Cluster: "../x"}); err == nil {
		t.Error("published outside")
	}
}

func TestSurplusForgetPurge(t *testing.T) {
	t.Parallel()
	ports := redistest.Ports(t, 2)
	h, r1, r2 := newHost(t), redisRef("r1", ports[0]), redisRef("r2", ports[1])
	mustStart(t, h, reconcile.StartRole{Role: r1})
	mustStart(t, h, reconcile.StartRole{Role: r2})
	pid := h.Process(t.Context(), r2).PID
	want := []reconcile.SurplusRole{{Name: "r2", Kind: reconcile.KindRedis, Addr: r2.Addr, Running: true, PID: pid}}
	if got := h.Surplus("cache", []string{"r1"}); !reflect.DeepEqual(got, want) {
		t.Errorf("Surplus = %+v", got)
	}
	if err := h.Forget(r2); err == nil {
		t.Error("forgot a running role")
	}
	if err := h.Purge("cache"); err == nil {
		t.Error("purged a running cluster")
	}
	mustStop(t, h, r2)
	if err := h.Forget(r2); err != nil {
		t.Error(err)
	}
	if got := h.Surplus("cache", []string{"r1"}); len(got) != 0 {
		t.Errorf("forgotten: %+v", got)
	}
	if _, err := os.Stat(h.roleDir(r2, "data")); err != nil {
		t.Errorf("data of a forgotten role: %v", err)
	}
	lost := h.roleDir(r1, "role.json")
	record, err := os.ReadFile(lost)
	if err := errors.Join(err, os.Remove(lost)); err != nil {
		t.Fatal(err)
	}
	if err := h.Purge("cache"); err == nil || !strings.Contains(err.Error(), "works in") {
		t.Errorf("purge over a process whose record is lost: %v", err)
	}
	if err := writeFile(lost, record); err != nil {
		t.Fatal(err)
	}
	mustStop(t, h, r1)
	for _, name := range []string{"", ".", "..", "../cache", "a/b"} {
		if err := h.Purge(name); err == nil {
			t.Errorf("purged %q", name)
		}
	}
	if err := h.Purge("cache"); err != nil || len(h.Clusters()) != 0 {
		t.Errorf("Purge: %v, clusters %v", err, h.Clusters())
	}
}

func TestLockSaysWho(t *testing.T) {
	t.Parallel()
	h := &Host{Dir: filepath.Join(t.TempDir(), "new"), Now: func() time.Time { return time.Unix(0, 0) }}
	lock, err := h.Lock(t.Context(), "rsm apply")
	if err != nil {
		t.Fatal(err)
	}
	if err := lock.Release(); err != nil {
		t.Error(err)
	}
}
