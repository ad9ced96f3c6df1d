package proxy_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"rsm/internal/redistest"
	"rsm/runtime/proxy"
	"rsm/schema"
)

// newPair starts two equal servers and a proxy in front of the second.
func newPair(t testing.TB, config ...string) *lockstep {
	t.Helper()
	// DEBUG DIGEST compares datasets; what blocks is told of its timeout at 1/hz.
	config = append([]string{"enable-debug-command yes", "hz 500"}, config...)
	direct, proxied := redistest.Start(t, config...), redistest.Start(t, config...)
	addr, socket := front(t, proxied)
	return newLockstep(t, direct, proxied, addr, socket)
}

// front runs a proxy before one server and returns where it listens, when it
// serves.
func front(t testing.TB, server *redistest.Server) (addr, socket string) {
	t.Helper()
	role := newRole(t, server.Addr(), sentinel(t, server.Addr()).Addr())
	run(t, role)
	addr = string(role.Proxy.Listeners[0].Addr)
	awaitPong(t, addr)
	return addr, role.Proxy.Listeners[1].Socket
}

// sentinel runs one Sentinel that names the server at addr the master.
func sentinel(t testing.TB, addr string) *redistest.Server {
	t.Helper()
	host, port, _ := net.SplitHostPort(addr)
	return redistest.StartSentinel(t, fmt.Sprintf("sentinel monitor cache %s %s 1", host, port),
		"sentinel down-after-milliseconds cache 1000")
}

// newRole is what a proxy is told that listens on a free port and a socket.
func newRole(t testing.TB, node string, sentinels ...string) schema.ProxyRole {
	t.Helper()
	role := schema.ProxyRole{
		Cluster: schema.Cluster{
			Name:     "cache",
			Redis:    schema.Redis{Nodes: []schema.RedisNode{{Name: "redis-1", Addr: schema.Addr(node)}}},
			Sentinel: schema.Sentinel{Quorum: 1, DownAfter: time.Second},
		},
		Proxy: schema.Proxy{
			Name: "proxy-1", Cluster: "cache", Hold: 10 * time.Second, HoldMemory: 64 << 20, Fence: 3 * time.Second, Threads: 2, MaxClients: 1000,
			Listeners: []schema.Listener{
				{Name: "main", Addr: schema.NewAddr("127.0.0.1", redistest.Ports(t, 1)[0]), Read: schema.ReadMaster, Login: schema.LoginClient},
				{Name: "socket", Socket: filepath.Join(t.TempDir(), "socket"), Read: schema.ReadMaster, Login: schema.LoginClient},
			},
		},
	}
	for i, addr := range sentinels {
		role.Cluster.Sentinel.Nodes = append(role.Cluster.Sentinel.Nodes,
			schema.SentinelNode{Name: "sentinel-" + strconv.Itoa(i), Addr: schema.Addr(addr)})
	}
	return role
}

// run has a proxy run until the test ends.
func run(t testing.TB, role schema.ProxyRole) *proxy.Proxy {
	t.Helper()
	p, stop := runUntil(t, role)
	t.Cleanup(stop)
	return p
}

// runUntil has a proxy run until it is stopped.
func runUntil(t testing.TB, role schema.ProxyRole) (*proxy.Proxy, func()) {
	t.Helper()
	p, err := proxy.New(role, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	return p, sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("the proxy ended with %v", err)
			}
		case <-time.After(patience):
			t.Error("the proxy does not end")
		}
	})
}

// awaitPong waits until the proxy knows its master.
func awaitPong(t testing.TB, addr string) {
	t.Helper()
	redistest.Wait(t, patience, func() error {
		_, err := redistest.Do(addr, "GET", "nokey")
		return err
	})
}
