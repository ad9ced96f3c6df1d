// Package atomicfile replaces files as a whole or not at all, also when the
// machine loses power: written beside, synced, renamed, and the directory synced.
package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Write replaces the file at path. Its directory has to be there.
func Write(path string, content []byte, mode fs.FileMode) error {
	temp, err := os.CreateTemp(filepath.Dir(path), ".tmp-*") // mode 0600
	if err != nil {
		return fmt.Errorf("create file: %w", err)
	}
	defer os.Remove(temp.Name()) // no longer there when all went well
	_, err = temp.Write(content)
	if err := errors.Join(err, temp.Chmod(mode), temp.Sync(), temp.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return Place(temp.Name(), path)
}

// Place renames a written and synced file to its final name, durably.
func Place(temp, path string) error {
	if err := os.Rename(temp, path); err != nil {
		return fmt.Errorf("place file: %w", err)
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	defer dir.Close()
	if err := dir.Sync(); err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	return nil
}
