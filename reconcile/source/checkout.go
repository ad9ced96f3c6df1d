package source

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"

	"rsm/schema"
)

// What a spec in a commit may have at most. A tree that names itself many times
// over looks endless, hence the bound on entries.
const (
	maxFiles    = 10_000
	maxFileSize = 1 << 20
	maxSize     = 64 << 20
	maxEntries  = 200_000
)

// checkout is a commit, and what of it a spec is read from. Nothing is written
// to disk.
type checkout struct {
	repo   *git.Repository
	commit *object.Commit
	// spec is the path of the spec in the commit, "." for the root.
	spec string

	// files are the blobs to read, by path.
	files   map[string]plumbing.Hash
	entries int
}

func newCheckout(repo *git.Repository, commit plumbing.Hash, spec string) (*checkout, error) {
	c, err := repo.CommitObject(commit)
	if err != nil {
		return nil, fmt.Errorf("read commit %s: %w", commit, err)
	}
	return &checkout{repo: repo, commit: c, spec: spec}, nil
}

// revision describes the commit. It is filled in with ErrRefused, too, but for
// Tree.
func (c *checkout) revision() (Revision, error) {
	subject, _, _ := strings.Cut(strings.TrimLeft(c.commit.Message, "\n"), "\n")
	r := Revision{
		Commit: c.commit.Hash.String(), Subject: line(subject, 200), When: c.commit.Committer.When,
		Author: line(fmt.Sprintf("%s <%s>", c.commit.Author.Name, c.commit.Author.Email), 200),
	}
	if err := c.find(); err != nil {
		return r, err
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "%q\n", c.spec)
	for _, name := range c.names() {
		fmt.Fprintf(sum, "%s %q\n", c.files[name], name)
	}
	r.Tree = hex.EncodeToString(sum.Sum(nil))
	return r, nil
}

// tree reads the files.
func (c *checkout) tree() (schema.Tree, error) {
	if err := c.find(); err != nil {
		return schema.Tree{}, err
	}
	tree := schema.Tree{Path: c.spec, Files: make(map[string][]byte, len(c.files))}
	size := int64(0)
	for _, name := range c.names() {
		content, err := c.read(name)
		if err != nil {
			return schema.Tree{}, err
		}
		if size += int64(len(content)); size > maxSize {
			return schema.Tree{}, c.refuse(name, "the spec is larger than %d MiB; take out what is no spec", maxSize>>20)
		}
		tree.Files[name] = content
	}
	return tree, nil
}

// complete is nil when all files are there.
func (c *checkout) complete() error {
	if err := c.find(); err != nil {
		return err
	}
	for name, blob := range c.files {
		if err := c.repo.Storer.HasEncodedObject(blob); err != nil {
			return fmt.Errorf("look for %s: %w", name, err)
		}
	}
	return nil
}

func (c *checkout) names() []string {
	names := make([]string, 0, len(c.files))
	for name := range c.files {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (c *checkout) read(name string) ([]byte, error) {
	blob, err := c.repo.BlobObject(c.files[name])
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if blob.Size > maxFileSize {
		return nil, c.refuse(name, "larger than %d bytes; split it", maxFileSize)
	}
	r, err := blob.Reader()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	defer r.Close()
	content, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if bytes.HasPrefix(content, []byte("version https://git-lfs.github.com/spec/")) {
		return nil, c.refuse(name, "a pointer of Git LFS, not the file; take *.cue out of .gitattributes")
	}
	return content, nil
}

func (c *checkout) refuse(name, format string, args ...any) error {
	return fmt.Errorf("%w: commit %s: %s: %s", ErrRefused, c.commit.Hash, line(name, 300), fmt.Sprintf(format, args...))
}

// find lists the CUE files of the module that the spec is in, or those below
// the spec where there is no module.
func (c *checkout) find() error {
	if c.files != nil {
		return nil
	}
	c.files = map[string]plumbing.Hash{}
	root, err := c.commit.Tree()
	if err != nil {
		return fmt.Errorf("read tree of %s: %w", c.commit.Hash, err)
	}
	at, top, err := c.descend(root)
	if err == nil && at != nil {
		err = c.walk(at, top)
	}
	if err != nil {
		c.files = nil
	}
	return err
}

// descend goes down the path of the spec, and returns the directory to read: the
// deepest one on the way that has a cue.mod, else the end of the way. It is nil
// when there is no such path, or when it is a file that was all to read.
func (c *checkout) descend(root *object.Tree) (at *object.Tree, top string, err error) {
	here, dir := root, "."
	var module *object.Tree
	moduleDir := ""
	look := func() {
		if e, err := here.FindEntry("cue.mod"); err == nil && e.Mode == filemode.Dir {
			module, moduleDir = here, dir
		}
	}
	look()
	var way []string
	if c.spec != "." {
		way = strings.Split(c.spec, "/")
	}
	for _, name := range way {
		next := path.Join(dir, name)
		entry, err := here.FindEntry(name)
		switch {
		case errors.Is(err, object.ErrEntryNotFound):
			return nil, "", nil
		case err != nil:
			return nil, "", fmt.Errorf("read tree %s: %w", dir, err)
		case entry.Mode != filemode.Dir:
			if err := c.entry(next, *entry); err != nil {
				return nil, "", err
			}
			return module, moduleDir, nil
		}
		if here, err = object.GetTree(c.repo.Storer, entry.Hash); err != nil {
			return nil, "", fmt.Errorf("read tree %s: %w", next, err)
		}
		dir = next
		look()
	}
	if module != nil {
		return module, moduleDir, nil
	}
	return here, dir, nil
}

// walk notes the CUE files of a directory and those below.
func (c *checkout) walk(tree *object.Tree, dir string) error {
	for _, entry := range tree.Entries {
		if c.entries++; c.entries > maxEntries {
			return c.refuse(dir, "more than %d files and directories; give the spec a directory of its own", maxEntries)
		}
		name := path.Join(dir, entry.Name)
		if entry.Mode != filemode.Dir {
			if err := c.entry(name, entry); err != nil {
				return err
			}
			continue
		}
		below, err := object.GetTree(c.repo.Storer, entry.Hash)
		if err != nil {
			return fmt.Errorf("read tree %s: %w", name, err)
		}
		if err := c.walk(below, name); err != nil {
			return err
		}
	}
	return nil
}

// entry notes a CUE file. Links and submodules are refused where they would look
// like a part of the spec, and passed over elsewhere in the module.
func (c *checkout) entry(name string, entry object.TreeEntry) error {
	cue := path.Ext(name) == ".cue"
	switch entry.Mode {
	case filemode.Regular, filemode.Deprecated, filemode.Executable:
		if !cue {
			return nil
		}
		c.files[name] = entry.Hash
		if len(c.files) > maxFiles {
			return c.refuse(name, "more than %d CUE files; give the spec a directory of its own", maxFiles)
		}
	case filemode.Symlink:
		if cue || c.inside(name) {
			return c.refuse(name, "a symbolic link, which is not followed; put the file itself there")
		}
	case filemode.Submodule:
		if c.inside(name) {
			return c.refuse(name, "a submodule, which is not fetched; copy what is needed, or vendor it under cue.mod/pkg")
		}
	default:
		if cue {
			return c.refuse(name, "no regular file (mode %s)", entry.Mode)
		}
	}
	return nil
}

// inside tells whether a path is the spec, on the way to it, in it, or vendored.
func (c *checkout) inside(name string) bool {
	return c.spec == "." || name == c.spec || strings.HasPrefix(name, c.spec+"/") ||
		strings.HasPrefix(c.spec, name+"/") || strings.HasPrefix(name, "cue.mod/") || strings.Contains(name, "/cue.mod/")
}
