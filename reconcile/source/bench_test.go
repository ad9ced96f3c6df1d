package source

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fleet is a repository with 200 spec files and commits that change one each.
func fleet(b *testing.B, commits int) (w *world, tips []string) {
	w = newWorld(b)
	for i := range 200 {
		w.write(fmt.Sprintf("deploy/c%03d.cue", i), fmt.Sprintf("package deploy\n\nclusters: c%03d: {\n%s}\n", i, strings.Repeat("\t// some thirty lines of a cluster\n", 30)))
	}
	w.commit("deploy/n.cue", aSpec)
	w.many(commits, "more")
	w.push()
	return w, strings.Fields(w.git("rev-list", "--reverse", fmt.Sprintf("HEAD~%d..HEAD", commits)))
}

func BenchmarkPoll(b *testing.B) {
	for _, way := range []string{"file", "http"} {
		b.Run(way, func(b *testing.B) {
			w, _ := fleet(b, 1)
			g := w.open(ways[way](w))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := g.Poll(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkCommit is what a commit costs until its spec can be evaluated.
func BenchmarkCommit(b *testing.B) {
	for _, way := range []string{"file", "http"} {
		b.Run(way, func(b *testing.B) {
			w, tips := fleet(b, 2000)
			c := ways[way](w)
			c.Path = "deploy"
			point := func(commit string) {
				w.must(os.WriteFile(filepath.Join(w.bare, "refs/heads/main"), []byte(commit+"\n"), 0o600))
			}
			point(tips[0])
			g := w.open(c)
			last := ""
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				b.StopTimer()
				i++
				point(tips[i%len(tips)])
				b.StartTimer()
				r, err := g.Fetch(b.Context(), last)
				if err != nil {
					b.Fatal(err)
				}
				tree, err := g.Tree(r.Commit)
				if err != nil || len(tree.Files) != 201 {
					b.Fatal(len(tree.Files), err)
				}
				last = r.Commit
			}
		})
	}
}

// BenchmarkClone is the first fetch.
func BenchmarkClone(b *testing.B) {
	for _, way := range []string{"file", "http"} {
		b.Run(way, func(b *testing.B) {
			w, _ := fleet(b, 5000)
			c := ways[way](w)
			c.Path = "deploy"
			b.ReportAllocs()
			for b.Loop() {
				c.Cache = filepath.Join(b.TempDir(), "cache")
				g := w.open(c)
				if _, err := g.Fetch(b.Context(), ""); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
