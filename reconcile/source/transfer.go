package source

import (
	"errors"
	"fmt"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/storer"
)

// transfer copies a commit with all that it is made of, and its history, from
// one repository of this machine into another. What the other has already is
// complete there, so the copy goes no deeper.
func transfer(from, to *git.Repository, commit plumbing.Hash) error {
	wanted, err := missing(from.Storer, to.Storer, commit)
	if err != nil {
		return fmt.Errorf("copy %s: %w", commit, err)
	}
	if len(wanted) == 0 {
		return nil
	}
	packs, ok := to.Storer.(storer.PackfileWriter)
	if !ok {
		return errors.New("copy: the cache takes no packs")
	}
	w, err := packs.PackfileWriter()
	if err != nil {
		return fmt.Errorf("copy %s: write pack: %w", commit, err)
	}
	// With a window, objects that are stored as deltas stay so.
	_, err = packfile.NewEncoder(w, from.Storer, false).Encode(wanted, 10)
	if err = errors.Join(err, w.Close()); err != nil {
		return fmt.Errorf("copy %s: write pack: %w", commit, err)
	}
	return nil
}

// missing lists the objects under a commit that to lacks.
func missing(from, to storer.EncodedObjectStorer, commit plumbing.Hash) ([]plumbing.Hash, error) {
	var found []plumbing.Hash
	seen := map[plumbing.Hash]bool{}
	next := []plumbing.Hash{commit}
	for len(next) > 0 {
		hash := next[len(next)-1]
		next = next[:len(next)-1]
		if seen[hash] || to.HasEncodedObject(hash) == nil {
			continue
		}
		seen[hash] = true
		found = append(found, hash)
		below, err := children(from, hash)
		if err != nil {
			return nil, err
		}
		next = append(next, below...)
	}
	return found, nil
}

// children are the objects that one names.
func children(from storer.EncodedObjectStorer, hash plumbing.Hash) ([]plumbing.Hash, error) {
	encoded, err := from.EncodedObject(plumbing.AnyObject, hash)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", hash, err)
	}
	switch encoded.Type() {
	case plumbing.CommitObject:
		commit, err := object.DecodeCommit(from, encoded)
		if err != nil {
			return nil, fmt.Errorf("read commit %s: %w", hash, err)
		}
		return append(commit.ParentHashes, commit.TreeHash), nil
	case plumbing.TreeObject:
		tree, err := object.DecodeTree(from, encoded)
		if err != nil {
			return nil, fmt.Errorf("read tree %s: %w", hash, err)
		}
		var below []plumbing.Hash
		for _, entry := range tree.Entries {
			if entry.Mode != filemode.Submodule {
				below = append(below, entry.Hash)
			}
		}
		return below, nil
	}
	return nil, nil
}
