package source

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"rsm/internal/supervise"
)

// TestFastForwardOnly: a branch that does not lead on is refused, naming both
// commits, until the old one is in it again.
func TestFastForwardOnly(t *testing.T) {
	eachWay(t, func(t *testing.T, w *world, c Config) {
		c.FastForwardOnly = true
		first := w.commit("deploy/n.cue", aSpec)
		second := w.commit("deploy/n.cue", aSpec+"// 2\n")
		w.push()
		g := w.open(c)
		is(t, g, "", second, aSpec+"// 2\n")
		is(t, g, first, second, aSpec+"// 2\n")
		w.git("reset", "-q", "--hard", first)
		w.push()
		other := w.commit("deploy/n.cue", aSpec+"// 3\n")
		for _, tip := range []string{first, other} {
			r, err := g.Fetch(t.Context(), second)
			if !errors.Is(err, ErrRewritten) || r.Commit != tip || !strings.Contains(err.Error(), tip) || !strings.Contains(err.Error(), second) {
				t.Fatalf("got %+v %v", r, err)
			}
			holds(t, g, second, aSpec+"// 2\n")
			w.push()
		}
		if _, err := g.Fetch(t.Context(), strings.Repeat("1", 40)); !errors.Is(err, ErrRewritten) {
			t.Errorf("after a commit that nobody knows: %v", err)
		}
		is(t, g, "", other, aSpec+"// 3\n")
		w.git("merge", "-q", "-s", "ours", "--no-edit", second)
		w.push()
		is(t, g, second, w.git("rev-parse", "HEAD"), aSpec+"// 3\n")
	})
}

// TestHeals: whatever the cache lacks or holds wrongly comes again.
func TestHeals(t *testing.T) {
	t.Parallel()
	objects := func(g *Git, pattern string) []string {
		found, _ := filepath.Glob(filepath.Join(g.cache.path("repo"), "objects", pattern))
		if len(found) == 0 {
			t.Fatal("nothing to break at ", pattern)
		}
		return found
	}
	truncate := func(pattern string, size int64) func(*Git) error {
		return func(g *Git) error {
			var all error
			for _, name := range objects(g, pattern) {
				all = errors.Join(all, os.Chmod(name, 0o600), os.Truncate(name, size))
			}
			return all
		}
	}
	for name, harm := range map[string]func(*Git) error{
		"pack gone":  func(g *Git) error { return os.Remove(objects(g, "pack/*.pack")[0]) },
		"index gone": func(g *Git) error { return os.Remove(objects(g, "pack/*.idx")[0]) },
		"all gone":   func(g *Git) error { return os.RemoveAll(g.cache.path("repo")) },
		"pack cut":   truncate("pack/*.pack", 100), "pack empty": truncate("pack/*.pack", 0),
		"index cut": truncate("pack/*.idx", 100), "index empty": truncate("pack/*.idx", 0),
		"reference": func(g *Git) error { return os.WriteFile(g.cache.path("repo/refs/rsm/tip"), nil, 0o600) },
		"config":    func(g *Git) error { return os.WriteFile(g.cache.path("repo/config"), []byte("[["), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for way, make := range map[string]func(*world) Config{"path": ways["path"], "http": ways["http"]} {
				w := newWorld(t)
				first := w.commit("deploy/n.cue", aSpec)
				w.push()
				g := w.open(make(w))
				is(t, g, "", first, aSpec)
				w.must(harm(g))
				is(t, g, first, first, aSpec)
				w.must(harm(g))
				second := w.commit("deploy/n.cue", aSpec+"// 2\n")
				w.push()
				is(t, g, first, second, aSpec+"// 2\n")
				holds(t, g, first, aSpec)
				if t.Failed() {
					t.Fatal(way)
				}
			}
		})
	}
}

// TestPacks: the cache does not grow for ever, and keeps what is needed though
// the branch has left it.
func TestPacks(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"path", "http"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			g := w.open(ways[way](w))
			lost := w.commit("deploy/n.cue", aSpec)
			w.push()
			is(t, g, "", lost, aSpec)
			w.git("checkout", "-q", "--orphan", "new")
			w.git("branch", "-q", "-D", "main")
			w.git("branch", "-q", "-m", "main")
			w.commit("README.md", "anew")
			w.many(60, "new")
			w.push()
			last, most := lost, 0
			for i, commit := range strings.Fields(w.git("rev-list", "--reverse", "HEAD~60..HEAD")) {
				w.must(os.WriteFile(filepath.Join(w.bare, "refs/heads/main"), []byte(commit+"\n"), 0o600))
				is(t, g, last, commit, fmt.Sprintf("package deploy\n// new %d\n", i))
				last, most = commit, max(most, g.cache.packs())
			}
			if now := g.cache.packs(); now > 15 || most > manyPacks+1 {
				t.Errorf("%d packs, and %d at most", now, most)
			}
			w.run(w.bare, "git", "gc", "-q", "--prune=now")
			holds(t, g, lost, aSpec)
			if rest, _ := filepath.Glob(g.cache.path("[no][el]*")); len(rest) > 0 {
				t.Errorf("left behind: %v", rest)
			}
		})
	}
}

// TestShared: others read while one fetches; what one that died left behind is
// put in order.
func TestShared(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.commit("deploy/n.cue", aSpec)
	w.push()
	c := Config{URL: w.bare, Branch: "main", Cache: filepath.Join(w.dir, "cache")}
	g := w.open(c)
	is(t, g, "", first, aSpec)
	lock, err := supervise.Acquire(t.Context(), g.cache.path("lock"), "somebody", time.Now())
	w.must(err)
	other := w.open(c)
	holds(t, other, first, aSpec)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	if _, err := other.Fetch(ctx, ""); !errors.Is(err, supervise.ErrLocked) && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("two fetch at once: %v", err)
	}
	cancel()
	w.must(lock.Release())
	is(t, other, "", first, aSpec)
	// It died between the two renames of a swap.
	w.must(os.Rename(g.cache.path("repo"), g.cache.path("old")))
	w.must(os.MkdirAll(g.cache.path("next"), 0o700))
	g = w.open(c)
	holds(t, g, first, aSpec)
	if _, err := os.Stat(g.cache.path("next")); err == nil {
		t.Error("an unfinished cache is left")
	}
}

// TestTogether: reading goes on while others fetch and the cache is made anew.
func TestTogether(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.commit("deploy/n.cue", aSpec)
	w.push()
	c := ways["http"](w)
	c.Cache = filepath.Join(w.dir, "cache")
	g, other := w.open(c), w.open(c)
	is(t, g, "", first, aSpec)
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for range 10 {
				var err error
				switch i {
				case 0:
					_, err = g.Poll(t.Context())
				case 1:
					_, err = g.Fetch(t.Context(), first)
				case 2:
					var lock *supervise.Lock
					if lock, err = supervise.Acquire(t.Context(), g.cache.path("lock"), "the test", time.Now()); err == nil {
						err = errors.Join(g.renew(t.Context(), false), lock.Release())
					}
				case 3:
					for range 20 {
						if tree, failed := other.Tree(first); failed != nil || len(tree.Files) != 1 {
							err = fmt.Errorf("read %v: %w", tree, failed)
						}
					}
				}
				if err != nil {
					t.Error(i, err)
				}
			}
		})
	}
	all.Wait()
}
