package schema

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

//go:embed starter/rsm.cue
var starter []byte

// starterModule makes the directory a CUE module, so that `cue vet` and editors
// find the schema. The language version is an old one on purpose: any cue
// command of today reads it.
const starterModule = `// Lets cue and editors find the schema; rsm itself needs no module.
module: "rsm.local/spec@v0"
language: version: "v0.9.0"
`

// Init writes a starter spec, and the schema under cue.mod where `cue vet` and
// editors find it. It makes the directory when needed. It overwrites nothing:
// when any of its files exists it writes none, and an error that wraps
// fs.ErrExist names that file.
func Init(dir string) error {
	files := []struct {
		name    string
		content []byte
	}{
		{"rsm.cue", starter},
		{filepath.Join("cue.mod", "module.cue"), []byte(starterModule)},
		{filepath.Join("cue.mod", "pkg", filepath.FromSlash(importPath), "schema.cue"), Source()},
	}
	for _, f := range files {
		path := filepath.Join(dir, f.name)
		if _, err := os.Lstat(path); err == nil {
			return fmt.Errorf("write %s: %w; nothing was written", path, fs.ErrExist)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("write %s: %w", path, err)
		}
	}
	var undo []string
	for _, f := range files {
		path := filepath.Join(dir, f.name)
		if err := create(path, f.content); err != nil {
			for _, written := range undo {
				err = errors.Join(err, os.Remove(written))
			}
			return err
		}
		undo = append(undo, path)
	}
	return nil
}

// create writes a file that must not exist; a half-written one is removed.
func create(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("write file: %w", err)
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, errors.Join(err, os.Remove(path)))
	}
	return nil
}
