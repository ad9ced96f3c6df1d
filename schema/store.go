package schema

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// A store is where files are: the disk, or a Tree. What is not there is
// fs.ErrNotExist.
type store interface {
	// mode tells what is at a path.
	mode(path string) (fs.FileMode, error)
	// list returns the names in a directory, in order.
	list(dir string) (files, dirs []string, err error)
	// content returns at most limit bytes of a regular file.
	content(path string, limit int64) ([]byte, error)
}

// disk is the store of this machine, by absolute path.
type disk struct{}

// onDisk is the spec at a path of this machine.
func onDisk(path string) *files {
	if path == "" {
		path = "."
	}
	dir, err := filepath.Abs(path)
	if err != nil {
		dir = path // looking at it fails, too
	}
	return &files{store: disk{}, path: path, dir: dir, hint: "`rsm init " + path + "` writes a starter spec there"}
}

func (disk) mode(path string) (fs.FileMode, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return info.Mode(), nil
}

func (disk) list(dir string) (files, dirs []string, err error) {
	entries, err := os.ReadDir(dir)
	for _, entry := range entries {
		if entry.IsDir() {
			dirs = append(dirs, entry.Name())
		} else {
			files = append(files, entry.Name())
		}
	}
	return files, dirs, err
}

func (d disk) content(path string, limit int64) ([]byte, error) {
	// Stat before open: opening a pipe would wait for ever.
	mode, err := d.mode(path)
	if err != nil {
		return nil, err
	}
	if !mode.IsRegular() {
		return nil, errors.New("not a regular file")
	}
	handle, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer handle.Close()
	return io.ReadAll(io.LimitReader(handle, limit))
}
