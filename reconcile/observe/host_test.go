package observe_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rsm/internal/redistest"
	"rsm/reconcile"
	"rsm/reconcile/observe"
	"rsm/schema"
)

// machine is a Host whose answers are fields. Roles are local when their address
// is in local.
type machine struct {
	local    map[schema.Addr]*reconcile.Process
	adopts   string // the configuration file that it takes as its own
	bad      map[string]string
	checkErr error
	kept     string
	loaded   reconcile.Loaded
	record   *reconcile.Registration
	err      error

	defaults    map[string]string
	defaultsErr error

	mu    sync.Mutex
	calls []string
}

func (m *machine) note(format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls = append(m.calls, fmt.Sprintf(format, args...))
}

func (m *machine) Local(addr schema.Addr) bool { return m.local[addr] != nil }

func (m *machine) Process(_ context.Context, role reconcile.RoleRef) reconcile.Process {
	return *m.local[role.Addr]
}

func (m *machine) Adopt(role reconcile.RoleRef, configFile string, pid int) bool {
	m.note("adopt %s %s", role.Name, configFile)
	if configFile != m.adopts {
		return false
	}
	*m.local[role.Addr] = reconcile.Process{Local: true, Running: true, PID: pid}
	return true
}

func (m *machine) Loaded(reconcile.RoleRef) reconcile.Loaded { return m.loaded }

func (m *machine) CheckConfig(_ context.Context, config map[string]string) (map[string]string, error) {
	m.note("check %d", len(config))
	return m.bad, m.checkErr
}

func (m *machine) Kept(role reconcile.RoleRef, replid string, offset int64) bool {
	return m.kept == fmt.Sprint(role.Name, replid, offset)
}

func (m *machine) Record(string) (*reconcile.Registration, error) { return m.record, m.err }

func (m *machine) Surplus(cluster string, want []string) []reconcile.SurplusRole {
	m.note("surplus %s %s", cluster, strings.Join(want, ","))
	return []reconcile.SurplusRole{{Name: "r9"}}
}

// local makes a machine on which everything of the addresses is known as given.
func local(p reconcile.Process, addrs ...string) *machine {
	m := &machine{local: map[schema.Addr]*reconcile.Process{}}
	for _, addr := range addrs {
		m.local[schema.Addr(addr)] = &p
	}
	return m
}

func TestDownOnThisMachine(t *testing.T) {
	t.Parallel()
	addr := fmt.Sprintf("127.0.0.1:%d", redistest.Ports(t, 1)[0])
	stopped := reconcile.Process{Local: true, Data: reconcile.Yes, Binary: "7.0.15"}
	m := local(stopped, addr)
	m.bad = map[string]string{"maxmemory": "argument must be a memory value"}
	r := look(t, &observe.Observer{Host: m}, one(addr, map[string]string{"maxmemory": "much"})).Redis["r1"]
	equal(t, "reach", r.Reach, reconcile.Down)
	equal(t, "process", r.Process, stopped)
	equal(t, "bad config", r.BadConfig["maxmemory"], "argument must be a memory value")

	m.bad, m.checkErr = nil, errors.New("no redis-server")
	r = look(t, &observe.Observer{Host: m}, one(addr, map[string]string{"maxmemory": "much"})).Redis["r1"]
	equal(t, "binary", r.Process.BinaryErr, "check configuration: no redis-server")
}

// TestRunsButRefuses: a process that is starting or stuck is not absent, so that
// it is not started twice.
func TestRunsButRefuses(t *testing.T) {
	t.Parallel()
	addr := fmt.Sprintf("127.0.0.1:%d", redistest.Ports(t, 1)[0])
	m := local(reconcile.Process{Local: true, Running: true, PID: 123}, addr)
	spec := oneSentinel(addr)
	reach, why := only(look(t, &observe.Observer{Host: m}, spec))
	equal(t, "reach", reach, reconcile.Unknown)
	equal(t, "why", why, "process 123 runs but refuses connections")
}

// TestAdopts: a server of ours whose record is lost is found by its INFO; one of
// somebody else's is not.
func TestAdopts(t *testing.T) {
	t.Parallel()
	server, sentinel := redistest.Start(t), redistest.StartSentinel(t)
	spec := oneSentinel(sentinel.Addr())
	spec.Redis.Nodes = one(server.Addr(), nil).Redis.Nodes
	for _, test := range []struct {
		file string
		want map[string]reconcile.Process
	}{
		{server.Config, map[string]reconcile.Process{"r1": {Local: true, Running: true, PID: server.PID()}, "s1": {Local: true, Foreign: "x"}}},
		{sentinel.Config, map[string]reconcile.Process{"r1": {Local: true, Foreign: "x"}, "s1": {Local: true, Running: true, PID: sentinel.PID()}}},
	} {
		m := &machine{adopts: test.file, local: map[schema.Addr]*reconcile.Process{
			schema.Addr(server.Addr()):   {Local: true, Foreign: "x"},
			schema.Addr(sentinel.Addr()): {Local: true, Foreign: "x"},
		}}
		state := look(t, &observe.Observer{Host: m}, spec)
		equal(t, "r1", state.Redis["r1"].Process, test.want["r1"])
		equal(t, "s1", state.Sentinels["s1"].Process, test.want["s1"])
		equal(t, "reach", state.Redis["r1"].Reach, reconcile.Up)
	}
}

func TestDoesNotAdoptWhatRuns(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	m := local(reconcile.Process{Local: true, Running: true, PID: server.PID()}, server.Addr())
	look(t, &observe.Observer{Host: m}, one(server.Addr(), nil))
	if slices.ContainsFunc(m.calls, func(call string) bool { return strings.HasPrefix(call, "adopt") }) {
		t.Errorf("called %v", m.calls)
	}
}

// TestCopied: a copy counts only while the data set is the one that was copied.
func TestCopied(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	m := local(reconcile.Process{Local: true, Running: true}, server.Addr())
	m.kept = fmt.Sprint("r1", server.Info("master_replid"), server.Info("rdb_last_save_time"))
	o := &observe.Observer{Host: m}
	equal(t, "copied", look(t, o, one(server.Addr(), nil)).Redis["r1"].Copied, true)
	server.Do("PUBLISH", "a", "1") // as Sentinel does: nothing that a copy lacks
	equal(t, "copied after a message", look(t, o, one(server.Addr(), nil)).Redis["r1"].Copied, true)
	server.Do("SET", "a", "1")
	equal(t, "copied after a write", look(t, o, one(server.Addr(), nil)).Redis["r1"].Copied, false)
}

func TestRecordAndSurplus(t *testing.T) {
	t.Parallel()
	m := &machine{record: &reconcile.Registration{Cluster: "cache", Epoch: 4}}
	addr := fmt.Sprintf("127.0.0.1:%d", redistest.Ports(t, 1)[0])
	spec := oneSentinel(addr)
	spec.Redis.Nodes = one(addr, nil).Redis.Nodes
	state := look(t, &observe.Observer{Host: m}, spec)
	if !reflect.DeepEqual(state.Record, m.record) || len(state.Surplus) != 1 || !slices.Equal(m.calls, []string{"surplus cache r1,s1"}) {
		t.Errorf("record %v, surplus %v, calls %v", state.Record, state.Surplus, m.calls)
	}
	m.err = errors.New("broken file")
	if _, err := (&observe.Observer{Host: m}).Observe(t.Context(), spec); !errors.Is(err, m.err) {
		t.Errorf("error is %v", err)
	}
}

// TestRoundTrips holds the cost of a probe: one connection, HELLO, one pipeline.
func TestRoundTrips(t *testing.T) {
	t.Parallel()
	fake := redistest.StartFake(t, func(args []string) redistest.Reply {
		if args[0] == "INFO" {
			return redistest.Bulk(strings.ReplaceAll(redisInfo, "role:slave", "role:master"))
		}
		return redistest.Reply{}
	})
	look(t, &observe.Observer{Timeout: time.Second}, one(fake.Addr(), map[string]string{"maxmemory": "1"}))
	want := []string{"HELLO 2", "CLIENT SETNAME rsm", "INFO", "CONFIG GET maxmemory",
		"CONFIG GET replica-announced", "CONFIG GET replica-priority", "CONFIG GET replica-read-only",
		"HGETALL rsm:operations", "HGETALL rsm:registration"}
	if seen := fake.Seen(); !slices.Equal(seen, want) {
		t.Errorf("sent %q, want %q", seen, want)
	}
}
