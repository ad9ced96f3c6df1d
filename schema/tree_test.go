package schema

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// TestTreeEqualsDisk: every golden case has the same spec and problems when it
// is read from memory, in a directory of a repository.
func TestTreeEqualsDisk(t *testing.T) {
	t.Parallel()
	cases, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(cases) == 0 {
		t.Fatal(cases, err)
	}
	for _, name := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			tree := Tree{Path: "repo", Files: map[string][]byte{"README.md": nil}}
			for _, f := range archive.Files {
				switch f.Name {
				case "problems", "spec.json":
				case "path":
					tree.Path = "repo/" + strings.TrimSpace(string(f.Data))
				default:
					// Paths that only a machine has are made absolute.
					text := strings.NewReplacer(`file: "`, `file: "/`, `"tls/`, `"/tls/`, `socket: "`, `socket: "/`).Replace(string(f.Data))
					write(t, filepath.Join(dir, "repo", f.Name), text)
					tree.Files["repo/"+f.Name] = []byte(text)
				}
			}
			want := told(t)(Load(t.Context(), filepath.Join(dir, tree.Path), Limits{}))
			want = strings.ReplaceAll(want, dir+"/", "")
			if got := told(t)(LoadTree(t.Context(), tree, Limits{})); got != want {
				t.Errorf("got %s\nwant %s", got, want)
			}
		})
	}
}

// told is all that a load answers, but where else to look for a spec and what a
// tree must not name.
func told(t *testing.T) func(*Spec, Problems) string {
	return func(spec *Spec, problems Problems) string {
		t.Helper()
		problems = slices.DeleteFunc(problems, func(p Problem) bool { return p.Code == CodeRelative })
		for i := range problems {
			if problems[i].Code == CodePath || problems[i].Code == CodeEmpty {
				problems[i].Hint = ""
			}
		}
		text, err := json.MarshalIndent(answer{Spec: spec, Problems: problems}, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
}

const oneCluster = `package deploy

clusters: cache: {
	redis: nodes: {a: port: 6379, b: port: 6380}
	sentinel: nodes: {s1: port: 26379, s2: port: 26380, s3: port: 26381}
	auth: password: PASSWORD
}
`

// TestTree: what only a spec of a repository has.
func TestTree(t *testing.T) {
	t.Parallel()
	module := "module: \"example.com/ops@v0\"\nlanguage: version: \"v0.9.0\"\n"
	env := strings.ReplaceAll(oneCluster, "PASSWORD", `env: "PW"`)
	tests := []struct {
		name  string
		tree  Tree
		limit Limits
		want  []string // each is in the text of the problems; none: it is valid
	}{
		{name: "root", tree: Tree{Files: texts("a.cue", env)}},
		{name: "root as a dot", tree: Tree{Path: ".", Files: texts("a.cue", env)}},
		{name: "file", tree: Tree{Path: "deploy/a.cue", Files: texts("deploy/a.cue", env, "deploy/b.cue", "!")}},
		{name: "import", tree: Tree{Path: "deploy/prod", Files: texts(
			"cue.mod/module.cue", module, "base/base.cue", "package base\nports: 6400\n",
			"deploy/prod/a.cue", strings.ReplaceAll(env, "package deploy", "package deploy\nimport \"example.com/ops/base\"\n_x: base.ports"))}},
		{name: "import of a bad file", tree: Tree{Path: "deploy", Files: texts(
			"cue.mod/module.cue", module, "base/base.cue", "package base\nports: !\n",
			"deploy/a.cue", "package deploy\nimport \"example.com/ops/base\"\n_x: base.ports")}, want: []string{"base/base.cue:2:", "RSM003"}},
		{name: "no such path", tree: Tree{Path: "prod", Files: texts("deploy/a.cue", env)}, want: []string{"prod: error RSM001", "from the root of the repository"}},
		{name: "part of a name", tree: Tree{Path: "dep", Files: texts("deploy/a.cue", env)}, want: []string{"dep: error RSM001"}},
		{name: "in another directory", tree: Tree{Files: texts("deploy/a.cue", env)}, want: []string{"RSM002", "some in deploy:"}},
		{name: "above the root", tree: Tree{Path: "../../etc", Files: texts("a.cue", env)}, want: []string{"etc: error RSM001"}},
		{name: "place", tree: Tree{Path: "deploy", Files: texts("deploy/a.cue", "package deploy\n\nclusters: x: {}\n")}, want: []string{"deploy/a.cue:3:11: error RSM022"}},
		{name: "relative secret", tree: Tree{Path: "deploy", Files: texts("deploy/a.cue", strings.ReplaceAll(oneCluster, "PASSWORD", `file: "pw"`), "deploy/pw", "x")},
			want: []string{"deploy/a.cue:6:", "error RSM072", "absolute path"}},
		{name: "absolute secret", tree: Tree{Path: "deploy", Files: texts("deploy/a.cue", strings.ReplaceAll(oneCluster, "PASSWORD", `file: "/run/pw"`))}},
		{name: "embed", tree: Tree{Files: texts("a.cue", "@extern(embed)\npackage deploy\nclusters: {}\nx: _ @embed(file=/etc/passwd,type=text)\n")}, want: []string{"a.cue:1:1: error RSM007"}},
		{name: "too big", tree: Tree{Files: texts("a.cue", env)}, limit: Limits{FileSize: 10}, want: []string{"RSM008"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			spec, problems := LoadTree(t.Context(), test.tree, test.limit)
			var text strings.Builder
			if err := problems.WriteText(&text, true); err != nil {
				t.Fatal(err)
			}
			if (spec != nil) != (len(test.want) == 0) {
				t.Errorf("spec %v, problems %s", spec, text.String())
			}
			for _, want := range test.want {
				if !strings.Contains(text.String(), want) {
					t.Errorf("%q is not in %s", want, text.String())
				}
			}
			want := told(t)(spec, problems)
			if got := told(t)(LoadTreeIsolated(t.Context(), self(t, "evaluate"), test.tree, test.limit)); got != want {
				t.Errorf("isolated: got %s\nwant %s", got, want)
			}
		})
	}
}

// texts makes the files of a tree from names and contents in turn.
func texts(pairs ...string) map[string][]byte {
	files := map[string][]byte{}
	for i := 0; i < len(pairs); i += 2 {
		files[pairs[i]] = []byte(pairs[i+1])
	}
	return files
}
