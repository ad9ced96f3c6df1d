package source

import (
	"fmt"
	"syscall"

	"github.com/go-git/go-git/v5/plumbing"
)

// Resolve returns the full hash of a commit in the cache, by the beginning of its
// hash. It does not ask the remote.
func (g *Git) Resolve(name string) (commit string, err error) {
	defer survive(&err)
	release, err := g.cache.hold(syscall.LOCK_SH)
	if err != nil {
		return "", err
	}
	defer release()
	repo, err := g.cache.open()
	if err != nil {
		return "", err
	}
	hash, err := repo.ResolveRevision(plumbing.Revision(name))
	if err != nil {
		return "", fmt.Errorf("find commit %s: %w", name, err)
	}
	return hash.String(), nil
}
