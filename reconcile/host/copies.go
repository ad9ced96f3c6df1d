package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"time"

	"rsm/internal/atomicfile"
	"rsm/reconcile"
)

// checkTimeout is for redis-check-rdb, which reads the whole file.
const checkTimeout = 10 * time.Minute

var replidForm = regexp.MustCompile(`^[0-9a-f]{8,}$`)

// Keep copies an RDB file that a redis-server has just written to the copies in
// the state directory, so that its data set can be dropped. replid and the second
// of the save name the data set. The copy is on disk and, when redis-check-rdb is on PATH,
// proven readable when Keep returns its path.
func (h *Host) Keep(ref reconcile.RoleRef, rdbPath, replid string, saved int64) (string, error) {
	path, err := h.copyPath(ref, replid, saved)
	if err == nil {
		err = h.keep(rdbPath, path)
	}
	if err != nil {
		return "", fmt.Errorf("keep copy of %s: %w", ref.Name, err)
	}
	h.log().Info("keep copy", "role", ref.Name, "path", path)
	return path, nil
}

// keepFiles copies the data files of a role that does not run, before a sync
// replaces them. The copy is a directory beside those of Keep.
func (h *Host) keepFiles(ref reconcile.RoleRef) error {
	to := h.root("copies", ref.Cluster, fmt.Sprintf("%s-files-%d", ref.Name, h.now().UnixNano()))
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return fmt.Errorf("keep files of %s: %w", ref.Name, err)
	}
	if err := os.CopyFS(to, os.DirFS(h.roleDir(ref, "data"))); err != nil {
		return fmt.Errorf("keep files of %s: %w", ref.Name, err)
	}
	h.log().Info("keep files", "role", ref.Name, "path", to)
	return nil
}

// Kept reports whether Keep has a copy of exactly this data set.
func (h *Host) Kept(ref reconcile.RoleRef, replid string, saved int64) bool {
	path, err := h.copyPath(ref, replid, saved)
	if err != nil {
		return false
	}
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Size() > 0
}

func (h *Host) copyPath(ref reconcile.RoleRef, replid string, saved int64) (string, error) {
	if err := checkNames(ref.Cluster, ref.Name); err != nil {
		return "", err
	}
	if !replidForm.MatchString(replid) || saved < 0 {
		return "", fmt.Errorf("%q at %d names no data set", replid, saved)
	}
	return h.root("copies", ref.Cluster, fmt.Sprintf("%s-%.8s-%d.rdb", ref.Name, replid, saved)), nil
}

func (h *Host) keep(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return fmt.Errorf("create directory: %w", err)
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	temp, err := os.CreateTemp(filepath.Dir(to), ".tmp-*")
	if err != nil {
		return fmt.Errorf("create copy: %w", err)
	}
	defer os.Remove(temp.Name())
	_, err = io.Copy(temp, in)
	if err := errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return fmt.Errorf("write copy: %w", err)
	}
	if err := h.checkRDB(temp.Name()); err != nil {
		return err
	}
	return atomicfile.Place(temp.Name(), to)
}

// checkRDB has redis-check-rdb read the file; without one, it looks at the
// magic only.
func (h *Host) checkRDB(path string) error {
	checker, err := h.lookPath("redis-check-rdb")
	if err != nil {
		return checkMagic(path)
	}
	ctx, cancel := context.WithTimeout(context.Background(), checkTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, checker, path)
	cmd.Env = childEnv()
	out, err := cmd.CombinedOutput()
	if err != nil {
		lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
		return fmt.Errorf("check copy: %w: %s", err, lines[len(lines)-1])
	}
	return nil
}

func checkMagic(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	magic := make([]byte, 5)
	if _, err := io.ReadFull(file, magic); err != nil || string(magic) != "REDIS" {
		return fmt.Errorf("check copy: %s is no RDB file", path)
	}
	return nil
}
