package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"

	"rsm/internal/supervise"
)

const (
	// tipRef names what was fetched last.
	tipRef = plumbing.ReferenceName("refs/rsm/tip")
	// keepRefs name commits that somebody still needs, whatever the branch does.
	keepRefs = "refs/rsm/keep/"
)

// cache is a bare repository in the directory "repo". A new one is made in
// "next"; while they change places the old one is in "old". Who fetches holds
// the file "lock", who reads shares the file "place".
type cache struct{ dir string }

func (c *cache) path(name string) string { return filepath.Join(c.dir, name) }

// prepare makes the repository if there is none, and ends what a process left behind
// when it died.
func (c *cache) prepare() error {
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return fmt.Errorf("make cache: %w", err)
	}
	once, cancel := context.WithCancel(context.Background())
	cancel() // do not wait
	lock, err := supervise.Acquire(once, c.path("lock"), "the start of a source", time.Now())
	if errors.Is(err, supervise.ErrLocked) {
		return nil // another one uses it
	}
	if err != nil {
		return fmt.Errorf("make cache: %w", err)
	}
	defer lock.Release()
	_, err = os.Stat(c.path("repo"))
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

// hold keeps the repository in its place, for reading with syscall.LOCK_SH, or
// keeps all readers away with syscall.LOCK_EX.
func (c *cache) hold(how int) (release func(), err error) {
	f, err := os.OpenFile(c.path("place"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("hold cache: %w", err)
	}
	for err = syscall.EINTR; errors.Is(err, syscall.EINTR); {
		err = syscall.Flock(int(f.Fd()), how)
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("hold cache: %w", err)
	}
	return func() { _ = f.Close() }, nil
}

func (c *cache) open() (*git.Repository, error) { return git.PlainOpen(c.path("repo")) }

// packs is how many there are.
func (c *cache) packs() int {
	found, _ := filepath.Glob(filepath.Join(c.path("repo"), "objects", "pack", "*.pack"))
	return len(found)
}

// sound is nil when the references and the packs are whole, as far as can be seen
// without reading all of them. A crash may leave files short, or full of zeros;
// go-git would look for an object in such a pack, or in another one that has it,
// as it happens.
func (c *cache) sound(repo *git.Repository) error {
	if _, err := repo.Storer.IterReferences(); err != nil {
		return fmt.Errorf("read references: %w", err)
	}
	packs, _ := filepath.Glob(filepath.Join(c.path("repo"), "objects", "pack", "pack-*.*"))
	for _, name := range packs {
		base := strings.TrimSuffix(name, filepath.Ext(name))
		const size = int64(len(plumbing.Hash{}))
		// Both end with the checksum of the pack, the index with its own behind it.
		pack, err := tail(base+".pack", size, 0)
		if err != nil {
			return err
		}
		index, err := tail(base+".idx", size, size)
		if err != nil {
			return err
		}
		if !bytes.Equal(pack, index) {
			return fmt.Errorf("%s does not fit its index", filepath.Base(base))
		}
	}
	return nil
}

// tail reads bytes of a file, a distance from its end.
func tail(name string, size, distance int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	got := make([]byte, size)
	if _, err := f.Seek(-size-distance, io.SeekEnd); err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(f, got); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return got, nil
}

// keep notes that a commit is needed.
func (c *cache) keep(repo *git.Repository, commit plumbing.Hash) {
	if commit.IsZero() {
		return
	}
	// If this fails the commit is lost when the branch leaves it and the cache is
	// made anew; nothing worse.
	_ = repo.Storer.SetReference(plumbing.NewHashReference(keepRef(commit), commit))
}

func keepRef(commit plumbing.Hash) plumbing.ReferenceName {
	return plumbing.ReferenceName(keepRefs + commit.String())
}

// takeAlong copies the kept commits that a new cache lacks. When it may be lossy,
// those that cannot be read stay behind.
func takeAlong(old, next *git.Repository, lossy bool) error {
	refs, err := old.Storer.IterReferences()
	if err != nil && lossy {
		return nil
	}
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

// swap puts the new repository in the place of the old one, when nobody reads.
func (c *cache) swap() error {
	release, err := c.hold(syscall.LOCK_EX)
	if err != nil {
		return err
	}
	defer release()
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
