package schema_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"rsm/schema"
)

// TestExample holds examples/lain.cue to what `make demo` needs.
func TestExample(t *testing.T) {
	t.Parallel()
	spec, problems := schema.Load(context.Background(), "../examples/lain.cue", schema.Limits{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	lain := spec.Cluster("lain")
	if lain == nil || len(lain.Redis.Nodes) != 3 || len(lain.Sentinel.Nodes) != 3 {
		t.Fatalf("got %+v", lain)
	}
	if r3, _ := lain.Redis.Node("r3"); r3.Addr != "127.0.0.1:17381" || r3.Priority != 50 || r3.Config["appendonly"] != "yes" {
		t.Errorf("r3 is %+v", r3)
	}
	if lain.Sentinel.DownAfter != 2*time.Second || lain.Sentinel.Quorum != 2 {
		t.Errorf("sentinel is %+v", lain.Sentinel)
	}
	if role, err := spec.ProxyRole("lain"); err != nil || role.Proxy.Addr() != "127.0.0.1:8889" || role.Proxy.Fence != 2*time.Second {
		t.Errorf("the proxy is %+v, %v", role.Proxy, err)
	}
	if at := spec.Positions["clusters.lain.redis.config.maxmemory"]; at != "lain.cue:21:4" {
		t.Errorf("maxmemory is written at %q", at)
	}
}

// A spec is loaded, its problems are shown, and the clusters are read.
func ExampleLoad() {
	spec, problems := schema.Load(context.Background(), "../examples/lain.cue", schema.Limits{})
	if err := problems.Err(); err != nil {
		fmt.Println(err)
		return
	}
	for _, node := range spec.Cluster("lain").Redis.Nodes {
		fmt.Println(node.Name, node.Addr)
	}
	// Output:
	// r1 127.0.0.1:17379
	// r2 127.0.0.1:17380
	// r3 127.0.0.1:17381
}
