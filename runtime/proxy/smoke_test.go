package proxy_test

import (
	"context"
	"log/slog"
	"os"
	"testing"
	"time"

	"rsm/internal/redistest"
	"rsm/runtime/proxy"
	"rsm/schema"
)

func TestSmoke(t *testing.T) {
	if os.Getenv("SMOKE") == "" {
		return
	}
	c := redistest.StartCluster(t, "lain", 2, 3)
	role := schema.ProxyRole{}
	role.Cluster.Name = "lain"
	for i, r := range c.Redis {
		role.Cluster.Redis.Nodes = append(role.Cluster.Redis.Nodes, schema.RedisNode{Name: string(rune('a' + i)), Addr: schema.Addr(r.Addr())})
	}
	for i, s := range c.Sentinels {
		role.Cluster.Sentinel.Nodes = append(role.Cluster.Sentinel.Nodes, schema.SentinelNode{Name: string(rune('a' + i)), Addr: schema.Addr(s.Addr())})
	}
	role.Cluster.Sentinel.DownAfter = time.Second
	role.Proxy = schema.Proxy{Name: "p", Cluster: "lain", Hold: 10 * time.Second, HoldMemory: 64 << 20, Fence: 3 * time.Second, Threads: 1, MaxClients: 10000,
		Listeners: []schema.Listener{{Name: "main", Addr: "127.0.0.1:8889"}}}
	p, err := proxy.New(role, slog.New(slog.NewTextHandler(os.Stderr, nil)))
	if err != nil {
		t.Fatal(err)
	}
	println("master", c.Redis[0].Addr())
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	go func() {
		for {
			if _, err := os.Stat("/tmp/smoke/stop"); err == nil {
				cancel()
				return
			}
			time.Sleep(200 * time.Millisecond)
		}
	}()
	if err := p.Run(ctx); err != nil {
		t.Fatal(err)
	}
}
