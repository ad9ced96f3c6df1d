package agent

import (
	"strconv"
	"strings"
	"time"
)

// figure is one number of a server, by its section and name in INFO.
type figure struct{ section, name string }

// figures are the numbers of a redis-server that are told: the seventeen that
// redis-service-sm pushed come first. Those of the last lines are worked out by
// derive.
var figures = []figure{
	{"Server", "uptime_in_seconds"},
	{"Clients", "connected_clients"}, {"Clients", "blocked_clients"},
	{"Memory", "used_memory"}, {"Memory", "used_memory_rss"},
	{"Stats", "total_connections_received"}, {"Stats", "total_commands_processed"}, {"Stats", "instantaneous_ops_per_sec"},
	{"Stats", "total_net_input_bytes"}, {"Stats", "total_net_output_bytes"}, {"Stats", "sync_full"},
	{"Stats", "expired_keys"}, {"Stats", "evicted_keys"}, {"Stats", "keyspace_hits"}, {"Stats", "keyspace_misses"},
	{"CPU", "used_cpu_sys"}, {"CPU", "used_cpu_user"},

	{"Memory", "used_memory_peak"}, {"Memory", "maxmemory"}, {"Memory", "mem_fragmentation_ratio"},
	{"Stats", "rejected_connections"}, {"Stats", "latest_fork_usec"}, {"Stats", "sync_partial_err"},
	{"Persistence", "loading"}, {"Persistence", "rdb_changes_since_last_save"}, {"Persistence", "rdb_last_save_time"},
	{"Persistence", "aof_enabled"},

	{"Memory", "memory_usage"},
	{"Persistence", "rdb_last_bgsave_ok"}, {"Persistence", "aof_last_write_ok"}, {"Persistence", "aof_last_bgrewrite_ok"},
	{"Replication", "is_master"}, {"Replication", "connected_replicas"}, {"Replication", "master_link_up"},
	{"Replication", "replication_offset"}, {"Replication", "replication_lag"}, {"Replication", "replication_lag_bytes"},
	{"Keyspace", "keys"}, {"Keyspace", "expires"},
	{"Sentinel", "sentinel_masters"}, {"Sentinel", "sentinel_tilt"}, {"Sentinel", "sentinel_masters_ok"},
}

// nodeInfo is what one server has said.
type nodeInfo struct {
	cluster, name string
	up            bool
	sentinel      bool
	at            time.Time
	numbers       map[string]float64
	texts         map[string]string
}

// parseInfo reads the reply to INFO: lines "name:value".
func parseInfo(text string) map[string]string {
	fields := make(map[string]string, 200)
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), ":"); ok && !strings.HasPrefix(name, "#") {
			fields[name] = value
		}
	}
	return fields
}

// readInfo takes what is told from the reply to INFO. A field that a version of
// Redis does not have is left out.
func readInfo(text string) (numbers map[string]float64, texts map[string]string) {
	fields := parseInfo(text)
	derived := derive(fields)
	numbers = make(map[string]float64, len(figures))
	for _, f := range figures {
		if n, ok := derived[f.name]; ok {
			numbers[f.name] = round(n)
		} else if n, err := strconv.ParseFloat(fields[f.name], 64); err == nil {
			numbers[f.name] = round(n)
		}
	}
	texts = map[string]string{}
	for _, name := range []string{"role", "redis_version", "maxmemory_policy"} {
		if fields[name] != "" {
			texts[name] = fields[name]
		}
	}
	if host := fields["master_host"]; host != "" {
		texts["master"] = host + ":" + fields["master_port"]
	}
	return numbers, texts
}

// derive works out what INFO says in words, or in several fields.
func derive(fields map[string]string) map[string]float64 {
	d := map[string]float64{}
	for from, to := range map[string]string{
		"rdb_last_bgsave_status": "rdb_last_bgsave_ok", "aof_last_write_status": "aof_last_write_ok",
		"aof_last_bgrewrite_status": "aof_last_bgrewrite_ok",
	} {
		if v, ok := fields[from]; ok {
			d[to] = number(v == "ok")
		}
	}
	if limit := float(fields["maxmemory"]); limit > 0 {
		d["memory_usage"] = percent(float(fields["used_memory"]), limit)
	}
	switch {
	case fields["sentinel_masters"] != "":
		deriveSentinel(fields, d)
	case fields["role"] == "master":
		deriveMaster(fields, d)
	case fields["role"] != "":
		d["is_master"] = 0
		d["master_link_up"] = number(fields["master_link_status"] == "up")
		d["replication_offset"] = float(fields["slave_repl_offset"])
		d["replication_lag"] = float(fields["master_last_io_seconds_ago"]) // -1 when the link is down
	}
	if fields["role"] != "" {
		d["keys"], d["expires"] = keyspace(fields)
	}
	return d
}

// deriveMaster finds the replica that is furthest behind, in seconds since it said
// anything, and in bytes.
func deriveMaster(fields map[string]string, d map[string]float64) {
	offset := float(fields["master_repl_offset"])
	d["is_master"], d["replication_offset"] = 1, offset
	d["connected_replicas"], d["replication_lag"], d["replication_lag_bytes"] = float(fields["connected_slaves"]), 0, 0
	for name, value := range fields {
		if !numbered(name, "slave") {
			continue
		}
		replica := pairs(value)
		d["replication_lag"] = max(d["replication_lag"], float(replica["lag"]))
		d["replication_lag_bytes"] = max(d["replication_lag_bytes"], offset-float(replica["offset"]))
	}
}

// deriveSentinel counts the masters that a Sentinel finds well.
func deriveSentinel(fields map[string]string, d map[string]float64) {
	d["sentinel_masters_ok"] = 0
	for name, value := range fields {
		if numbered(name, "master") && pairs(value)["status"] == "ok" {
			d["sentinel_masters_ok"]++
		}
	}
}

func keyspace(fields map[string]string) (keys, expires float64) {
	for name, value := range fields {
		if numbered(name, "db") {
			db := pairs(value)
			keys += float(db["keys"])
			expires += float(db["expires"])
		}
	}
	return keys, expires
}

// numbered reports whether a name is the prefix and a number.
func numbered(name, prefix string) bool {
	rest, ok := strings.CutPrefix(name, prefix)
	_, err := strconv.Atoi(rest)
	return ok && err == nil
}

// pairs reads "a=1,b=2".
func pairs(text string) map[string]string {
	m := map[string]string{}
	for pair := range strings.SplitSeq(text, ",") {
		key, value, _ := strings.Cut(pair, "=")
		m[key] = value
	}
	return m
}

func float(text string) float64 { n, _ := strconv.ParseFloat(text, 64); return n }

func number(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
