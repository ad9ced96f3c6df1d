package observe

import (
	"strconv"
	"strings"
	"time"

	"rsm/reconcile"
	"rsm/schema"
)

// info is the text of INFO as fields. Field names are those of Redis 6.2 to 8
// (redis.io/docs/latest/commands/info); sections do not matter, since no name is
// used twice.
type info map[string]string

// parseInfo reads INFO text of any length. Lines that are no `name:value` are
// left out.
func parseInfo(text string) info {
	fields := make(info, 192)
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		name, value, ok := strings.Cut(line, ":")
		if ok && name != "" && name[0] != '#' {
			fields[name] = value
		}
	}
	return fields
}

// int returns a whole number, 0 when the field is missing or is none.
func (f info) int(name string) int64 {
	n, err := strconv.ParseInt(f[name], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func (f info) flag(name string) bool { return f[name] == "1" }

// seconds returns a duration; Redis writes -1 for "never", which is 0 here.
func (f info) seconds(name string) time.Duration {
	return time.Duration(min(max(f.int(name), 0), 1<<33)) * time.Second
}

// keyCount adds up the keyspace lines, `db0:keys=3,expires=0,avg_ttl=0`.
func (f info) keyCount() int64 {
	var sum int64
	for name, value := range f {
		if number, ok := strings.CutPrefix(name, "db"); ok && isNumber(number) {
			n, _ := strconv.ParseInt(pairs(value)["keys"], 10, 64)
			sum += n
		}
	}
	return sum
}

// replicas reads the lines `slave0:ip=::1,port=6380,state=online,…`, in order.
func (f info) replicas() []schema.Addr {
	var addrs []schema.Addr
	for i := 0; ; i++ {
		line, ok := f["slave"+strconv.Itoa(i)]
		if !ok {
			return addrs
		}
		p := pairs(line)
		if addr := address(p["ip"], p["port"]); addr != "" {
			addrs = append(addrs, addr)
		}
	}
}

// fill writes what INFO says of a redis-server into its state.
func (f info) fill(r *reconcile.RedisState) {
	r.Version, r.RunID = f["redis_version"], f["run_id"]
	r.Uptime, r.Loading, r.Keys = f.seconds("uptime_in_seconds"), f.flag("loading"), f.keyCount()
	r.Memory = f.int("used_memory")
	r.ReplID, r.ReplID2 = f["master_replid"], f["master_replid2"]
	r.Offset, r.SecondOffset = f.int("master_repl_offset"), f.int("second_repl_offset")
	r.FullSyncs, r.Replicas = f.int("sync_full"), f.replicas()
	if state := f["master_failover_state"]; state != "no-failover" {
		r.FailoverState = state
	}
	if f["role"] != "slave" {
		r.Role = reconcile.Master
		return
	}
	r.Role = reconcile.Replica
	r.Master = address(f["master_host"], f["master_port"])
	r.LinkUp = f["master_link_status"] == "up"
	r.LinkDown = f.seconds("master_link_down_since_seconds")
	r.Syncing = f.flag("master_sync_in_progress")
	r.LastIO = f.seconds("master_last_io_seconds_ago")
}

// pairs reads `a=1,b=2`.
func pairs(text string) map[string]string {
	m := map[string]string{}
	for item := range strings.SplitSeq(text, ",") {
		if name, value, ok := strings.Cut(item, "="); ok {
			m[name] = value
		}
	}
	return m
}

// address joins what Redis writes apart; IPv6 has no brackets there.
func address(host, port string) schema.Addr {
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || host == "" || n == 0 {
		return ""
	}
	return schema.NewAddr(host, int(n))
}

func isNumber(text string) bool {
	return text != "" && strings.Trim(text, "0123456789") == ""
}
