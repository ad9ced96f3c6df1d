package schema

import (
	"context"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "rewrite golden files")

// TestGolden loads the spec of each txtar file and compares the problems (file
// "problems") and, when that is there, the spec (file "spec.json"). A file
// "path" names what to load, relative to the spec directory.
func TestGolden(t *testing.T) {
	t.Parallel()
	cases, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(cases) < 20 {
		t.Fatalf("found %d cases, %v", len(cases), err)
	}
	for _, name := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			t.Parallel()
			golden(t, name)
		})
	}
}

func golden(t *testing.T, name string) {
	archive, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	dir, path := t.TempDir(), ""
	for _, f := range archive.Files {
		switch f.Name {
		case "problems", "spec.json":
		case "path":
			path = strings.TrimSpace(string(f.Data))
		default:
			write(t, filepath.Join(dir, f.Name), string(f.Data))
		}
	}
	spec, problems := Load(context.Background(), filepath.Join(dir, path), Limits{})
	if problems.Invalid() != (spec == nil) {
		t.Errorf("spec is nil: %v, but invalid: %v", spec == nil, problems.Invalid())
	}
	var text strings.Builder
	if err := problems.WriteText(&text, true); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{"problems": strings.ReplaceAll(text.String(), dir, "DIR")}
	if spec != nil {
		if spec.Digest == "" || len(spec.Positions) == 0 {
			t.Error("spec has no digest or positions")
		}
		spec.Digest, spec.Positions = "", nil
		out, err := json.MarshalIndent(spec, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		got["spec.json"] = strings.ReplaceAll(string(out), dir, "DIR") + "\n"
	}
	if strings.Contains(text.String(), "hunter2") {
		t.Errorf("a secret is printed:\n%s", text.String())
	}
	compare(t, name, archive, got)
}

func compare(t *testing.T, name string, archive *txtar.Archive, got map[string]string) {
	for i, f := range archive.Files {
		if want, golden := got[f.Name]; golden && want != string(f.Data) {
			if !*update {
				t.Errorf("%s: got\n%s\nwant\n%s", f.Name, want, f.Data)
			}
			archive.Files[i].Data = []byte(want)
		}
	}
	if *update {
		if err := os.WriteFile(name, txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}
