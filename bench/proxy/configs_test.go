package proxy

import (
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
	rsm, file := filepath.Join(dir, "rsm"), filepath.Join(dir, "spec.cue")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", rsm, "./cmd/rsm")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	for name, text := range map[string]string{
		"without a proxy": spec([]int{1, 2, 3}, []int{4, 5, 6}, crashDownAfter, 0),
		"with one":        spec([]int{1, 2, 3}, []int{4, 5, 6}, crashDownAfter, 7),
		"of one server":   spec([]int{1}, []int{4, 5, 6}, calmDownAfter, 7),
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(rsm, "validate", file).CombinedOutput(); err != nil {
			t.Errorf("validate a spec %s: %v\n%s", name, err, out)
		}
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
