package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"rsm/internal/redistest"
	"rsm/internal/supervise"
	"rsm/reconcile"
	"rsm/schema"
)

// helperVar makes the test binary start one role and exit, as rsm does.
const helperVar = "HOST_HELPER_DIR"

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "proxy" {
		fmt.Fprintln(os.Stderr, fakeProxy(os.Args[len(os.Args)-1]))
		os.Exit(1)
	}
	if len(os.Args) > 2 && os.Args[1] == "dispatcher" {
		fmt.Fprintln(os.Stderr, fakeDispatcher(os.Args[len(os.Args)-1]))
		os.Exit(1)
	}
	dir := os.Getenv(helperVar)
	if dir == "" {
		os.Exit(m.Run())
	}
	port, _ := strconv.Atoi(os.Args[1])
	h := &Host{Dir: dir}
	if err := h.Start(context.Background(), reconcile.StartRole{Role: redisRef("r1", port)}); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func redisRef(name string, port int) reconcile.RoleRef {
	return reconcile.RoleRef{Cluster: "cache", Name: name, Kind: reconcile.KindRedis, Addr: schema.NewAddr("127.0.0.1", port)}
}

func sentinelRef(name string, port int) reconcile.RoleRef {
	ref := redisRef(name, port)
	ref.Kind = reconcile.KindSentinel
	return ref
}

// newHost returns a host whose roles are stopped with the test.
func newHost(t *testing.T) *Host {
	t.Helper()
	h := &Host{Dir: t.TempDir(), Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	t.Cleanup(func() {
		for _, cluster := range h.Clusters() {
			for _, r := range h.Roles(cluster) {
				ref := reconcile.RoleRef{Cluster: cluster, Name: r.Name}
				if err := h.Stop(context.Background(), reconcile.StopRole{Role: ref, NoSave: true}); err != nil {
					t.Error(err)
				}
			}
		}
	})
	return h
}

func mustStart(t *testing.T, h *Host, a reconcile.StartRole) {
	t.Helper()
	if err := h.Start(t.Context(), a); err != nil {
		t.Fatal(err)
	}
}

func mustStop(t *testing.T, h *Host, ref reconcile.RoleRef) {
	t.Helper()
	if err := h.Stop(t.Context(), reconcile.StopRole{Role: ref}); err != nil {
		t.Fatal(err)
	}
}

// do waits until the server is past loading.
func do(t *testing.T, ref reconcile.RoleRef, args ...string) (reply any) {
	t.Helper()
	redistest.Wait(t, 10*time.Second, func() (err error) {
		reply, err = redistest.Do(string(ref.Addr), args...)
		return err
	})
	return reply
}

func confText(t *testing.T, h *Host, ref reconcile.RoleRef) string {
	t.Helper()
	text, err := os.ReadFile(h.confPath(ref))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestLocal(t *testing.T) {
	t.Parallel()
	var h Host
	for addr, want := range map[schema.Addr]bool{
		"127.0.0.1:1": true, "127.3.2.1:1": true, "[::1]:1": true, "localhost:1": true,
		"203.0.113.7:1": false, "[2001:db8::1]:1": false, "example.org:1": false, "": false,
	} {
		if got := h.Local(addr); got != want {
			t.Errorf("Local(%q) = %v", addr, got)
		}
	}
}

func TestStartStopStart(t *testing.T) {
	t.Parallel()
	h, ref := newHost(t), redisRef("r1", redistest.Ports(t, 1)[0])
	ctx := t.Context()
	if p := h.Process(ctx, ref); !p.Local || p.Running || p.Data != reconcile.No || p.Foreign != "" || p.BinaryErr != "" ||
		!strings.Contains(p.Binary, ".") {
		t.Errorf("before: %+v", p)
	}
	start := reconcile.StartRole{Role: ref, Config: map[string]string{
		"save": "900 1 300 10", "maxmemory": "12mb", "notify-keyspace-events": "",
		"client-output-buffer-limit": "normal 0 0 0 replica 256mb 64mb 60 pubsub 32mb 8mb 60",
	}}
	mustStart(t, h, start)
	p := h.Process(ctx, ref)
	if !p.Running || p.PID == 0 || p.Foreign != "" || p.Binary != "" {
		t.Errorf("running: %+v", p)
	}
	want := []any{"save", "900 1 300 10"}
	if got := do(t, ref, "CONFIG", "GET", "save"); !slices.Equal(got.([]any), want) {
		t.Errorf("CONFIG GET save = %v", got)
	}
	if err := h.Start(ctx, start); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("runs already on %s (pid %d)", ref.Addr, p.PID)) {
		t.Errorf("second start: %v", err)
	}
	do(t, ref, "SET", "key", "value")
	mustStop(t, h, ref)
	mustStop(t, h, ref) // again: nothing to do
	if p := h.Process(ctx, ref); p.Running || p.Data != reconcile.Yes {
		t.Errorf("stopped: %+v", p)
	}
	mustStart(t, h, start)
	if got := do(t, ref, "GET", "key"); got != "value" {
		t.Errorf("after a restart GET key = %v", got)
	}
}

func TestFoundAgainByAnotherRun(t *testing.T) {
	t.Parallel()
	h, port := newHost(t), redistest.Ports(t, 1)[0]
	cmd := exec.Command(os.Args[0], strconv.Itoa(port))
	cmd.Env = append(os.Environ(), helperVar+"="+h.Dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	p := h.Process(t.Context(), redisRef("r1", port))
	if !p.Running || p.PID == 0 {
		t.Fatalf("not found: %+v", p)
	}
	if got := do(t, redisRef("r1", port), "PING"); got != "PONG" {
		t.Errorf("PING = %v", got)
	}
}

func TestAdopt(t *testing.T) {
	t.Parallel()
	ports := redistest.Ports(t, 2)
	h, ref := newHost(t), redisRef("r1", ports[0])
	mustStart(t, h, reconcile.StartRole{Role: ref, Config: map[string]string{"maxmemory": "12mb"}})
	pid := h.Process(t.Context(), ref).PID
	if err := os.Remove(h.roleDir(ref, "role.json")); err != nil {
		t.Fatal(err)
	}
	if p := h.Process(t.Context(), ref); p.Running || p.Foreign != fmt.Sprintf("redis-server (pid %d)", pid) {
		t.Errorf("record lost: %+v", p)
	}
	for name, adopted := range map[string]bool{
		"other file":    h.Adopt(ref, "/etc/redis/redis.conf", pid),
		"no file":       h.Adopt(ref, "", pid),
		"other pid":     h.Adopt(ref, h.confPath(ref), os.Getpid()),
		"no pid":        h.Adopt(ref, h.confPath(ref), 0),
		"other address": h.Adopt(redisRef("r1", ports[1]), h.confPath(ref), pid),
	} {
		if adopted {
			t.Errorf("adopted: %s", name)
		}
	}
	if !h.Adopt(ref, h.confPath(ref), pid) {
		t.Fatal("not adopted")
	}
	if p := h.Process(t.Context(), ref); !p.Running || p.PID != pid {
		t.Errorf("adopted: %+v", p)
	}
}

func TestForeignProcessKeepsItsPort(t *testing.T) {
	t.Parallel()
	foreign := redistest.Start(t)
	h, ref := newHost(t), redisRef("r1", foreign.Port())
	want := fmt.Sprintf("redis-server (pid %d)", foreign.PID())
	if p := h.Process(t.Context(), ref); p.Foreign != want || p.Running {
		t.Errorf("process: %+v", p)
	}
	err := h.Start(t.Context(), reconcile.StartRole{Role: ref})
	if err == nil || err.Error() != "start r1: "+string(ref.Addr)+" is taken by "+want {
		t.Errorf("start: %v", err)
	}
	if len(h.Clusters()) != 0 {
		t.Error("a refused start left files")
	}
	foreign.Do("PING")
}

func TestStartFollows(t *testing.T) {
	t.Parallel()
	master := redistest.Start(t)
	h, ref := newHost(t), redisRef("r1", redistest.Ports(t, 1)[0])
	mustStart(t, h, reconcile.StartRole{Role: ref, Follow: schema.Addr(master.Addr())})
	redistest.Wait(t, 10*time.Second, redistest.Want("replicas", "1", func() string { return master.Info("connected_slaves") }))
	do(t, ref, "CONFIG", "REWRITE")
	mustStop(t, h, ref)
	mustStart(t, h, reconcile.StartRole{Role: ref})
	if role := do(t, ref, "ROLE").([]any)[0]; role != "master" {
		t.Errorf("role %v after a start that follows nobody", role)
	}
}

func TestRestartTakesOutWhatTheSpecDrops(t *testing.T) {
	t.Parallel()
	h, ref := newHost(t), redisRef("r1", redistest.Ports(t, 1)[0])
	mustStart(t, h, reconcile.StartRole{Role: ref, Config: map[string]string{"maxmemory": "12mb", "hz": "20"}})
	do(t, ref, "CONFIG", "SET", "lfu-decay-time", "7") // by a human
	do(t, ref, "CONFIG", "REWRITE")
	mustStop(t, h, ref)
	mustStart(t, h, reconcile.StartRole{Role: ref, Config: map[string]string{"hz": "30"}})
	for key, want := range map[string]string{"maxmemory": "0", "hz": "30", "lfu-decay-time": "7"} {
		if got := do(t, ref, "CONFIG", "GET", key).([]any)[1]; got != want {
			t.Errorf("%s = %v, want %s", key, got, want)
		}
	}
}

func TestPasswords(t *testing.T) {
	const first, second = `a b"c\'d`, "new"
	h, ref := newHost(t), redisRef("r1", redistest.Ports(t, 1)[0])
	t.Setenv("HOST_TEST_PASSWORD", first)
	start := reconcile.StartRole{Role: ref, Auth: schema.Auth{Password: &schema.Secret{Env: "HOST_TEST_PASSWORD"}}}
	mustStart(t, h, start)
	if _, err := redistest.Do(string(ref.Addr), "PING"); err == nil || !strings.HasPrefix(err.Error(), "NOAUTH") {
		t.Errorf("PING without a password: %v", err)
	}
	if got := do(t, ref, "AUTH", first); got != "OK" {
		t.Errorf("AUTH = %v", got)
	}
	mustStop(t, h, ref)
	// What CONFIG REWRITE leaves behind would win over requirepass.
	text := confText(t, h, ref) + "user default on sanitize-payload #00000000000000000000000000000000000000000000000000000000deadbeef ~* &* +@all\n"
	if err := writeFile(h.confPath(ref), []byte(text)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOST_TEST_PASSWORD", second)
	mustStart(t, h, start)
	if got := do(t, ref, "AUTH", second); got != "OK" {
		t.Errorf("AUTH = %v", got)
	}
	for _, file := range []string{"redis.conf", "role.json", "log"} {
		if info, err := os.Stat(h.roleDir(ref, file)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", file, info.Mode(), err)
		}
	}
	mustStop(t, h, ref)
	t.Setenv("HOST_TEST_PASSWORD", "")
	before := confText(t, h, ref)
	if err := h.Start(t.Context(), start); err == nil || !strings.Contains(err.Error(), "HOST_TEST_PASSWORD is not set") {
		t.Errorf("start without the secret: %v", err)
	}
	if confText(t, h, ref) != before {
		t.Error("a refused start changed the configuration")
	}
}

func TestStartSaysWhyItEnded(t *testing.T) {
	t.Setenv("HOST_TEST_PASSWORD", "swordfish")
	h, ref := newHost(t), redisRef("r1", redistest.Ports(t, 1)[0])
	start := reconcile.StartRole{Role: ref, Config: map[string]string{"maxmemory": "lots"},
		Auth: schema.Auth{Password: &schema.Secret{Env: "HOST_TEST_PASSWORD"}}}
	err := h.Start(t.Context(), start)
	if err == nil || !strings.Contains(err.Error(), ">>> 'maxmemory lots'; argument must be a memory value") {
		t.Errorf("bad directive: %v", err)
	}
	if p := h.Process(t.Context(), ref); p.Running {
		t.Errorf("process %+v", p)
	}
	start.Config = nil
	if err := os.WriteFile(h.roleDir(ref, "data", "dump.rdb"), []byte("REDIS0010 and garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := h.Start(t.Context(), start); err == nil || !strings.Contains(err.Error(), "it ended at once: ") {
		t.Errorf("bad data: %v", err)
	}
	if p := h.Process(t.Context(), ref); p.Data != reconcile.Yes {
		t.Errorf("data %s, want yes", p.Data)
	}
	p := passwords{redis: `sword "fish"`, sentinel: "s2"}
	if got := p.redact(`>>> 'requirepass "sword \"fish\""' s2`); strings.Contains(got, "fish") || strings.Contains(got, "s2") {
		t.Errorf("redacted: %s", got)
	}
}

func TestSentinelKeepsItsState(t *testing.T) {
	t.Setenv("HOST_TEST_PASSWORD", "swordfish")
	master := redistest.Start(t)
	h, ref := newHost(t), sentinelRef("s1", redistest.Ports(t, 1)[0])
	start := reconcile.StartRole{Role: ref}
	mustStart(t, h, start)
	id := do(t, ref, "SENTINEL", "MYID")
	do(t, ref, "SENTINEL", "MONITOR", "cache", "127.0.0.1", strconv.Itoa(master.Port()), "1")
	mustStop(t, h, ref)
	start.Auth.SentinelPassword = &schema.Secret{Env: "HOST_TEST_PASSWORD"}
	mustStart(t, h, start)
	if _, err := redistest.Do(string(ref.Addr), "SENTINEL", "MYID"); err == nil {
		t.Error("no password is needed")
	}
	mustStop(t, h, ref)
	start.Auth.SentinelPassword = nil
	mustStart(t, h, start)
	if got := do(t, ref, "SENTINEL", "MYID"); got != id {
		t.Errorf("myid %v, before %v", got, id)
	}
	if got := do(t, ref, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", "cache"); !slices.Equal(got.([]any), []any{"127.0.0.1", strconv.Itoa(master.Port())}) {
		t.Errorf("master %v", got)
	}
	if p := h.Process(t.Context(), ref); p.Data != reconcile.No || !p.Running {
		t.Errorf("process %+v", p)
	}
}

func TestStopNeverKillsUnasked(t *testing.T) {
	t.Parallel()
	h, ref := newHost(t), redisRef("r1", redistest.Ports(t, 1)[0])
	h.StopGrace = 100 * time.Millisecond
	mustStart(t, h, reconcile.StartRole{Role: ref})
	do(t, ref, "SET", "key", "value")
	pid := h.Process(t.Context(), ref).PID
	process, err := os.FindProcess(pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Signal(stopSignal); err != nil {
		t.Fatal(err)
	}
	if err := h.Stop(t.Context(), reconcile.StopRole{Role: ref}); !errors.Is(err, supervise.ErrRunning) {
		t.Errorf("stop of a hung server: %v", err)
	}
	if !h.Process(t.Context(), ref).Running {
		t.Error("it was killed")
	}
	if err := h.Stop(t.Context(), reconcile.StopRole{Role: ref, NoSave: true}); err != nil {
		t.Error(err)
	}
	if p := h.Process(t.Context(), ref); p.Running || p.Data != reconcile.No {
		t.Errorf("after NoSave: %+v", p)
	}
}

func TestAppendonlyNeverStartsWithoutItsData(t *testing.T) {
	t.Parallel()
	h, ref := newHost(t), redisRef("r1", redistest.Ports(t, 1)[0])
	step := func(appendonly, want string) {
		t.Helper()
		mustStart(t, h, reconcile.StartRole{Role: ref, Config: map[string]string{"appendonly": appendonly, "save": "900 1"}})
		if got := do(t, ref, "CONFIG", "GET", "appendonly").([]any)[1]; got != want {
			t.Errorf("started with %s: appendonly is %v, want %s", appendonly, got, want)
		}
		if got := do(t, ref, "EXISTS", "key"); got != int64(1) {
			t.Fatalf("started with %s: the key is gone", appendonly)
		}
	}
	live := func(value string) {
		t.Helper()
		do(t, ref, "CONFIG", "SET", "appendonly", value)
		do(t, ref, "CONFIG", "REWRITE")
		do(t, ref, "SET", "after", value)
	}
	mustStart(t, h, reconcile.StartRole{Role: ref, Config: map[string]string{"appendonly": "no", "save": "900 1"}})
	do(t, ref, "SET", "key", "value")
	mustStop(t, h, ref)
	step("yes", "no") // an RDB file only
	live("yes")
	mustStop(t, h, ref)
	step("yes", "yes")
	mustStop(t, h, ref)
	step("no", "yes")
	live("no") // leaves an AOF that gets old
	mustStop(t, h, ref)
	step("yes", "no")
	if got := do(t, ref, "GET", "after"); got != "no" {
		t.Errorf("GET after = %v: an old file was loaded", got)
	}
	mustStop(t, h, ref)
	err := h.Start(t.Context(), reconcile.StartRole{Role: ref, Config: map[string]string{"dbfilename": "other.rdb"}})
	if err == nil || !strings.Contains(err.Error(), "under dbfilename dump.rdb") {
		t.Errorf("start with another file name: %v", err)
	}
	if err := os.Remove(h.confPath(ref)); err != nil {
		t.Fatal(err)
	}
	step("no", "yes") // the file is lost, the AOF is there
}

func TestDirectivesBeyondLoopback(t *testing.T) {
	t.Parallel()
	h := &Host{Dir: "/state"}
	text := func(kind reconcile.Kind, config map[string]string, p passwords) string {
		ref := reconcile.RoleRef{Cluster: "cache", Name: "n", Kind: kind, Addr: "[2001:db8::1]:7000"}
		var lines []string
		for _, d := range h.directives(reconcile.StartRole{Role: ref, Config: config, Follow: "10.0.0.2:7001"}, p) {
			lines = append(lines, d.line())
		}
		return strings.Join(lines, "\n")
	}
	const common = "port 7000\nbind 2001:db8::1\ndir /state/clusters/cache/n/data\ndaemonize no\nlogfile \"\"\n"
	for name, tt := range map[string]struct{ got, want string }{
		"redis": {text(reconcile.KindRedis, nil, passwords{}), common + "replica-announce-ip 2001:db8::1\n" +
			"replica-announce-port 7000\nprotected-mode no\nreplicaof 10.0.0.2 7001"},
		"redis with password": {text(reconcile.KindRedis, map[string]string{"hz": "7"}, passwords{redis: "p q"}), "hz 7\n" + common +
			"replica-announce-ip 2001:db8::1\nreplica-announce-port 7000\nreplicaof 10.0.0.2 7001\n" +
			"requirepass \"p q\"\nmasterauth \"p q\""},
		"protected by the spec": {text(reconcile.KindRedis, map[string]string{"protected-mode": "yes"}, passwords{}), "protected-mode yes\n" + common +
			"replica-announce-ip 2001:db8::1\nreplica-announce-port 7000\nreplicaof 10.0.0.2 7001"},
		"sentinel": {text(reconcile.KindSentinel, nil, passwords{redis: "p", sentinel: "s"}), common +
			"sentinel announce-ip 2001:db8::1\nsentinel announce-port 7000\nrequirepass s\nsentinel sentinel-pass s"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, tt.got, tt.want)
		}
	}
}

func TestLogTail(t *testing.T) {
	t.Parallel()
	h, ref := &Host{Dir: t.TempDir()}, redisRef("r1", 1)
	if got := h.LogTail(ref, 3); len(got) != 0 {
		t.Errorf("no log: %q", got)
	}
	if err := writeFile(h.roleDir(ref, "log"), []byte(strings.Repeat("x\n", logWindow)+"a\n\nb\n")); err != nil {
		t.Fatal(err)
	}
	if got := h.LogTail(ref, 2); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("tail %q", got)
	}
}
