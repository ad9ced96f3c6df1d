package schema

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// fleet writes a spec of n clusters with 6 roles each, a file per cluster.
func fleet(t testing.TB, n int, imports bool) string {
	t.Helper()
	dir := t.TempDir()
	before := "package fleet\n\n"
	of := ""
	if imports {
		before, of = before+"import \"rsm.dev/schema\"\n\n", "schema.#Cluster & "
	}
	write(t, filepath.Join(dir, "hosts.cue"), "package fleet\n\nhosts: {h1: address: \"10.0.0.1\", h2: address: \"10.0.0.2\", h3: address: \"10.0.0.3\"}\n")
	for i := range n {
		var b strings.Builder
		fmt.Fprintf(&b, "%sclusters: \"c%04d\": %s{\n", before, i, of)
		b.WriteString("\tredis: {\n\t\tversion: \">=7\"\n\t\tconfig: {\n\t\t\tmaxmemory: \"100mb\"\n\t\t\tappendonly: true\n\t\t\tsave: \"900 1\"\n\t\t}\n\t\tnodes: {\n")
		for j, name := range []string{"a", "b", "c"} {
			fmt.Fprintf(&b, "\t\t\t%s: {\n\t\t\t\thost: \"h%d\"\n\t\t\t\tport: %d\n\t\t\t}\n", name, j+1, 10000+i)
		}
		b.WriteString("\t\t}\n\t}\n\tsentinel: {\n\t\tquorum: 2\n\t\tdownAfter: \"5s\"\n\t\tnodes: {\n")
		for j := range 3 {
			fmt.Fprintf(&b, "\t\t\ts%d: {\n\t\t\t\thost: \"h%d\"\n\t\t\t\tport: %d\n\t\t\t}\n", j, j+1, 30000+i)
		}
		b.WriteString("\t\t}\n\t}\n}\n")
		write(t, filepath.Join(dir, fmt.Sprintf("c%04d.cue", i)), b.String())
	}
	return dir
}

// TestFleet: a thousand clusters fit into the memory that one rsm may take.
func TestFleet(t *testing.T) {
	dir := fleet(t, 1000, true)
	spec, problems := LoadIsolated(context.Background(), self(t, "evaluate"), dir, Limits{Memory: 200 << 20, Seconds: 60})
	if spec == nil || len(spec.Clusters) != 1000 {
		t.Fatal(problems)
	}
}

func BenchmarkLoad(b *testing.B) {
	for _, n := range []int{1, 10, 100, 1000} {
		dir := fleet(b, n, true)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if spec, problems := Load(b.Context(), dir, Limits{}); spec == nil {
					b.Fatal(problems)
				}
			}
		})
		b.Run(fmt.Sprint(n, "-isolated"), func(b *testing.B) {
			for b.Loop() {
				if spec, problems := LoadIsolated(b.Context(), self(b, "evaluate"), dir, Limits{}); spec == nil {
					b.Fatal(problems)
				}
			}
		})
	}
}
