package source

import (
	"errors"
	"testing"
)

const aSpec = "package deploy\n\nclusters: {}\n"

// ways are the three kinds of URL that a repository is reached by.
var ways = map[string]func(*world) Config{
	"path": func(w *world) Config { return Config{URL: w.bare} },
	"file": func(w *world) Config { return Config{URL: "file://" + w.bare} },
	"http": func(w *world) Config { return Config{URL: w.serve(nil)} },
	"ssh":  func(w *world) Config { return w.sshd() },
}

func eachWay(t *testing.T, test func(*testing.T, *world, Config)) {
	t.Parallel()
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			test(t, w, way(w))
		})
	}
}

// is checks that polling and fetching both give a commit, and that its spec
// holds the text.
func is(t *testing.T, g *Git, last, commit, text string) Revision {
	t.Helper()
	polled, err := g.Poll(t.Context())
	if err != nil || polled != commit {
		t.Fatalf("poll: got %s %v, want %s", polled, err, commit)
	}
	r, err := g.Fetch(t.Context(), last)
	if err != nil || r.Commit != commit || r.Tree == "" || r.When.IsZero() {
		t.Fatalf("fetch: got %+v %v, want %s", r, err, commit)
	}
	holds(t, g, commit, text)
	return r
}

// holds checks what the cache has of a commit.
func holds(t *testing.T, g *Git, commit, text string) {
	t.Helper()
	tree, err := g.Tree(commit)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(tree.Files["deploy/n.cue"]); got != text {
		t.Fatalf("%s: got %q, want %q", commit, got, text)
	}
	if r, err := g.Revision(commit); err != nil || r.Commit != commit {
		t.Fatalf("revision: %+v %v", r, err)
	}
}

// TestHistory goes through all that may happen to a branch.
func TestHistory(t *testing.T) {
	eachWay(t, func(t *testing.T, w *world, c Config) {
		c.Path = "deploy"
		first := w.commit("deploy/n.cue", aSpec)
		w.push()
		g := w.open(c)
		r := is(t, g, "", first, aSpec)
		if r.Subject != "write deploy/n.cue" || r.Author != "Ada <ada@example.com>" || r.Signer != "" {
			t.Errorf("got %+v", r)
		}
		is(t, g, first, first, aSpec) // nothing new

		second := w.commit("deploy/n.cue", "package deploy\n// 2\n")
		w.push()
		is(t, g, first, second, "package deploy\n// 2\n")

		hundred := w.many(100, "more")
		w.push()
		is(t, g, second, hundred, "package deploy\n// more 99\n")

		w.write("deploy/n.cue", "package deploy\n// amended\n")
		w.git("commit", "-q", "-a", "--amend", "-m", "amended")
		amended := w.git("rev-parse", "HEAD")
		w.push()
		is(t, g, hundred, amended, "package deploy\n// amended\n")

		w.git("reset", "-q", "--hard", "HEAD~50")
		back := w.git("rev-parse", "HEAD")
		w.push()
		is(t, g, amended, back, "package deploy\n// more 49\n")

		w.git("checkout", "-q", "--orphan", "other")
		w.git("branch", "-q", "-D", "main")
		w.git("branch", "-q", "-m", "main")
		other := w.commit("deploy/n.cue", "package deploy\n// other\n")
		w.push()
		is(t, g, back, other, "package deploy\n// other\n")

		// What was there before is still here.
		holds(t, g, first, aSpec)
		holds(t, g, amended, "package deploy\n// amended\n")
		gone(t, w, g, other)
	})
}

// gone goes on to a branch and a repository that are no more.
func gone(t *testing.T, w *world, g *Git, last string) {
	t.Helper()
	expect := func(want error) {
		t.Helper()
		if _, err := g.Poll(t.Context()); !errors.Is(err, want) {
			t.Errorf("poll: got %v, want %v", err, want)
		}
		if r, err := g.Fetch(t.Context(), last); !errors.Is(err, want) || r != (Revision{}) {
			t.Errorf("fetch: got %+v %v, want %v", r, err, want)
		}
		holds(t, g, last, "package deploy\n// other\n")
	}
	w.run(w.bare, "git", "branch", "-m", "main", "trunk")
	expect(ErrNoBranch)
	w.run(w.bare, "git", "update-ref", "-d", "refs/heads/trunk")
	expect(ErrNoBranch)
	w.run(w.dir, "mv", w.bare, w.bare+".away")
	expect(ErrNotFound)
	w.run(w.dir, "mv", w.bare+".away", w.bare)
	w.push()
	is(t, g, last, last, "package deploy\n// other\n")
}
