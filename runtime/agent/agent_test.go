package agent

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"rsm/internal/redistest"
	"rsm/runtime/bus"
	"rsm/schema"
)

// start runs an agent until the test ends or stop is called, which returns what
// Run returned.
func start(t *testing.T, a *Agent) (stop func() error) {
	t.Helper()
	a.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	if a.Role.Agent.Name == "" {
		a.Role.Agent.Name, a.Role.Agent.Host = "web1", "web1.example"
	}
	if a.Role.Agent.Interval == 0 {
		a.Role.Agent.Interval = 100 * time.Millisecond
	}
	ready := make(chan struct{})
	a.Ready = func() { close(ready) }
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatalf("ended: %v", err)
	}
	var result error
	stopped := false
	stop = func() error {
		if !stopped {
			stopped = true
			cancel()
			select {
			case result = <-ended:
			case <-time.After(10 * time.Second):
				t.Error("the agent does not end")
			}
		}
		return result
	}
	t.Cleanup(func() { _ = stop() })
	return stop
}

// events are the parsed entries of the stream.
func events(t *testing.T, server *redistest.Server, kind string) []bus.Event {
	t.Helper()
	reply, err := server.TryDo("XRANGE", bus.Stream, "-", "+")
	if err != nil {
		return nil
	}
	var list []bus.Event
	for _, entry := range reply.([]any) {
		e, err := bus.Parse([]byte(entry.([]any)[1].([]any)[1].(string)), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if e.Type == kind {
			list = append(list, e)
		}
	}
	return list
}

func waitEvents(t *testing.T, server *redistest.Server, kind string, n int) []bus.Event {
	t.Helper()
	var list []bus.Event
	redistest.Wait(t, 15*time.Second, func() error {
		if list = events(t, server, kind); len(list) < n {
			return fmt.Errorf("%d events of type %s", len(list), kind)
		}
		return nil
	})
	return list
}

func TestAgent(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	a := &Agent{redis: schema.Addr(server.Addr()), Version: "1.0", Digest: "abc", Role: schema.AgentRole{Agent: schema.Agent{
		Name: "web1", Host: "web1.example", Zone: "a", Interval: 100 * time.Millisecond, Tags: map[string]string{"team": "shop"}}}}
	rested := make(chan struct{}, 1000)
	a.Rest = func() { rested <- struct{}{} }
	stop := start(t, a)
	list := waitEvents(t, server, "monitoring", 3)
	e := list[2]
	for _, field := range []string{"cpu_usage", "mem_usage", "disk_usage"} {
		if n, ok := e.Fields[field].(float64); !ok || n < 0 || n > 100 {
			t.Errorf("%s is %v", field, e.Fields[field])
		}
	}
	if e.Host != "web1.example" || len(e.ID) != 26 || e.Fields["agent"] != "web1" || e.Fields["interval"] != 100.0 || e.Fields["v"] != 1.0 ||
		e.Fields["dropped"] != 0.0 || e.Fields["zone"] != "a" || e.Fields["tags"].(map[string]any)["team"] != "shop" {
		t.Errorf("event %s", e.Raw)
	}
	if gap := list[2].TS.Sub(list[1].TS); gap < 50*time.Millisecond || gap > 5*time.Second {
		t.Errorf("%s between two samples", gap)
	}
	for _, field := range []string{"cpu", "load", "memory", "swap", "disks", "uptime", "cores", "redis"} {
		if e.Fields[field] == nil {
			t.Errorf("%s is missing in %s", field, e.Raw)
		}
	}
	own := false
	for _, p := range e.Fields["redis"].([]any) {
		own = own || p.(map[string]any)["port"] == float64(server.Port())
	}
	if !own {
		t.Errorf("redis-server of port %d is not in %s", server.Port(), e.Raw)
	}
	var p bus.Presence
	if err := json.Unmarshal([]byte(server.Do("HGET", bus.Roles, "agent/web1").(string)), &p); err != nil {
		t.Fatal(err)
	}
	if p.Digest != "abc" || p.Version != "1.0" || p.PID != os.Getpid() || p.Every != 5*time.Second {
		t.Errorf("presence %+v", p)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if left := server.Do("HEXISTS", bus.Roles, "agent/web1"); left != int64(0) {
		t.Error("it is still in the list of roles")
	}
	if len(rested) == 0 {
		t.Error("it never rested")
	}
}

// What Redis could not take meanwhile comes later, with the times at which it was
// sampled, but for the oldest.
func TestRedisAway(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	a := &Agent{redis: schema.Addr(server.Addr()), Role: schema.AgentRole{Agent: schema.Agent{Outbox: 5}}}
	start(t, a)
	waitEvents(t, server, "monitoring", 2)
	server.Kill()
	redistest.Wait(t, 10*time.Second, func() error {
		if a.out.lost() < 3 {
			return fmt.Errorf("%d lost", a.out.lost())
		}
		return nil
	})
	server.Restart()
	list := waitEvents(t, server, "monitoring", 7)
	if list[0].TS.Add(300 * time.Millisecond).After(list[4].TS) {
		t.Errorf("times %s and %s", list[0].TS, list[4].TS)
	}
	if list[6].Fields["dropped"].(float64) < 3 {
		t.Errorf("dropped is not told: %s", list[6].Raw)
	}
}

// The last samples are sent at the end, also when Redis came back only then.
func TestLastFlush(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	a := &Agent{redis: schema.Addr(server.Addr())}
	stop := start(t, a)
	waitEvents(t, server, "monitoring", 1)
	server.Pause()
	redistest.Wait(t, 10*time.Second, func() error {
		if a.out.size() < 5 {
			return fmt.Errorf("%d wait", a.out.size())
		}
		return nil
	})
	server.Resume()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if a.out.size() != 0 {
		t.Errorf("%d samples are left", a.out.size())
	}
}

// An agent follows its cluster to the new master.
func TestAgentFailover(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, "ops", 2, 3)
	a := &Agent{Role: schema.AgentRole{Access: schema.Access{Cluster: "ops"}}}
	for _, sentinel := range cluster.Sentinels {
		a.Role.Access.Sentinels = append(a.Role.Access.Sentinels, schema.Addr(sentinel.Addr()))
	}
	start(t, a)
	before := len(waitEvents(t, cluster.Redis[1], "monitoring", 3))
	cluster.Redis[0].Pause()
	list := waitEvents(t, cluster.Redis[1], "monitoring", before+30)
	for i := 1; i < len(list); i++ {
		if gap := list[i].TS.Sub(list[i-1].TS); gap > time.Second {
			t.Errorf("%s without a sample in the stream of the new master", gap)
		}
	}
}

// INFO is more than 4 KiB, and all of it is read; of a server that is gone it is
// told that it is gone.
func TestNodes(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(secret, []byte("pw\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	server, guarded := redistest.Start(t), redistest.Start(t, "requirepass pw")
	sentinel := redistest.StartSentinel(t, fmt.Sprintf("sentinel monitor cache 127.0.0.1 %d 1", guarded.Port()))
	silent := redistest.StartFake(t, func([]string) redistest.Reply { return redistest.Hang() })
	a := &Agent{redis: schema.Addr(server.Addr()), Role: schema.AgentRole{Agent: schema.Agent{Nodes: []schema.AgentNode{
		{Cluster: "ops", Name: "r1", Addr: schema.Addr(server.Addr())},
		{Cluster: "cache", Name: "r2", Addr: schema.Addr(guarded.Addr()), Password: &schema.Secret{File: secret}},
		{Cluster: "cache", Name: "noauth", Addr: schema.Addr(guarded.Addr())},
		{Cluster: "cache", Name: "s1", Addr: schema.Addr(sentinel.Addr()), Sentinel: true},
		{Cluster: "cache", Name: "silent", Addr: schema.Addr(silent.Addr())},
		{Cluster: "cache", Name: "gone", Addr: schema.Addr(fmt.Sprintf("127.0.0.1:%d", redistest.Ports(t, 1)[0]))},
	}}}}
	start(t, a)
	byName := map[any]map[string]any{}
	for _, e := range waitEvents(t, server, "redis", 6) {
		byName[e.Fields["node"]] = e.Fields
	}
	if info := server.Do("INFO").(string); len(info) <= 4096 {
		t.Fatalf("INFO has %d bytes", len(info))
	}
	for _, name := range []string{"r1", "r2"} {
		for i, f := range figures[:17] {
			if _, ok := byName[name][f.name].(float64); !ok {
				t.Errorf("%s: figure %d, %s, is missing in %v", name, i, f.name, byName[name])
			}
		}
		if byName[name]["up"] != 1.0 || byName[name]["role"] != "master" || byName[name]["keys"] == nil || byName[name]["replication_offset"] == nil {
			t.Errorf("%s says %v", name, byName[name])
		}
	}
	if s := byName["s1"]; s["up"] != 1.0 || s["sentinel"] != true || s["sentinel_masters"] != 1.0 {
		t.Errorf("Sentinel says %v", s)
	}
	for name, want := range map[string]string{"noauth": "NOAUTH", "silent": "no answer within 2s", "gone": "connection refused"} {
		if e := byName[name]; e["up"] != 0.0 || !strings.Contains(fmt.Sprint(e["error"]), want) || e["used_memory"] != nil {
			t.Errorf("%s says %v, want %s", name, e, want)
		}
	}
}

func TestPrometheus(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	addr := schema.Addr(fmt.Sprintf("127.0.0.1:%d", redistest.Ports(t, 1)[0]))
	a := &Agent{redis: schema.Addr(server.Addr()), Role: schema.AgentRole{Agent: schema.Agent{Metrics: addr,
		Nodes: []schema.AgentNode{{Cluster: "ops", Name: "r1", Addr: schema.Addr(server.Addr())}}}}}
	start(t, a)
	waitEvents(t, server, "redis", 1)
	waitEvents(t, server, "monitoring", 2)
	response, err := http.Get("http://" + string(addr) + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"rsm_host_cpu_usage", "rsm_host_mem_usage", "rsm_host_disk_usage", "rsm_host_load1", "rsm_host_mount_usage",
		"rsm_redis_up", "rsm_redis_used_memory", "rsm_redis_keyspace_hits", "rsm_host_dropped_total"} {
		if families[name] == nil {
			t.Errorf("%s is missing", name)
		}
	}
	if labels := families["rsm_redis_up"].GetMetric()[0].GetLabel(); labels[0].GetValue() != "ops" || labels[1].GetValue() != "r1" {
		t.Errorf("labels %v", labels)
	}
	second := &Agent{Role: schema.AgentRole{Agent: schema.Agent{Name: "b", Metrics: addr, Interval: time.Second}}, redis: schema.Addr(server.Addr())}
	if err := second.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "run agent b: listen for Prometheus: listen tcp "+string(addr)) {
		t.Errorf("a port that is taken: %v", err)
	}
}

func TestGraphite(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	port := redistest.Ports(t, 1)[0]
	a := &Agent{redis: schema.Addr(server.Addr()), Role: schema.AgentRole{Agent: schema.Agent{
		Name: "web1", Host: "web1.example", Cluster: "ops",
		Graphite: &schema.Graphite{Addr: fmt.Sprintf("127.0.0.1:%d", port), Prefix: "lain_local.redis_service_sm", Interval: time.Second},
		Nodes:    []schema.AgentNode{{Cluster: "my-cache", Name: "r1", Addr: schema.Addr(server.Addr())}}}}}
	start(t, a)
	waitEvents(t, server, "monitoring", 15) // a push has failed meanwhile
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	seen, times := map[string]bool{}, map[string]bool{}
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		words := strings.Fields(lines.Text())
		if len(words) != 3 {
			t.Fatalf("line %q", lines.Text())
		}
		seen[words[0]] = true
		if strings.HasSuffix(words[0], ".Host.cpu_usage") {
			times[words[2]] = true
		}
	}
	for _, want := range []string{"ops.web1_example.Host.cpu_usage", "my_cache.r1.Memory.used_memory", "my_cache.r1.Server.up", "my_cache.r1.CPU.used_cpu_user"} {
		if !seen["lain_local.redis_service_sm."+want] {
			t.Errorf("%s is missing in %v", want, seen)
		}
	}
	if len(times) < 2 {
		t.Errorf("what was not sent at first is lost: times %v", times)
	}
}

func TestBounded(t *testing.T) {
	t.Parallel()
	line := strings.Repeat("x", 99) + "\n"
	got := bounded(strings.Repeat(line, 20_000))
	if len(got) > graphiteBytes || len(got) < graphiteBytes-100 || !strings.HasPrefix(got, "xxx") || len(got)%100 != 0 {
		t.Errorf("%d bytes are left", len(got))
	}
}

func TestOnce(t *testing.T) {
	t.Parallel()
	a := &Agent{Role: schema.AgentRole{Agent: schema.Agent{Name: "a", Host: "a", Interval: 100 * time.Millisecond}}, Log: slog.New(slog.DiscardHandler)}
	raw, err := a.Once(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if e, err := bus.Parse(raw, time.Now()); err != nil || e.Fields["cpu_usage"] == nil {
		t.Errorf("%s: %v", raw, err)
	}
}
