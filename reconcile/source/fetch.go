package source

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"

	"rsm/internal/supervise"
)

// manyPacks is how many packs a cache may have before it is made anew: every
// fetch adds one, go-git never joins them, and every read looks into all.
const manyPacks = 50

// verdict is a commit, and what is wrong with it.
type verdict struct {
	revision Revision
	err      error // ErrRewritten, ErrUnverified or ErrRefused
}

// fetch is Fetch without its patience. What fails in the cache is tried once
// more with a new one.
func (g *Git) fetch(ctx context.Context, last plumbing.Hash) (verdict, error) {
	lock, err := supervise.Acquire(ctx, g.cache.path("lock"), "a fetch from "+g.remote.String(), time.Now())
	if err != nil {
		return verdict{}, err
	}
	defer lock.Release()
	got, err := g.bring(ctx, last)
	if broken(err) {
		if renewed := g.renew(ctx, true); renewed != nil {
			return verdict{}, fmt.Errorf("cache is broken (%w); make a new one: %w", err, renewed)
		}
		if repo, failed := g.cache.open(); failed != nil || g.illegible(repo, last) != nil {
			g.lost = last
		}
		got, err = g.bring(ctx, last)
	}
	if err != nil {
		return verdict{}, err
	}
	// Tried at every tenth fetch only: it costs a clone, and it may fail for long.
	if packs := g.cache.packs(); packs > manyPacks && packs%10 == 1 {
		// The cache is as good as before when this fails.
		_ = g.renew(ctx, false)
	}
	return got, nil
}

// errBroken says that the cache, not the remote, is at fault.
var errBroken = errors.New("cache cannot be read")

func broken(err error) bool {
	return errors.Is(err, errBroken) || errors.Is(err, plumbing.ErrObjectNotFound)
}

// bring fetches into the cache and judges what came.
func (g *Git) bring(ctx context.Context, last plumbing.Hash) (verdict, error) {
	repo, err := g.cache.open()
	if err == nil {
		err = g.cache.sound(repo)
	}
	if err != nil {
		return verdict{}, fmt.Errorf("%w: %w", errBroken, err)
	}
	tip, err := g.remote.fetch(ctx, repo)
	if err != nil {
		return verdict{}, err
	}
	if repo, err = g.cache.open(); err != nil { // go-git remembers which packs there were
		return verdict{}, fmt.Errorf("%w: %w", errBroken, err)
	}
	if last != g.lost {
		if err := g.illegible(repo, last); err != nil {
			return verdict{}, fmt.Errorf("%w: %w", errBroken, err)
		}
		g.cache.keep(repo, last)
	}
	got, err := g.judge(repo, tip, last)
	if err != nil {
		return verdict{}, fmt.Errorf("%w: %w", errBroken, err)
	}
	return got, nil
}

// illegible is why the spec of a commit cannot be read from the cache, nil when it
// can, and for no commit. Packs that are sound hold what their index says.
func (g *Git) illegible(repo *git.Repository, commit plumbing.Hash) error {
	if commit.IsZero() {
		return nil
	}
	at, err := newCheckout(repo, commit, g.config.Path)
	if err == nil {
		err = at.complete()
	}
	if errors.Is(err, ErrRefused) {
		return nil
	}
	return err
}

// judge checks the commit tip of the cache. An error means that the cache could
// not be read.
func (g *Git) judge(repo *git.Repository, tip, last plumbing.Hash) (verdict, error) {
	at, err := newCheckout(repo, tip, g.config.Path)
	if err != nil {
		return verdict{}, err
	}
	var got verdict
	if got.revision, got.err = at.revision(); got.err == nil {
		_, got.err = at.tree()
	}
	if got.err != nil && !errors.Is(got.err, ErrRefused) {
		return verdict{}, got.err
	}
	if g.config.FastForwardOnly {
		if forward, err := follows(repo, at.commit, last); err != nil {
			return verdict{}, err
		} else if !forward {
			got.err = fmt.Errorf("%w: %s does not lead on from %s; push the old commits again, or accept the new history",
				ErrRewritten, tip, last)
			return got, nil
		}
	}
	signer, err := g.trust.judge(repo, at.commit, last)
	got.revision.Signer = signer
	switch {
	case errors.Is(err, ErrUnverified):
		got.err = err
	case err != nil:
		return verdict{}, err
	}
	return got, nil
}

// follows tells whether last is the commit, or before it.
func follows(repo *git.Repository, commit *object.Commit, last plumbing.Hash) (bool, error) {
	if last.IsZero() || last == commit.Hash {
		return true, nil
	}
	before, err := repo.CommitObject(last)
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return false, nil // not in the history that the branch has now
	}
	if err != nil {
		return false, fmt.Errorf("read commit %s: %w", last, err)
	}
	forward, err := before.IsAncestor(commit)
	if err != nil {
		return false, fmt.Errorf("walk from %s to %s: %w", commit.Hash, last, err)
	}
	return forward, nil
}

// renew fetches into a new cache, which takes the place of the old one together
// with the commits to keep. Commits that a broken cache cannot give are lost;
// else all are needed.
func (g *Git) renew(ctx context.Context, lossy bool) error {
	next, err := g.cache.begin()
	if err != nil {
		return err
	}
	if _, err := g.remote.fetch(ctx, next); err != nil {
		return err
	}
	if old, err := g.cache.open(); err == nil {
		if err := takeAlong(old, next, lossy); err != nil {
			return err
		}
	} else if !lossy {
		return err
	}
	return g.cache.swap()
}
