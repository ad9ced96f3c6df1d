package schema

import (
	"context"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
)

// Tree is a spec in memory, as a commit of a repository holds it.
type Tree struct {
	// Path is the spec directory, or the .cue file, by slash path from the root
	// of the repository; "" and "." are the root.
	Path string `json:"path"`
	// Files are all files that the spec may read, by slash path from the root.
	Files map[string][]byte `json:"files"`
}

// LoadTree is Load of a spec in memory. It reads no file of this machine, and
// problems name files by their path in the repository. Files that the spec
// names, such as those of secrets, must have absolute paths: a repository has
// no place on disk that they could be relative to.
func LoadTree(ctx context.Context, tree Tree, limits Limits) (*Spec, Problems) {
	l := &loader{limits: limits.withDefaults()}
	return l.load(ctx, request{Tree: &tree})
}

// LoadTreeIsolated is LoadTree in a process of its own, as LoadIsolated is Load.
func LoadTreeIsolated(ctx context.Context, exe []string, tree Tree, limits Limits) (*Spec, Problems) {
	return isolated(ctx, exe, request{Tree: &tree, Limits: limits.withDefaults()})
}

// treeStore is the store of a Tree, by path from its root.
type treeStore map[string][]byte

// inTree is the spec in a tree.
func inTree(tree Tree) *files {
	// Always relative, and never above the root.
	at := path.Clean("./" + path.Clean("/"+tree.Path))
	return &files{store: treeStore(tree.Files), path: at, dir: at, hint: "the path is looked for in the commit, from the root of the repository"}
}

func (m treeStore) mode(name string) (fs.FileMode, error) {
	if _, ok := m[name]; ok {
		return 0, nil
	}
	_, _, err := m.list(name)
	return fs.ModeDir, err
}

func (m treeStore) list(dir string) (files, dirs []string, err error) {
	below := map[string]bool{}
	for name := range m {
		if dir != "." {
			inside, ok := strings.CutPrefix(name, dir+"/")
			if !ok {
				continue
			}
			name = inside
		}
		if first, _, deeper := strings.Cut(name, "/"); deeper {
			below[first] = true
		} else {
			files = append(files, name)
		}
	}
	slices.Sort(files)
	if len(files)+len(below) == 0 {
		return nil, nil, fs.ErrNotExist
	}
	return files, slices.Sorted(maps.Keys(below)), nil
}

func (m treeStore) content(name string, limit int64) ([]byte, error) {
	content, ok := m[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return content[:min(int64(len(content)), limit)], nil
}
