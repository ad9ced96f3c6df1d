package source

import (
	"fmt"

	"github.com/go-git/go-git/v5/plumbing"
)

// Resolve returns the full hash of a commit in the cache, by the beginning of its
// hash. It does not ask the remote.
func (g *Git) Resolve(name string) (commit string, err error) {
	g.reads.RLock()
	defer g.reads.RUnlock()
	defer survive(&err)
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
