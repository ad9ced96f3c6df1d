package host

import (
	"os"
	"strconv"
	"time"

	"rsm/reconcile"
	"rsm/schema"
)

// memory reads what a Sentinel that does not run will know of its cluster when
// it starts: Sentinel keeps the master, its epoch, the settings, the replicas and
// the peers in its own configuration file (sentinel.c, rewriteConfigSentinelOption,
// Redis 7.0). Nil when there is no file or it knows nothing of the cluster.
func (h *Host) memory(ref reconcile.RoleRef) *reconcile.Memory {
	text, err := os.ReadFile(h.confPath(ref))
	if err != nil {
		return nil
	}
	m := &reconcile.Memory{DownAfter: 30 * time.Second, FailoverTimeout: 3 * time.Minute, ParallelSyncs: 1} // Sentinel's defaults are not written
	for _, line := range parseConf(text) {
		if len(line.args) > 1 && line.args[0] == ref.Cluster {
			recall(m, line.key, line.args[1:])
		}
	}
	if m.Master == "" {
		return nil
	}
	return m
}

// recall adds one line of sentinel.conf, without the master's name.
func recall(m *reconcile.Memory, key string, args []string) {
	number, _ := strconv.Atoi(args[0])
	millis := time.Duration(number) * time.Millisecond
	addr := func() schema.Addr {
		port, _ := strconv.Atoi(args[1])
		return schema.NewAddr(args[0], port)
	}
	switch {
	case key == "sentinel monitor" && len(args) >= 3:
		m.Master = addr()
		m.Quorum, _ = strconv.Atoi(args[2])
	case key == "sentinel config-epoch":
		m.Epoch = uint64(max(number, 0))
	case key == "sentinel down-after-milliseconds":
		m.DownAfter = millis
	case key == "sentinel failover-timeout":
		m.FailoverTimeout = millis
	case key == "sentinel parallel-syncs":
		m.ParallelSyncs = number
	case (key == "sentinel known-replica" || key == "sentinel known-slave") && len(args) >= 2:
		m.Replicas = append(m.Replicas, addr())
	case key == "sentinel known-sentinel" && len(args) >= 2:
		m.Peers = append(m.Peers, addr())
	}
}
