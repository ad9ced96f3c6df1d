package proxy

import (
	"fmt"
	"strings"
	"syscall"
	"time"

	"rsm/bench/ports"
)

// reserve is how many descriptors a process needs beside those of its clients.
const reserve = 100

// descriptors is how many files a process may open here. The programs that are
// started inherit it: raiseLimit has made it as high as the system lets it be.
func descriptors() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 1024
	}
	return int(min(limit.Cur, 1<<20))
}

// raiseLimit sets the soft limit of descriptors to the hard one. Go does that for
// itself, but gives programs that it starts the old one unless it is set here.
func raiseLimit() error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("read limit of descriptors: %w", err)
	}
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("raise limit of descriptors: %w", err)
	}
	return nil
}

// mostClients is the maxclients of the server: enough, if the system allows it.
func mostClients() int { return min(20_000, descriptors()-reserve) }

func freePorts(n int) ([]int, error) {
	first, err := ports.Block(n)
	if err != nil {
		return nil, err
	}
	all := make([]int, n)
	for i := range all {
		all[i] = first + i
	}
	return all, nil
}

// haproxyConfig is HAProxy as a person sets it up for speed: both cores, no logs,
// no limits that are reached. It takes two descriptors per client, so maxconn is
// less than 20,000 where the system allows fewer than 40,000 descriptors.
//
// With several servers it follows the master in the quickest form there is: one
// answer decides, twice a second, and clients of a server that is master no more
// are cut.
func haproxyConfig(port int, servers []int) string {
	var b strings.Builder
	fmt.Fprintf(&b, `global
  maxconn %d
  nbthread 2
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
frontend clients
  bind 127.0.0.1:%d backlog 4096
  default_backend redis
backend redis
`, min(20_000, (descriptors()-reserve)/2), port)
	if len(servers) == 1 {
		fmt.Fprintf(&b, "  server master %s\n", endpoint(servers[0]))
		return b.String()
	}
	b.WriteString(`  option tcp-check
  tcp-check connect
  tcp-check send PING\r\n
  tcp-check expect string +PONG
  tcp-check send INFO\ replication\r\n
  tcp-check expect string role:master
  tcp-check send QUIT\r\n
  tcp-check expect string +OK
  default-server inter 500ms fall 1 rise 1 on-marked-down shutdown-sessions
`)
	for i, server := range servers {
		fmt.Fprintf(&b, "  server r%d %s check\n", i+1, endpoint(server))
	}
	return b.String()
}

// nutcrackerConfig is twemproxy with one server and what it has by default.
func nutcrackerConfig(port, server int) string {
	return fmt.Sprintf(`%s:
  listen: 127.0.0.1:%d
  redis: true
  preconnect: true
  auto_eject_hosts: false
  server_connections: 1
  backlog: 4096
  servers:
    - 127.0.0.1:%d:1
`, masterName, port, server)
}

// spec declares a cluster with such ports in CUE, and, unless listen is 0, a
// proxy before it.
func spec(redis, sentinels []int, downAfter time.Duration, listen int) string {
	var b strings.Builder
	nodes := func(prefix string, ports []int) {
		b.WriteString("\t\tnodes: {")
		for i, port := range ports {
			fmt.Fprintf(&b, "%s%d: port: %d, ", prefix, i+1, port)
		}
		b.WriteString("}\n")
	}
	fmt.Fprintf(&b, "package bench\n\nclusters: %s: {\n\tredis: {\n", masterName)
	nodes("r", redis)
	b.WriteString("\t\tconfig: {save: \"\", \"repl-diskless-sync-delay\": 0}\n\t\tseed: \"r1\"\n\t}\n\tsentinel: {\n")
	nodes("s", sentinels)
	fmt.Fprintf(&b, "\t\tquorum: 2\n\t\tdownAfter: %q\n\t\tfailoverTimeout: \"10s\"\n\t}\n}\n", downAfter)
	if listen != 0 {
		fmt.Fprintf(&b, "proxies: p1: {listeners: main: port: %d, maxClients: 20000}\n", listen)
	}
	return b.String()
}
