package host

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"time"

	"rsm/reconcile"
)

// binaryTimeout ends a binary that hangs where it should only print something.
const binaryTimeout = 10 * time.Second

var versionWord = regexp.MustCompile(`\bv=(\d+[0-9.]*)`)

// binaryName is also the name of the Debian package that has the binary.
func binaryName(kind reconcile.Kind) string {
	if kind == reconcile.KindSentinel {
		return "redis-sentinel"
	}
	return "redis-server"
}

func (h *Host) findBinary(name string) (string, error) {
	path, err := h.lookPath(name)
	if err != nil {
		return "", fmt.Errorf("%s is not on PATH: apt-get install %s (or set PATH)", name, name)
	}
	return path, nil
}

// binary returns the version of the binary that would be started for the kind.
func (h *Host) binary(ctx context.Context, kind reconcile.Kind) (string, error) {
	path, err := h.findBinary(binaryName(kind))
	if err != nil {
		return "", err
	}
	id := identity(path)
	h.mu.Lock()
	version := h.versions[id]
	h.mu.Unlock()
	if version != "" {
		return version, nil
	}
	ctx, cancel := context.WithTimeout(ctx, binaryTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "--version")
	cmd.Env = childEnv()
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("run %s --version: %w", path, err)
	}
	match := versionWord.FindSubmatch(out)
	if match == nil {
		return "", fmt.Errorf("run %s --version: no version in %.60q", path, out)
	}
	version = string(match[1])
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.versions == nil {
		h.versions = map[string]string{}
	}
	h.versions[id] = version
	return version, nil
}

// identity changes when the binary is replaced, as an upgrade does under a
// running rsm.
func identity(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return path
	}
	return fmt.Sprintf("%s %d %d", path, info.Size(), info.ModTime().UnixNano())
}

// childEnv is the environment of what rsm starts: nothing of what may hold a
// secret.
func childEnv() []string {
	var env []string
	for _, name := range []string{"PATH", "TZ", "LANG", "LC_ALL"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}
