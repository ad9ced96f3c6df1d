package observe

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"rsm/reconcile"
	"rsm/schema"
)

// captured returns INFO of a real server (Redis 7.0.15).
func captured(t testing.TB, name string) string {
	t.Helper()
	content, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestFillFromCapturedInfo(t *testing.T) {
	t.Parallel()
	var m, r reconcile.RedisState
	parseInfo(captured(t, "master.info")).fill(&m)
	if m.Version != "7.0.15" || m.Role != reconcile.Master || m.Keys != 2 || len(m.ReplID) != 40 || m.Offset != 77 || m.SecondOffset != -1 ||
		m.FailoverState != "" || m.Loading || len(m.RunID) != 40 {
		t.Errorf("master is %+v", m)
	}
	parseInfo(captured(t, "replica.info")).fill(&r)
	if r.Role != reconcile.Replica || r.Master != "127.0.0.1:31991" || r.LinkUp || r.LinkDown != 0 || r.LastIO != 0 || r.Syncing {
		t.Errorf("replica is %+v", r)
	}
	if f := parseInfo(captured(t, "sentinel.info")); f["redis_mode"] != "sentinel" || f.flag("sentinel_tilt") {
		t.Errorf("sentinel is %v", f)
	}
}

func TestFillOddFields(t *testing.T) {
	t.Parallel()
	var r reconcile.RedisState
	parseInfo("role:slave\nmaster_host:fd00::1\nmaster_port:6380\nmaster_link_down_since_seconds:9\nmaster_sync_in_progress:1\n" +
		"loading:1\nmaster_failover_state:waiting-for-sync\ndbx:keys=9\ndb0:keys=oops\ndb15:expires=1,keys=5\n" +
		"slave0:ip=::1,port=1,state=online\nslave1:ip=host.example,port=2\nslave2:ip=bad,port=70000\nuptime_in_seconds:61\n").fill(&r)
	want := []schema.Addr{"[::1]:1", "host.example:2"}
	if r.Master != "[fd00::1]:6380" || r.LinkDown != 9*time.Second || !r.Syncing || !r.Loading || r.Uptime != 61*time.Second ||
		r.FailoverState != "waiting-for-sync" || r.Keys != 5 || !slices.Equal(r.Replicas, want) {
		t.Errorf("replica is %+v", r)
	}
}

func TestAddress(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ host, port, want string }{
		{"127.0.0.1", "6379", "127.0.0.1:6379"},
		{"::1", "6379", "[::1]:6379"},
		{"host.example", "1", "host.example:1"},
		{"", "6379", ""}, {"h", "", ""}, {"h", "0", ""}, {"h", "65536", ""}, {"h", "-1", ""}, {"h", "x", ""},
	} {
		if have := address(test.host, test.port); string(have) != test.want {
			t.Errorf("address(%q, %q) is %q, want %q", test.host, test.port, have, test.want)
		}
	}
}

func TestClientCount(t *testing.T) {
	t.Parallel()
	list := strings.Join([]string{
		"id=3 addr=127.0.0.1:1 name= age=2 flags=S db=0 user=default",
		"id=4 addr=127.0.0.1:2 name=sentinel-33f339e1-cmd flags=N",
		"id=5 addr=127.0.0.1:3 name=sentinel-33f339e1-pubsub flags=P",
		"id=6 addr=127.0.0.1:4 name=rsm flags=N",
		"id=7 addr=127.0.0.1:5 name= flags=M",
		"id=8 addr=127.0.0.1:6 name= flags=N",
		"id=9 addr=127.0.0.1:7 name=web flags=P",
		"", "garbage",
	}, "\n")
	if n := clientCount(list); n != 2 {
		t.Errorf("counts %d clients, want 2", n)
	}
}

func TestFillMaster(t *testing.T) {
	t.Parallel()
	words := strings.Fields(captured(t, "mm.txt"))
	list := make([]any, len(words))
	for i, word := range words {
		list[i] = word
	}
	var s reconcile.SentinelState
	fillMaster(&s, flat(list))
	if s.Master != "127.0.0.1:31991" || s.Quorum != 1 || s.DownAfter != 30*time.Second || s.FailoverTimeout != 3*time.Minute ||
		s.ParallelSyncs != 1 || s.RoleReported != reconcile.Master || !slices.Equal(s.Flags, []string{"master"}) {
		t.Errorf("sentinel knows %+v", s)
	}
	fillMaster(&s, map[string]string{"role-reported": "slave", "flags": "s_down,o_down,master", "config-epoch": "18446744073709551615"})
	if s.RoleReported != reconcile.Replica || !s.HasFlag("o_down") || s.Epoch != 1<<64-1 {
		t.Errorf("sentinel knows %+v", s)
	}
}

func FuzzInfo(f *testing.F) {
	for _, name := range []string{"master.info", "replica.info", "sentinel.info"} {
		f.Add(captured(f, name))
	}
	f.Add("slave0:ip=,port=\r\n:\r\ndb:keys=1\r\ndb0:keys=-9223372036854775808\r\nuptime_in_seconds:9223372036854775807")
	f.Fuzz(func(t *testing.T, text string) {
		var r reconcile.RedisState
		parseInfo(text).fill(&r)
		if r.Uptime < 0 || r.LinkDown < 0 || r.LastIO < 0 {
			t.Errorf("negative duration in %+v", r)
		}
		for _, addr := range append(r.Replicas, r.Master) {
			if addr != "" && addr.Port() == 0 {
				t.Errorf("address %q has no port", addr)
			}
		}
		clientCount(text)
	})
}

func FuzzSentinelMap(f *testing.F) {
	f.Add(captured(f, "mm.txt"), int64(1))
	f.Add("ip\n::1\nport\n6379\ndown-after-milliseconds\n9223372036854775807", int64(-1))
	f.Fuzz(func(t *testing.T, text string, n int64) {
		var list []any
		for word := range strings.Lines(text) {
			list = append(list, strings.TrimSuffix(word, "\n"))
		}
		for _, value := range []any{list, append(list, n), append([]any{nil, n}, list...), []any{list}, n, nil} {
			r := reply{value: value}
			var s reconcile.SentinelState
			fillMaster(&s, r.flat())
			if s.DownAfter < 0 || s.FailoverTimeout < 0 {
				t.Errorf("negative duration in %+v", s)
			}
			knownReplicas(r.maps())
			knownPeers(r.maps())
		}
	})
}
