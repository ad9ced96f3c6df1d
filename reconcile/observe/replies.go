package observe

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"rsm/reconcile"
)

// text returns a string reply, "" when it is anything else.
func (r reply) text() string {
	s, _ := r.value.(string)
	return s
}

// flat reads a list of names and values in turn, as RESP2 writes a map.
func (r reply) flat() map[string]string { return flat(r.value) }

// maps reads a list of such lists.
func (r reply) maps() []map[string]string {
	list, _ := r.value.([]any)
	var all []map[string]string
	for _, item := range list {
		if m := flat(item); len(m) > 0 {
			all = append(all, m)
		}
	}
	return all
}

func flat(value any) map[string]string {
	list, _ := value.([]any)
	m := make(map[string]string, len(list)/2)
	for pair := range slices.Chunk(list, 2) {
		if len(pair) < 2 {
			continue
		}
		name, ok := pair[0].(string)
		if !ok {
			continue
		}
		switch v := pair[1].(type) {
		case string:
			m[name] = v
		case int64:
			m[name] = strconv.FormatInt(v, 10)
		}
	}
	return m
}

// fillMaster writes a SENTINEL MASTER reply into a Sentinel's state.
func fillMaster(s *reconcile.SentinelState, m map[string]string) {
	s.Master = address(m["ip"], m["port"])
	s.Epoch, _ = strconv.ParseUint(m["config-epoch"], 10, 64)
	s.Flags = flags(m["flags"])
	switch m["role-reported"] {
	case "master":
		s.RoleReported = reconcile.Master
	case "slave":
		s.RoleReported = reconcile.Replica
	}
	s.Quorum, _ = strconv.Atoi(m["quorum"])
	s.ParallelSyncs, _ = strconv.Atoi(m["parallel-syncs"])
	s.DownAfter = milliseconds(m["down-after-milliseconds"])
	s.DownFor = milliseconds(m["s-down-time"]) // only there while it is down
	s.FailoverTimeout = milliseconds(m["failover-timeout"])
}

func knownReplicas(list []map[string]string) []reconcile.KnownReplica {
	var known []reconcile.KnownReplica
	for _, m := range list {
		if addr := address(m["ip"], m["port"]); addr != "" {
			known = append(known, reconcile.KnownReplica{Addr: addr, Flags: flags(m["flags"])})
		}
	}
	slices.SortFunc(known, func(a, b reconcile.KnownReplica) int {
		return strings.Compare(string(a.Addr), string(b.Addr))
	})
	return known
}

func knownPeers(list []map[string]string) []reconcile.KnownPeer {
	var known []reconcile.KnownPeer
	for _, m := range list {
		if addr := address(m["ip"], m["port"]); addr != "" {
			known = append(known, reconcile.KnownPeer{Addr: addr, ID: m["runid"], Flags: flags(m["flags"])})
		}
	}
	slices.SortFunc(known, func(a, b reconcile.KnownPeer) int {
		return strings.Compare(string(a.Addr), string(b.Addr))
	})
	return known
}

func flags(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, ",")
}

func milliseconds(text string) time.Duration {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return time.Duration(min(n, 1<<43)) * time.Millisecond
}

// clientCount counts the ordinary clients in CLIENT LIST: no replica (flag S),
// no master (M), no Sentinel and no rsm.
func clientCount(list string) int {
	n := 0
	for line := range strings.Lines(list) {
		var name, kind string
		id := false
		for field := range strings.FieldsSeq(line) {
			switch key, value, _ := strings.Cut(field, "="); key {
			case "id":
				id = true
			case "name":
				name = value
			case "flags":
				kind = value
			}
		}
		if id && name != clientName && !strings.HasPrefix(name, "sentinel-") && !strings.ContainsAny(kind, "SM") {
			n++
		}
	}
	return n
}
