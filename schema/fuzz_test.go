package schema

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// FuzzLoad: whatever the bytes are, Load answers, with a place or a spec, and
// never crashes.
func FuzzLoad(f *testing.F) {
	names, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range names {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range archive.Files {
			if filepath.Ext(file.Name) == ".cue" {
				f.Add(file.Data)
			}
		}
	}
	for _, seed := range []string{
		"", "package", "\x00", "clusters: clusters", "clusters: x: clusters.x", "clusters: [string]: clusters",
		"clusters: {a: b, b: a}", "a: [...a]", "clusters: x: redis: nodes: x: port: clusters.x.redis.nodes.x.port + 1",
		"clusters: null", "clusters: _", "clusters: _|_", "clusters: {} | {}", "clusters: [...]", "#Spec: 1\nclusters: #Spec",
		"clusters: x: {redis: {nodes: {}}} | {sentinel: {nodes: {}}}", "clusters: \"\": {}", "clusters: \"a.b\": {}",
		"import \"rsm.dev/schema\"\nclusters: schema", "import \"rsm.dev/schema\"\nschema.#Nope", "clusters: x: schema.#Cluster",
		"X=clusters: x: X", "clusters: (\"x\"): {}", "clusters: x?: {}", "clusters: x!: {}", "clusters: _x: {}", "let a = a\nclusters: a",
		"clusters: x: redis: config: a: 1e999999", "clusters: x: redis: nodes: a: port: 99999999999999999999999999",
		"[0] & [\"\"]", "[0]", "\"x\"", "clusters: x: redis: config: a: '\\xff'", "clusters: x: redis: version: \"99999999999999999999\"",
	} {
		f.Add([]byte(seed))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, content []byte) {
		path := filepath.Join(dir, "fuzz.cue")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		spec, problems := Load(t.Context(), path, Limits{})
		if (spec == nil) != problems.Invalid() {
			t.Errorf("spec %v with problems %v", spec, problems)
		}
		for _, p := range problems {
			if p.Code == CodeCrash {
				t.Errorf("CUE crashed: %v", p)
			}
			if p.Message == "" || p.File == "" || p.Severity == "" {
				t.Errorf("an empty problem: %+v", p)
			}
		}
	})
}
