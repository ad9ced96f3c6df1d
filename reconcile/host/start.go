package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"rsm/internal/supervise"
	"rsm/reconcile"
)

// How long Start watches a new process. It listens within milliseconds; data
// that cannot be loaded ends it a little later.
const (
	listenTimeout = 3 * time.Second
	settle        = 30 * time.Millisecond
	settleLoading = 150 * time.Millisecond
)

// Start writes the role's configuration and starts its process, which outlives
// rsm. It returns once the process listens, without waiting until it has loaded
// its data. It refuses, with nothing touched, when the role runs already, when
// another process has the address, when the binary is missing or a secret cannot
// be read. When the process ends at once, the error has the end of its log.
func (h *Host) Start(ctx context.Context, a reconcile.StartRole) error {
	if err := h.start(ctx, a); err != nil {
		return fmt.Errorf("start %s: %w", a.Role.Name, err)
	}
	return nil
}

func (h *Host) start(ctx context.Context, a reconcile.StartRole) error {
	r, p, binary, err := h.mayStart(ctx, a)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(h.roleDir(a.Role, "data"), 0o700); err != nil {
		return fmt.Errorf("create directory: %w", err)
	}
	if r.Managed, err = h.writeConfig(a, p, r.Managed); err != nil {
		return err
	}
	// Before the process, so that what is managed is known even if rsm ends now.
	r.RoleRef, r.Process = a.Role, supervise.Record{}
	if err := h.writeRole(r); err != nil {
		return err
	}
	logFrom := fileSize(h.roleDir(a.Role, "log"))
	record, exited, err := supervise.Start(supervise.Command{Path: binary, Args: []string{h.confPath(a.Role)},
		Dir: h.roleDir(a.Role), Env: childEnv(), Log: h.roleDir(a.Role, "log")})
	if err != nil {
		return err
	}
	r.Process = record
	if err := h.writeRole(r); err != nil {
		// A process that nobody knows of must not stay.
		return errors.Join(err, supervise.Kill(context.WithoutCancel(ctx), record))
	}
	h.log().Info("start role", "role", a.Role.Name, "addr", string(a.Role.Addr), "pid", record.PID)
	if err := h.listens(ctx, a.Role, record, exited); err != nil {
		return fmt.Errorf("%w: %s", err, p.redact(h.whyEnded(a.Role, logFrom)))
	}
	return ctx.Err()
}

// mayStart checks everything that can be checked before anything is touched.
func (h *Host) mayStart(_ context.Context, a reconcile.StartRole) (r role, p passwords, binary string, err error) {
	if err := checkNames(a.Role.Cluster, a.Role.Name); err != nil {
		return r, p, "", err
	}
	if !h.Local(a.Role.Addr) {
		return r, p, "", fmt.Errorf("%s is no address of this machine", a.Role.Addr)
	}
	if r, _, err = h.readRole(a.Role); err != nil {
		return r, p, "", err
	}
	if supervise.Alive(r.Process) {
		return r, p, "", fmt.Errorf("it runs already on %s (pid %d)", r.Addr, r.Process.PID)
	}
	if who := foreign(a.Role); who != "" {
		return r, p, "", fmt.Errorf("%s is taken by %s", a.Role.Addr, who)
	}
	if binary, err = h.findBinary(binaryName(a.Role.Kind)); err != nil {
		return r, p, "", err
	}
	if binary, err = filepath.Abs(binary); err != nil {
		return r, p, "", err
	}
	p, err = readPasswords(a.Auth)
	return r, p, binary, err
}

var errEnded = errors.New("it ended at once")

// listens waits until the process listens on its address and has not ended a
// moment later. A slow one is left to the observer.
func (h *Host) listens(ctx context.Context, ref reconcile.RoleRef, record supervise.Record, exited <-chan error) error {
	more := settle
	if h.data(ref) != reconcile.No {
		more = settleLoading
	}
	timeout := time.After(listenTimeout)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	ticks := tick.C
	for {
		select {
		case <-exited:
			return errEnded
		case <-ctx.Done():
			return nil
		case <-timeout:
			return nil
		case <-ticks:
		}
		if pid, _, ok := supervise.Listener(string(ref.Addr)); ok && (pid == record.PID || pid == 0) {
			timeout, ticks = time.After(more), nil
		}
	}
}

func fileSize(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// logPrefix is "pid:role date time level " at the start of a Redis log line.
var logPrefix = regexp.MustCompile(`^\d+:[A-Z] \d+ \w+ \d+ [\d:.]+ [#*.-] `)

// whyEnded returns what the process logged last, on one line.
func (h *Host) whyEnded(ref reconcile.RoleRef, from int64) string {
	text, err := os.ReadFile(h.roleDir(ref, "log"))
	if err != nil || int64(len(text)) < from {
		return "no log"
	}
	_, fatal, found := strings.Cut(string(text[from:]), "*** ")
	if !found {
		fatal = string(text[from:])
	}
	var lines []string
	for line := range strings.Lines(fatal) {
		if line = strings.TrimSpace(logPrefix.ReplaceAllString(line, "")); line != "" {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		return "it logged nothing"
	}
	return strings.Join(lines[max(0, len(lines)-4):], "; ") + " (log: " + h.roleDir(ref, "log") + ")"
}

// LogTail returns the last lines of the role's log, for messages about a process
// that ended. Passwords do not stand in it, unless Redis quoted a refused line.
func (h *Host) LogTail(ref reconcile.RoleRef, lines int) []string {
	text, err := os.ReadFile(h.roleDir(ref, "log"))
	if err != nil {
		return nil
	}
	all := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return all[max(0, len(all)-lines):]
}
