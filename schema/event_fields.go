package schema

import (
	"maps"
	"slices"
	"strings"

	"rsm/internal/expr"
)

// eventFields are the fields of the events that rsm itself publishes, by their type,
// as docs/agent.md has them. What stands in a list, as a mount in disks, is not
// among them, nor what the spec names, as tags.
var eventFields = map[string][]string{
	"monitoring": split(`cpu_usage mem_usage disk_usage id type v agent host zone ts interval tags dropped stale uptime cores
		cpu cpu.user cpu.system cpu.iowait cpu.steal load load.load1 load.load5 load.load15
		memory memory.total memory.available memory.free memory.cached memory.buffers swap swap.total swap.used swap.usage
		disks disk_io net redis`),
	"redis": split(`id type v agent host ts tags up error cluster node addr sentinel
		uptime_in_seconds connected_clients blocked_clients used_memory used_memory_rss total_connections_received total_commands_processed
		instantaneous_ops_per_sec total_net_input_bytes total_net_output_bytes sync_full expired_keys evicted_keys keyspace_hits
		keyspace_misses used_cpu_sys used_cpu_user used_memory_peak maxmemory mem_fragmentation_ratio rejected_connections
		latest_fork_usec sync_partial_err loading rdb_changes_since_last_save rdb_last_save_time aof_enabled memory_usage
		rdb_last_bgsave_ok aof_last_write_ok aof_last_bgrewrite_ok role is_master master redis_version maxmemory_policy
		replication_offset replication_lag replication_lag_bytes connected_replicas master_link_up keys expires
		sentinel_masters sentinel_masters_ok sentinel_tilt`),
	"agent": split(`id type state agent host interval last`),
}

func split(text string) []string { return strings.Fields(text) }

// shortest is how long a name must be to be like another.
const shortest = 4

// nearField is the field of an event that was most likely meant by one that rsm does
// not publish, "" when there is none alike: any program may add fields of its own.
func nearField(kind, path string) string {
	known := eventFields[kind]
	top, _, nested := strings.Cut(path, ".")
	if known == nil || slices.Contains(known, path) || top == "tags" || len(path) < shortest {
		return ""
	}
	candidates := slices.Clone(known)
	if nested && slices.Contains(known, top) {
		// Of a field that is there, only what is in it.
		candidates = slices.DeleteFunc(candidates, func(name string) bool { return !strings.HasPrefix(name, top+".") })
	}
	if best := nearest(path, candidates); best != "" {
		return best
	}
	// load1 is load.load1.
	for _, name := range candidates {
		if _, last, ok := strings.Cut(name, "."); ok && last == path {
			return name
		}
	}
	return ""
}

// slipOf warns of a field in an expression that looks like one of rsm's events.
func (d *decoder) slipOf(path, kind, text string) {
	program, err := expr.Compile(text)
	if err != nil {
		return // left out, or reported already
	}
	for _, field := range program.Fields() {
		if meant := nearField(kind, field); meant != "" {
			d.report(CodeField, path, false, "events of type %s have no field %s", kind, field).Hint =
				"did you mean " + meant + `? One of your own is written event["` + strings.ReplaceAll(field, ".", `"]["`) + `"]`
		}
	}
}

// slipOfType warns of a type that looks like one of rsm's events.
func (d *decoder) slipOfType(path, kind string) {
	kinds := slices.Sorted(maps.Keys(eventFields))
	if meant := nearest(kind, kinds); meant != "" && !slices.Contains(kinds, kind) {
		d.report(CodeField, path, false, "rsm sends no events of type %s", kind).Hint = "did you mean " + meant + "?"
	}
}
