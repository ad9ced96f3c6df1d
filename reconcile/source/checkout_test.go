package source

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"rsm/schema"
)

// TestTreeIsWhatIsRead: the files of the module, or those below the path, and a
// hash that moves with them alone.
func TestTreeIsWhatIsRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write("README.md", "hello")
	w.write("other/x.cue", "package other")
	w.write("ops/cue.mod/module.cue", "module: \"example.com/ops@v0\"\nlanguage: version: \"v0.9.0\"\n")
	w.write("ops/base/base.cue", "package base\nports: 6379")
	w.write("ops/prod/notes.txt", "hello")
	w.write("lone/sub/b.cue", "package lone")
	commit := w.commit("ops/prod/a.cue", "package prod\nimport \"example.com/ops/base\"\n_p: base.ports\nclusters: {}")
	w.commit("lone/a.cue", "package lone")
	w.must(os.Symlink("nowhere", filepath.Join(w.work, "other/link"))) // nobody's business
	w.commit("lone/a.cue", "package lone\nclusters: {}\n")
	w.push()
	module := []string{"ops/base/base.cue", "ops/cue.mod/module.cue", "ops/prod/a.cue"}
	sources := map[string]*Git{}
	for path, want := range map[string][]string{
		"ops/prod": module, "/ops/prod/": module, "ops/prod/a.cue": module, "ops": module,
		"lone": {"lone/a.cue", "lone/sub/b.cue"}, "lone/a.cue": {"lone/a.cue"}, "nowhere": nil, "README.md/x": nil,
	} {
		g := w.open(Config{Path: path})
		sources[path] = g
		r, err := g.Fetch(t.Context(), "")
		if err != nil {
			t.Fatal(path, err)
		}
		tree, err := g.Tree(r.Commit)
		if err != nil {
			t.Fatal(path, err)
		}
		if got := slices.Sorted(maps.Keys(tree.Files)); !slices.Equal(got, want) {
			t.Errorf("%s: read %v, want %v", path, got, want)
		}
		if _, problems := schema.LoadTree(t.Context(), tree, schema.Limits{}); problems.Invalid() != (path == "nowhere" || path == "ops" || path == "README.md/x") {
			t.Errorf("%s: %v", path, problems)
		}
	}
	g := sources["ops/prod"]
	hash := func(commit string) string {
		t.Helper()
		if _, err := g.Fetch(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		r, err := g.Revision(commit)
		if err != nil {
			t.Fatal(err)
		}
		return r.Tree
	}
	before := hash(commit)
	same := w.commit("ops/prod/notes.txt", "other notes")
	w.push()
	if hash(same) != before {
		t.Error("the hash moved with a file that is not read")
	}
	moved := w.commit("ops/base/base.cue", "package base\nports: 6380")
	w.push()
	if hash(moved) == before {
		t.Error("the hash did not move with an imported file")
	}
}

// TestRefused: what must not be read is named, with what to do, and the commit
// is told nevertheless.
func TestRefused(t *testing.T) {
	t.Parallel()
	link := func(w *world, name, to string) {
		w.must(os.MkdirAll(filepath.Dir(filepath.Join(w.work, name)), 0o755))
		w.must(os.Symlink(to, filepath.Join(w.work, name)))
	}
	many := func(w *world) {
		for i := range maxFiles + 1 {
			w.write(fmt.Sprintf("deploy/%d.cue", i), "")
		}
	}
	for name, test := range map[string]struct {
		make func(*world)
		want []string
	}{
		"link":      {func(w *world) { link(w, "deploy/a.cue", "/etc/passwd") }, []string{"deploy/a.cue", "symbolic link", "put the file itself"}},
		"directory": {func(w *world) { link(w, "deploy", "/etc") }, []string{"deploy: a symbolic link"}},
		"in module": {func(w *world) {
			w.write("cue.mod/module.cue", "module: \"example.com/x@v0\"")
			link(w, "base/b.cue", "../secret")
			w.write("deploy/a.cue", aSpec)
		}, []string{"base/b.cue", "symbolic link"}},
		"submodule": {func(w *world) {
			w.write("deploy/a.cue", aSpec)
			w.git("update-index", "--add", "--cacheinfo", "160000,"+strings.Repeat("a", 40)+",deploy/sub")
		}, []string{"deploy/sub", "submodule", "cue.mod/pkg"}},
		"lfs": {func(w *world) {
			w.write("deploy/a.cue", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
		}, []string{"deploy/a.cue", "Git LFS", ".gitattributes"}},
		"large": {func(w *world) { w.write("deploy/a.cue", strings.Repeat("x", maxFileSize+1)) }, []string{"deploy/a.cue", "larger than 1048576 bytes"}},
		"many":  {many, []string{"more than 10000 CUE files"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			good := w.commit("README.md", "hello")
			w.push()
			g := w.open(Config{Path: "deploy"})
			if _, err := g.Fetch(t.Context(), ""); err != nil {
				t.Fatal(err)
			}
			test.make(w)
			w.git("add", "--ignore-removal", ".")
			w.git("commit", "-q", "-m", "bad")
			w.push()
			bad := w.git("rev-parse", "HEAD")
			for range 2 { // and it stays so
				r, err := g.Fetch(t.Context(), good)
				if !errors.Is(err, ErrRefused) || r.Commit != bad || r.Subject != "bad" {
					t.Fatalf("got %+v %v", r, err)
				}
				for _, want := range append(test.want, bad) {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("%q is not in %q", want, err)
					}
				}
			}
			if _, err := g.Tree(bad); !errors.Is(err, ErrRefused) {
				t.Errorf("read: %v", err)
			}
			if _, err := g.Tree(good); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestBomb: a small commit that unfolds to a billion directories.
func TestBomb(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	object := w.run(w.bare, "git", "hash-object", "-w", "-t", "blob", w.file("blob", "x"))
	row := func(mode, kind, name string) string { return mode + " " + kind + " " + object + "\t" + name + "\n" }
	for level := range 10 {
		text := ""
		for i := range 10 {
			if level == 0 {
				text += row("100644", "blob", fmt.Sprintf("f%d", i))
			} else {
				text += row("040000", "tree", fmt.Sprintf("d%d", i))
			}
		}
		object = w.run(w.bare, "sh", "-c", "git mktree < "+w.file("tree", text))
	}
	commit := w.run(w.bare, "git", "commit-tree", "-m", "bomb", object)
	w.run(w.bare, "git", "update-ref", "refs/heads/main", commit)
	r, err := w.open(Config{}).Fetch(t.Context(), "")
	if !errors.Is(err, ErrRefused) || r.Commit != commit {
		t.Fatalf("got %+v %v", r, err)
	}
}
