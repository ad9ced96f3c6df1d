package main

import (
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
)

// TestSpecsAreValid holds the generator to the schema of the rsm beside it.
func TestSpecsAreValid(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rsm := filepath.Join(dir, "rsm")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", rsm, "./cmd/rsm")
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	for name, spec := range map[string]string{"real": realSpec(3, 20000), "fleet": fleetSpec(3)} {
		file := filepath.Join(dir, name+".cue")
		if err := os.WriteFile(file, []byte(spec), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(rsm, "validate", file).CombinedOutput(); err != nil {
			t.Errorf("validate %s: %v\n%s", name, err, out)
		}
	}
}

func TestRealSpecUsesEveryPortOnce(t *testing.T) {
	t.Parallel()
	const clusters, base = 50, 20000
	seen := map[int]bool{}
	for _, match := range regexp.MustCompile(`port: (\d+)`).FindAllStringSubmatch(realSpec(clusters, base), -1) {
		port, err := strconv.Atoi(match[1])
		if err != nil || seen[port] || port < base || port >= base+6*clusters {
			t.Errorf("port %s: twice, or outside of the block", match[1])
		}
		seen[port] = true
	}
	if len(seen) != 6*clusters {
		t.Errorf("%d ports, want %d", len(seen), 6*clusters)
	}
}

func TestFleetAddresses(t *testing.T) {
	t.Parallel()
	for cluster := range 1000 {
		for node := range 3 {
			ip, err := netip.ParseAddr(fleetIP(cluster, node))
			if err != nil {
				t.Fatal(err)
			}
			c, n, err := fleetNode(ip)
			if err != nil || c != cluster || n != node {
				t.Fatalf("%s is node %d of cluster %d (%v), want %d of %d", ip, n, c, err, node, cluster)
			}
		}
	}
	if _, _, err := fleetNode(netip.MustParseAddr("10.0.0.1")); err == nil {
		t.Error("10.0.0.1 is the machine itself, no node of the fleet")
	}
}
