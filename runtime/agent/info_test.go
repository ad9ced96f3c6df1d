package agent

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

func TestReadInfo(t *testing.T) {
	t.Parallel()
	master, texts := readInfo("# Server\r\nredis_version:7.0.15\r\nuptime_in_seconds:61\r\n\r\nused_memory:50\r\nmaxmemory:200\r\n" +
		"rdb_last_bgsave_status:err\r\nused_cpu_sys:1.234567\r\nrole:master\r\nconnected_slaves:2\r\nmaster_repl_offset:1000\r\n" +
		"slave0:ip=10.0.0.2,port=6379,state=online,offset=900,lag=1\r\nslave1:ip=10.0.0.3,port=6379,state=online,offset=990,lag=0\r\n" +
		"db0:keys=10,expires=3,avg_ttl=0\r\ndb7:keys=1,expires=0,avg_ttl=0\r\nused_memory_rss:NaN\r\n")
	for name, want := range map[string]float64{"uptime_in_seconds": 61, "memory_usage": 25, "rdb_last_bgsave_ok": 0, "used_cpu_sys": 1.23,
		"is_master": 1, "connected_replicas": 2, "replication_offset": 1000, "replication_lag": 1, "replication_lag_bytes": 100,
		"keys": 11, "expires": 3, "used_memory_rss": 0} {
		if got, ok := master[name]; !ok || got != want {
			t.Errorf("%s is %v, %v, want %v", name, got, ok, want)
		}
	}
	if _, told := master["evicted_keys"]; told || texts["role"] != "master" || texts["redis_version"] != "7.0.15" {
		t.Errorf("told %v %v", master, texts)
	}
	replica, texts := readInfo("role:slave\r\nmaster_host:10.0.0.1\r\nmaster_port:6379\r\nmaster_link_status:down\r\nslave_repl_offset:77\r\nmaster_last_io_seconds_ago:-1\r\n")
	if replica["is_master"] != 0 || replica["master_link_up"] != 0 || replica["replication_offset"] != 77 || replica["replication_lag"] != -1 || texts["master"] != "10.0.0.1:6379" {
		t.Errorf("told %v %v", replica, texts)
	}
	sentinel, _ := readInfo("sentinel_masters:2\r\nsentinel_tilt:0\r\nmaster0:name=a,status=ok,address=1:1,slaves=1,sentinels=3\r\nmaster1:name=b,status=odown,address=1:2,slaves=1,sentinels=3\r\n")
	if sentinel["sentinel_masters"] != 2 || sentinel["sentinel_masters_ok"] != 1 {
		t.Errorf("told %v", sentinel)
	}
	for _, garbage := range []string{"", "\n\n", "::::", "slave0", "db0:keys", "slave0:offset=x,lag=\r\nrole:master"} {
		numbers, _ := readInfo(garbage)
		if _, err := json.Marshal(numbers); err != nil {
			t.Errorf("%q: %v", garbage, err)
		}
	}
}

func TestRound(t *testing.T) {
	t.Parallel()
	zero := 0.0
	for got, want := range map[float64]float64{round(1.23456): 1.23, round(math.MaxFloat64): math.MaxFloat64,
		round(1.5e15): 1.5e15, percent(5, 2): 100, rate(10, 30, 2): 10} {
		if got != want {
			t.Errorf("%v, want %v", got, want)
		}
	}
	for _, got := range []float64{round(math.NaN()), round(math.Inf(-1)), percent(1, 0) - 100, percent(0, zero), rate(9, 1, 1), rate(1, 2, 0), rate(1, 1, 0)} {
		if got != 0 {
			t.Errorf("%v, want 0", got)
		}
	}
}

func TestReadTitle(t *testing.T) {
	t.Parallel()
	for title, want := range map[string]string{
		"/usr/bin/redis-server *:6379":                       "6379 false",
		"/usr/bin/redis-sentinel 127.0.0.1:26379 [sentinel]": "26379 true",
		"redis-server [::1]:7000 [cluster]":                  "7000 false",
		"redis-server unixsocket:/run/redis.sock":            "0 false",
		"": "0 false",
	} {
		port, sentinel := readTitle(title)
		if got := fmt.Sprint(port, sentinel); got != want {
			t.Errorf("%s: %s, want %s", title, got, want)
		}
	}
}

func TestOutbox(t *testing.T) {
	t.Parallel()
	o := newOutbox(3, 30)
	for i := range 5 {
		o.add(fmt.Appendf(nil, "%d", i))
	}
	events, upTo := o.peek(2)
	if string(events[0])+string(events[1]) != "23" || o.lost() != 2 || o.size() != 3 {
		t.Errorf("events %s, %d lost", events, o.lost())
	}
	o.add([]byte("5")) // 2 is dropped while it is under way
	o.sent(upTo)
	if events, _ := o.peek(9); len(events) != 2 || string(events[0]) != "4" || o.lost() != 3 {
		t.Errorf("events %s, %d lost", events, o.lost())
	}
	o.add([]byte(strings.Repeat("x", 29)))
	if events, _ := o.peek(9); len(events) != 2 || o.bytes != 30 {
		t.Errorf("%d events of %d bytes", len(events), o.bytes)
	}
	o.add([]byte(strings.Repeat("x", 31)))
	if o.size() != 0 || o.bytes != 0 {
		t.Errorf("%d events of %d bytes", o.size(), o.bytes)
	}
}

// Each host has a place of its own in the interval, always the same.
func TestFirstWait(t *testing.T) {
	t.Parallel()
	places := map[time.Duration]bool{}
	start := time.Unix(1_800_000_000, 0)
	for i := range 100 {
		host := fmt.Sprint("web", i)
		place := start.Add(firstWait(start, time.Second, host)).Sub(start) % time.Second
		places[place/(50*time.Millisecond)] = true
		for _, after := range []time.Duration{1, 300 * time.Millisecond, 999 * time.Millisecond} {
			wait := firstWait(start.Add(after), time.Second, host)
			if got := (after + wait) % time.Second; got != place || wait < time.Second/2 || wait > 2*time.Second {
				t.Errorf("%s at %s waits %s: place %s, want %s", host, after, wait, got, place)
			}
		}
	}
	if len(places) < 18 {
		t.Errorf("%d of 20 parts of a second are in use", len(places))
	}
}
