package main

import (
	_ "embed" // for INFO
	"fmt"
	"strconv"
	"strings"
	"time"
)

// INFO of real servers (Redis 7.0.15), so that the fake ones say as much.
var (
	//go:embed info/redis.txt
	redisInfo string
	//go:embed info/sentinel.txt
	sentinelInfo string
)

// The data set that all redis-servers of the fleet have.
const (
	noReplID = "0000000000000000000000000000000000000000"
	offset   = 16148
)

// config is what CONFIG GET knows.
var config = map[string]string{
	"maxmemory": "8388608", "save": "", "repl-diskless-sync-delay": "0",
	"replica-priority": "100", "replica-read-only": "yes", "replica-announced": "yes",
}

// id makes the 40 hex digits of a run id, different for every use and server.
func id(use, cluster, node int) string { return fmt.Sprintf("%08x%024x%08x", use+1, cluster, node) }

// redisAnswer is what a redis-server replies. The first node of a cluster is
// its master.
func redisAnswer(cluster, node int, words []string) string {
	switch key := strings.Join(words[:min(2, len(words))], " "); {
	case key == "INFO" || strings.HasPrefix(key, "INFO "):
		return bulk(fill(redisInfo, "port", strconv.Itoa(redisPort), "runid", id(0, cluster, node),
			"replication", replication(cluster, node)))
	case key == "CONFIG GET" && len(words) == 3:
		value, ok := config[words[2]]
		if !ok {
			return "*0\r\n"
		}
		return bulks(words[2], value)
	case key == "CLIENT LIST":
		return bulk("id=1 addr=10.0.0.1:1 name=rsm flags=N\n")
	}
	return common(words)
}

func replication(cluster, node int) string {
	lines := []string{"role:master", "connected_slaves:2"}
	for i := range 2 {
		lines = append(lines, fmt.Sprintf("slave%d:ip=%s,port=%d,state=online,offset=%d,lag=0", i, fleetIP(cluster, i+1), redisPort, offset))
	}
	if node > 0 {
		lines = []string{"role:slave", "master_host:" + fleetIP(cluster, 0), "master_port:" + strconv.Itoa(redisPort),
			"master_link_status:up", "master_last_io_seconds_ago:0", "master_sync_in_progress:0",
			fmt.Sprint("slave_read_repl_offset:", offset), fmt.Sprint("slave_repl_offset:", offset),
			"slave_priority:100", "slave_read_only:1", "replica_announced:1", "connected_slaves:0"}
	}
	return strings.Join(append(lines, "master_failover_state:no-failover", "master_replid:"+id(1, cluster, 0),
		"master_replid2:"+noReplID, fmt.Sprint("master_repl_offset:", offset), "second_repl_offset:-1",
		"repl_backlog_active:1", "repl_backlog_size:1048576", "repl_backlog_first_byte_offset:1",
		fmt.Sprint("repl_backlog_histlen:", offset)), "\n")
}

// sentinelAnswer is what a Sentinel replies.
func sentinelAnswer(cluster, node int, words []string) string {
	name := clusterName(cluster)
	key := strings.Join(words[:min(2, len(words))], " ")
	switch {
	case key == "INFO" || strings.HasPrefix(key, "INFO "):
		return bulk(fill(sentinelInfo, "port", strconv.Itoa(sentinelPort), "runid", id(2, cluster, node),
			"master", fmt.Sprintf("master0:name=%s,status=ok,address=%s:%d,slaves=2,sentinels=3", name, fleetIP(cluster, 0), redisPort)))
	case key == "SENTINEL MYID":
		return bulk(id(3, cluster, node))
	case words[0] == "SENTINEL" && len(words) == 3 && words[2] != name:
		return "-ERR No such master with that name\r\n"
	case key == "SENTINEL MASTER":
		return master(cluster)
	case key == "SENTINEL REPLICAS":
		return array(known(cluster, 1, "slave"), known(cluster, 2, "slave"))
	case key == "SENTINEL SENTINELS":
		return array(known(cluster, (node+1)%3, "sentinel"), known(cluster, (node+2)%3, "sentinel"))
	case key == "SENTINEL CKQUORUM":
		return "+OK 3 usable Sentinels. Quorum and failover authorization can be reached\r\n"
	}
	return common(words)
}

func master(cluster int) string {
	return bulks("name", clusterName(cluster), "ip", fleetIP(cluster, 0), "port", strconv.Itoa(redisPort),
		"runid", id(0, cluster, 0), "flags", "master", "link-pending-commands", "0", "link-refcount", "1",
		"last-ping-sent", "0", "last-ok-ping-reply", "483", "last-ping-reply", "483",
		"down-after-milliseconds", millis(downAfter), "info-refresh", "1498", "role-reported", "master",
		"role-reported-time", "1501", "config-epoch", "0", "num-slaves", "2", "num-other-sentinels", "2",
		"quorum", strconv.Itoa(quorum), "failover-timeout", millis(failoverTimeout), "parallel-syncs", "1")
}

// known is a replica or another Sentinel as a Sentinel lists it.
func known(cluster, node int, flags string) string {
	port, use := redisPort, 0
	if flags == "sentinel" {
		port, use = sentinelPort, 3
	}
	ip := fleetIP(cluster, node)
	return bulks("name", fmt.Sprintf("%s:%d", ip, port), "ip", ip, "port", strconv.Itoa(port),
		"runid", id(use, cluster, node), "flags", flags, "link-pending-commands", "0", "link-refcount", "1",
		"last-ping-sent", "0", "last-ok-ping-reply", "483", "last-ping-reply", "483",
		"down-after-milliseconds", millis(downAfter), "master-link-status", "ok", "slave-priority", "100")
}

// common is what both kinds reply alike.
func common(words []string) string {
	switch words[0] {
	case "PING":
		return "+PONG\r\n"
	case "CLIENT":
		return "+OK\r\n"
	case "HELLO":
		return bulks("server", "redis", "version", "7.0.15", "proto", "2")
	}
	return "-ERR unknown command\r\n"
}

// fill puts values in the place of {names}, and makes the lines those of the wire.
func fill(text string, pairs ...string) string {
	for i := 0; i < len(pairs); i += 2 {
		text = strings.Replace(text, "{"+pairs[i]+"}", pairs[i+1], 1)
	}
	return strings.ReplaceAll(text, "\n", "\r\n")
}

func bulk(text string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(text), text) }

func bulks(texts ...string) string {
	items := make([]string, len(texts))
	for i, text := range texts {
		items[i] = bulk(text)
	}
	return array(items...)
}

func array(items ...string) string {
	return fmt.Sprintf("*%d\r\n%s", len(items), strings.Join(items, ""))
}

func millis(duration string) string {
	d, err := time.ParseDuration(duration)
	if err != nil {
		return duration
	}
	return strconv.FormatInt(d.Milliseconds(), 10)
}
