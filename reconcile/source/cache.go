package source

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
)

const (
	// tipRef names what was fetched last.
	tipRef = plumbing.ReferenceName("refs/rsm/tip")
	// keepRefs name commits that somebody still needs, whatever the branch does.
	keepRefs = "refs/rsm/keep/"
)

// cache is a bare repository in the directory "repo". A new one is made in
// "next"; while they change places the old one is in "old".
type cache struct{ dir string }

func (c *cache) path(name string) string { return filepath.Join(c.dir, name) }

// recover ends what a process left behind when it died, and makes the
// repository if there is none.
func (c *cache) recover() error {
	_, err := os.Stat(c.path("repo"))
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.Rename(c.path("old"), c.path("repo")); errors.Is(err, fs.ErrNotExist) {
			_, err = git.PlainInit(c.path("repo"), true)
		}
	}
	if err != nil {
		return fmt.Errorf("make cache: %w", err)
	}
	halves, _ := filepath.Glob(filepath.Join(c.path("repo"), "objects", "pack", "tmp_*"))
	for _, path := range append(halves, c.path("old"), c.path("next")) {
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("clean cache: %w", err)
		}
	}
	return nil
}

func (c *cache) open() (*git.Repository, error) { return git.PlainOpen(c.path("repo")) }

// packs is how many there are.
func (c *cache) packs() int {
	found, _ := filepath.Glob(filepath.Join(c.path("repo"), "objects", "pack", "*.pack"))
	return len(found)
}

// keep notes that a commit is needed, if it is here.
func (c *cache) keep(repo *git.Repository, commit plumbing.Hash) {
	if _, err := repo.CommitObject(commit); err != nil {
		return
	}
	// If this fails the commit is lost when the branch leaves it and the cache is
	// made anew; nothing worse.
	_ = repo.Storer.SetReference(plumbing.NewHashReference(keepRef(commit), commit))
}

func keepRef(commit plumbing.Hash) plumbing.ReferenceName {
	return plumbing.ReferenceName(keepRefs + commit.String())
}

// takeAlong copies the kept commits that a new cache lacks.
func takeAlong(old, next *git.Repository, lossy bool) error {
	refs, err := old.Storer.IterReferences()
	if err != nil {
		return fmt.Errorf("read kept commits: %w", err)
	}
	err = refs.ForEach(func(ref *plumbing.Reference) error {
		if !strings.HasPrefix(ref.Name().String(), keepRefs) {
			return nil
		}
		if next.Storer.HasEncodedObject(ref.Hash()) == nil {
			return nil // the branch has it
		}
		err := transfer(old, next, ref.Hash())
		if err == nil {
			err = next.Storer.SetReference(ref)
		}
		if lossy {
			return nil
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("keep commits: %w", err)
	}
	return nil
}

// begin makes an empty repository beside the one in use.
func (c *cache) begin() (*git.Repository, error) {
	if err := os.RemoveAll(c.path("next")); err != nil {
		return nil, fmt.Errorf("clean cache: %w", err)
	}
	next, err := git.PlainInit(c.path("next"), true)
	if err != nil {
		return nil, fmt.Errorf("make cache: %w", err)
	}
	return next, nil
}

// swap puts the new repository in the place of the old one. Nobody may read.
func (c *cache) swap() error {
	if err := os.RemoveAll(c.path("old")); err != nil {
		return fmt.Errorf("clean cache: %w", err)
	}
	if err := os.Rename(c.path("repo"), c.path("old")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("change caches: %w", err)
	}
	if err := os.Rename(c.path("next"), c.path("repo")); err != nil {
		return fmt.Errorf("change caches: %w", err)
	}
	// What is left of it goes at the next start.
	_ = os.RemoveAll(c.path("old"))
	return nil
}
