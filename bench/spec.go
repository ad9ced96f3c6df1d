package main

import (
	"fmt"
	"strings"
)

// The settings that every generated cluster has, real or fake.
const (
	quorum          = 2
	downAfter       = "5s"
	failoverTimeout = "60s"
	maxmemory       = "8mb"
)

// clusterName names the cluster with an index, counted from 0.
func clusterName(i int) string { return fmt.Sprintf("c%04d", i+1) }

// realSpec declares n clusters on this machine, six ports each from base on.
func realSpec(n, base int) string {
	var b strings.Builder
	b.WriteString("package bench\n\nclusters: {\n")
	for i := range n {
		port := base + 6*i
		writeCluster(&b, clusterName(i), func(kind string, node int) string {
			if kind == "s" {
				return fmt.Sprintf("port: %d", port+3+node)
			}
			return fmt.Sprintf("port: %d", port+node)
		})
	}
	b.WriteString("}\n")
	return b.String()
}

// fleetSpec declares n clusters on three machines each, with one redis-server
// and one Sentinel on every machine.
func fleetSpec(n int) string {
	var b strings.Builder
	b.WriteString("package bench\n\nhosts: {\n")
	for i := range n {
		for node := range 3 {
			fmt.Fprintf(&b, "\t%q: address: %q\n", hostName(i, node), fleetIP(i, node))
		}
	}
	b.WriteString("}\nclusters: {\n")
	for i := range n {
		writeCluster(&b, clusterName(i), func(kind string, node int) string {
			port := redisPort
			if kind == "s" {
				port = sentinelPort
			}
			return fmt.Sprintf("{host: %q, port: %d}", hostName(i, node), port)
		})
	}
	b.WriteString("}\n")
	return b.String()
}

func hostName(cluster, node int) string { return clusterName(cluster) + string(rune('a'+node)) }

// writeCluster writes one cluster; place says where a node runs, by its kind
// ("r" or "s") and its number from 0.
func writeCluster(b *strings.Builder, name string, place func(kind string, node int) string) {
	fmt.Fprintf(b, "\t%s: {\n\t\tredis: {\n", name)
	writeNodes(b, "\t\t\t", "r", place)
	fmt.Fprintf(b, "\t\t\tconfig: {maxmemory: %q, save: \"\", \"repl-diskless-sync-delay\": 0}\n\t\t\tseed: \"r1\"\n\t\t}\n", maxmemory)
	b.WriteString("\t\tsentinel: {\n")
	writeNodes(b, "\t\t\t", "s", place)
	fmt.Fprintf(b, "\t\t\tquorum: %d\n\t\t\tdownAfter: %q\n\t\t\tfailoverTimeout: %q\n\t\t}\n\t}\n", quorum, downAfter, failoverTimeout)
}

func writeNodes(b *strings.Builder, indent, kind string, place func(string, int) string) {
	b.WriteString(indent + "nodes: {\n")
	for node := range 3 {
		fmt.Fprintf(b, "%s\t%s%d: %s\n", indent, kind, node+1, place(kind, node))
	}
	b.WriteString(indent + "}\n")
}
