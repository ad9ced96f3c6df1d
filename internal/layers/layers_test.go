package layers

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "rsm"

// TestLayers holds the table for every package of the module.
func TestLayers(t *testing.T) {
	t.Parallel()
	readFolders(t)
	g := listImports(t)
	for _, want := range []string{"schema", "reconcile", "reconcile/observe", "cmd/rsm"} {
		if g[want] == nil {
			t.Errorf("go list did not report %s", want)
		}
	}
	for _, broken := range g.violations() {
		t.Error(broken)
	}
}

// listImports asks the go command what each package of the module imports,
// tests not counted.
func listImports(t *testing.T) graph {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Imports", "./...")
	cmd.Dir = filepath.Join("..", "..")
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list: %v: %s", err, exit.Stderr)
		}
		t.Fatalf("go list: %v", err)
	}
	g := graph{}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var pkg struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&pkg); errors.Is(err, io.EOF) {
			return g
		} else if err != nil {
			t.Fatalf("read go list: %v", err)
		}
		name, ours := strings.CutPrefix(pkg.ImportPath, module+"/")
		if !ours {
			continue
		}
		g[name] = []string{}
		for _, path := range pkg.Imports {
			g[name] = append(g[name], strings.TrimPrefix(path, module+"/"))
		}
	}
}

// readFolders looks into every folder of the module. go test repeats a test whose
// files changed only when the test itself has looked at them; go list has not.
func readFolders(t *testing.T) {
	t.Helper()
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "bin") {
			return filepath.SkipDir
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestBrokenLayers is the proof that TestLayers can fail, rule by rule.
func TestBrokenLayers(t *testing.T) {
	t.Parallel()
	g := graph{
		"schema":             {"cuelang.org/go/cue", "os"},
		"internal/resp":      {"schema"},
		"internal/supervise": {"internal/redistest"},
		"internal/redistest": {"internal/resp", "os/exec"},
		"reconcile":          {"schema", "time", "net/netip", "os", "log/slog", "github.com/redis/go-redis/v9", "reconcile/host"},
		"reconcile/observe":  {"reconcile", "github.com/redis/go-redis/v9", "github.com/urfave/cli/v2"},
		"reconcile/host":     {"reconcile", "reconcile/observe", "golang.org/x/sys/unix"},
		"runtime/agent":      {"github.com/shirou/gopsutil/v4/cpu", "runtime/worker"},
		"runtime/worker":     {"example.org/handy", "github.com/rogpeppe/go-internal/txtar"},
		"extra":              {"fmt"},
		"cmd/rsm":            {"runtime/agent", "reconcile/host", "github.com/urfave/cli/v2", "cuelang.org/go/cue"},
	}
	want := []string{
		"cmd/rsm imports cuelang.org/go/cue: its home is schema",
		"extra is in no layer: add it to the table",
		"internal/resp imports schema: siblings do not know each other",
		"internal/supervise imports internal/redistest: only tests may",
		"reconcile imports github.com/redis/go-redis/v9: its home is reconcile/observe, reconcile/execute, runtime/",
		"reconcile imports log/slog: package reconcile is pure",
		"reconcile imports net/netip: package reconcile is pure",
		"reconcile imports os: package reconcile is pure",
		"reconcile imports reconcile/host: it is in a higher layer",
		"reconcile/host imports reconcile/observe: siblings do not know each other",
		"reconcile/observe imports github.com/urfave/cli/v2: its home is cmd/rsm",
		"runtime/agent imports runtime/worker: siblings do not know each other",
		"runtime/worker imports example.org/handy: this library has no home: add it to the table",
		"runtime/worker imports github.com/rogpeppe/go-internal/txtar: only tests may",
	}
	if got := g.violations(); !slices.Equal(got, want) {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestPureClock: package reconcile takes the time from a field, so that tests
// own it. Only a method called now may read the machine's clock, as the default
// of such a field.
func TestPureClock(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("..", "..", "reconcile", "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("found no files of package reconcile: %v", err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		for _, at := range clockUses(t, file, nil) {
			t.Errorf("%s: package reconcile is pure", at)
		}
	}
	made := "package p\nimport \"time\"\nvar start = time.Now()\nfunc (p p) now() time.Time { return time.Now() }\n"
	if got := clockUses(t, "p.go", made); !slices.Equal(got, []string{"p.go:3:13 time.Now"}) {
		t.Errorf("in a made-up file: %v", got)
	}
}

func clockUses(t *testing.T, file string, source any) []string {
	t.Helper()
	fset := token.NewFileSet()
	parsed, err := parser.ParseFile(fset, file, source, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var uses []string
	ast.Inspect(parsed, func(n ast.Node) bool {
		if f, ok := n.(*ast.FuncDecl); ok && f.Name.Name == "now" {
			return false
		}
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		pkg, ok := sel.X.(*ast.Ident)
		if ok && pkg.Name == "time" && slices.Contains([]string{"Now", "Since", "Until", "Sleep"}, sel.Sel.Name) {
			uses = append(uses, fset.Position(sel.Pos()).String()+" time."+sel.Sel.Name)
		}
		return true
	})
	return uses
}
