package reconcile

import (
	"testing"

	"rsm/schema"
)

func TestSameValue(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		key, have, want string
		same            bool
	}{
		{"maxmemory", "104857600", "100mb", true},
		{"maxmemory", "104857600", "100MB", true},
		{"maxmemory", "100000000", "100m", true},
		{"maxmemory", "104857600", "100m", false},
		{"maxmemory", "1073741824", "1gb", true},
		{"maxmemory", "1000000000", "1g", true},
		{"maxmemory", "1024", "1kb", true},
		{"maxmemory", "1000", "1k", true},
		{"maxmemory", "512", "512b", true},
		{"maxmemory", "0", "", false},
		{"maxmemory", "", "100mb", false},
		{"maxmemory-clients", "5%", "5%", true},
		{"maxmemory-clients", "5%", "6%", false},
		{"appendonly", "yes", "Yes", true},
		{"appendonly", "yes", "no", false},
		{"maxmemory-policy", "allkeys-lru", "ALLKEYS-LRU", true},
		{"save", "", "", true},
		{"save", "3600 1", "", false},
		{"save", "3600 1  300 100", " 3600 1 300 100", true},
		{"hz", "10", "010", true},
		{"dbfilename", "dump.rdb", "Dump.rdb", false},
		{"appenddirname", "aof", "AOF", false},
		{"logfile", "/a/B", "/a/b", false},
		{"tls-cert-file", "/a/B", "/a/b", false},
		{"proc-title-template", "{title}", "{Title}", false},
		{"notify-keyspace-events", "AKE", "KEA", true},
		{"notify-keyspace-events", "g$lshztdxeKE", "KEA", true},
		{"notify-keyspace-events", "AKE", "Ke", false},
		{"notify-keyspace-events", "KE", "ke", false},
		{"client-output-buffer-limit", "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60", "replica 256mb 64mb 60", true},
		{"client-output-buffer-limit", "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60", "Slave 256mb 64mb 60 normal 0 0 0", true},
		{"client-output-buffer-limit", "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60", "replica 512mb 64mb 60", false},
		{"client-output-buffer-limit", "normal 0 0 0", "replica 1mb 1mb 1", false},
		{"client-output-buffer-limit", "normal 0 0 0", "", false},
	} {
		if got := SameValue(tt.key, tt.have, tt.want); got != tt.same {
			t.Errorf("SameValue(%q, %q, %q) = %v", tt.key, tt.have, tt.want, got)
		}
	}
}

func TestManagedConfig(t *testing.T) {
	t.Parallel()
	spec := schema.RedisNode{Priority: 7, Config: map[string]string{"maxmemory": "1gb", "replica-read-only": "no"}}
	got := ManagedConfig(spec)
	for key, want := range map[string]string{
		"replica-priority": "7", "replica-announced": "yes", "maxmemory": "1gb", "replica-read-only": "no",
	} {
		if got[key] != want {
			t.Errorf("%s = %q, want %q", key, got[key], want)
		}
	}
	got["maxmemory"] = "2gb"
	if len(got) != 4 || spec.Config["maxmemory"] != "1gb" {
		t.Errorf("the spec was changed, or more is managed: %v", got)
	}
}
