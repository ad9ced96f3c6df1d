package proxy

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestSpecIsValid holds the generator to the schema of the rsm beside it.
func TestSpecIsValid(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rsm, spec := filepath.Join(dir, "rsm"), filepath.Join(dir, "spec.cue")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", rsm, "./cmd/rsm")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	if err := os.WriteFile(spec, []byte(failoverSpec([]int{1, 2, 3}, []int{4, 5, 6})), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(rsm, "validate", spec).CombinedOutput(); err != nil {
		t.Errorf("validate: %v\n%s", err, out)
	}
}

// TestProxyRole reads what rsm reads: field names of schema.ProxyRole.
func TestProxyRole(t *testing.T) {
	t.Parallel()
	text, err := proxyRole(8889, []int{1, 2}, []int{3, 4, 5})
	if err != nil {
		t.Fatal(err)
	}
	var role struct {
		Proxy struct {
			Hold      int64
			Listeners []struct{ Addr, Read, Login string }
		}
		Cluster struct {
			Name            string
			Redis, Sentinel struct{ Nodes []struct{ Name, Addr string } }
		}
	}
	if err := json.Unmarshal([]byte(text), &role); err != nil {
		t.Fatal(err)
	}
	if len(role.Proxy.Listeners) != 1 || role.Proxy.Listeners[0].Addr != "127.0.0.1:8889" || role.Proxy.Hold != 10e9 ||
		role.Cluster.Name != masterName || len(role.Cluster.Redis.Nodes) != 2 || role.Cluster.Sentinel.Nodes[2].Addr != "127.0.0.1:5" {
		t.Errorf("role is %+v", role)
	}
}

func TestHAProxyConfig(t *testing.T) {
	t.Parallel()
	one, three := haproxyConfig(7000, []int{1}), haproxyConfig(7000, []int{1, 2, 3})
	if strings.Contains(one, "check") || !strings.Contains(one, "bind 127.0.0.1:7000") {
		t.Errorf("one server is checked, or nobody listens:\n%s", one)
	}
	if strings.Count(three, " check\n") != 3 || !strings.Contains(three, "expect string role:master") {
		t.Errorf("three servers are not checked for their role:\n%s", three)
	}
}
