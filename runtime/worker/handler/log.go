package handler

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"rsm/schema"
)

// log writes the event or the alerts as one line of JSON.
func (r *run) log(l *schema.Log) (string, error) {
	line, err := r.logLine()
	if err != nil {
		return "", err
	}
	if l.File == "" {
		r.Log.Info("handled", "handler", r.handler.Name, "task", r.task.ID, "payload", string(r.message.payload))
		return "written to the worker's log", nil
	}
	if !filepath.IsLocal(l.File) {
		return "", permanent("log: file %q is not below the spool directory", l.File)
	}
	path := filepath.Join(r.Spool, l.File)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", fmt.Errorf("log: %w", err)
	}
	if err := appendLine(path, line, l.MaxSize); err != nil {
		return "", fmt.Errorf("log: %w", err)
	}
	return "written to " + path, nil
}

// logLine is the payload with when and by which task it was written.
func (r *run) logLine() ([]byte, error) {
	line, err := asJSON(struct {
		Time    time.Time       `json:"time"`
		Task    string          `json:"task"`
		Payload json.RawMessage `json:"payload"`
	}{r.Now().UTC(), r.task.ID, r.message.payload})
	if err != nil {
		return nil, permanent("log: %w", err)
	}
	return append([]byte(line), '\n'), nil
}

// appendLine adds a line to a file as a whole or not at all, whoever else does the
// same at the same time. A file that would grow beyond limit is renamed to
// <path>.1 first; 0 is no limit.
func appendLine(path string, line []byte, limit int64) error {
	for {
		file, err := lockLog(path)
		if err != nil {
			return err
		}
		again, err := writeLine(file, line, limit)
		err = errors.Join(err, file.Close()) // this unlocks, too
		if !again || err != nil {
			return err
		}
	}
}

// lockLog opens the file that is at path now, for this writer alone.
func lockLog(path string) (*os.File, error) {
	for {
		file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
		if err != nil {
			return nil, err
		}
		if err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err == nil {
			var here, opened fs.FileInfo
			opened, err = file.Stat()
			if err == nil {
				here, err = os.Stat(path)
			}
			if err == nil && os.SameFile(here, opened) {
				return file, nil
			}
		}
		_ = file.Close()
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // else another has just renamed it
			return nil, err
		}
	}
}

// writeLine writes to a locked file. again says that it was renamed instead.
func writeLine(file *os.File, line []byte, limit int64) (again bool, err error) {
	info, err := file.Stat()
	if err != nil {
		return false, err
	}
	size := info.Size()
	if limit > 0 && size > 0 && size+int64(len(line)) > limit {
		return true, os.Rename(file.Name(), file.Name()+".1")
	}
	if _, err := file.Write(line); err != nil {
		return false, errors.Join(err, file.Truncate(size)) // the disk is full: no half line
	}
	return false, nil
}
