package schema

import (
	"context"
	"errors"
)

// Tree is a spec in memory, as a commit of a repository holds it.
type Tree struct {
	// Path is the spec directory, or the .cue file, by slash path from the root
	// of the repository; "" and "." are the root.
	Path string `json:"path"`
	// Files are all files that the spec may read, by slash path from the root.
	Files map[string][]byte `json:"files"`
}

// LoadTree is Load of a spec in memory. It reads no file of this machine.
func LoadTree(context.Context, Tree, Limits) (*Spec, Problems) {
	return nil, Problems{{Code: CodeCrash, Message: errors.ErrUnsupported.Error()}}
}

// LoadTreeIsolated is LoadIsolated of a spec in memory.
func LoadTreeIsolated(context.Context, []string, Tree, Limits) (*Spec, Problems) {
	return nil, Problems{{Code: CodeCrash, Message: errors.ErrUnsupported.Error()}}
}
