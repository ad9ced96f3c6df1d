package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
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
	if a.Role.Kind.OfRsm() {
		return h.startRole(ctx, a)
	}
	l, err := h.mayStart(a)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(h.roleDir(a.Role, "data"), 0o700); err != nil {
		return fmt.Errorf("create directory: %w", err)
	}
	if a.Drops {
		if err := h.keepFiles(a.Role); err != nil {
			return err
		}
	}
	a.Config = l.config
	if l.role.Managed, err = h.writeConfig(a, l.passwords, l.role.Managed); err != nil {
		return err
	}
	l.role.RoleRef, l.role.Process, l.env = a.Role, supervise.Record{}, childEnv()
	return h.launch(ctx, l)
}

// launch is what a start needs, gathered before anything is touched.
type launch struct {
	role      role
	binary    string
	env       []string
	config    map[string]string
	passwords passwords
}

// launch starts the server and waits until it listens.
func (h *Host) launch(ctx context.Context, l launch) error {
	ref := l.role.RoleRef
	logFrom := fileSize(h.roleDir(ref, "log"))
	exited, err := h.run(ctx, &l, h.confPath(ref))
	if err != nil {
		return err
	}
	if err := h.listens(ctx, ref, l.role.Process, exited); err != nil {
		return fmt.Errorf("%w: %s", err, l.passwords.redact(h.lastWords(ref, logFrom)))
	}
	return ctx.Err()
}

// run starts the process and records it.
func (h *Host) run(ctx context.Context, l *launch, args ...string) (exited <-chan error, err error) {
	ref := l.role.RoleRef
	// Before the process, so that what is managed is known even if rsm ends now.
	if err := h.writeRole(l.role); err != nil {
		return nil, err
	}
	record, exited, err := supervise.Start(supervise.Command{Path: l.binary, Args: args,
		Dir: h.roleDir(ref), Env: l.env, Log: h.roleDir(ref, "log")})
	if err != nil {
		return nil, err
	}
	l.role.Process = record
	if err := h.writeRole(l.role); err != nil {
		// A process that nobody knows of must not stay.
		return nil, errors.Join(err, supervise.Kill(context.WithoutCancel(ctx), record))
	}
	h.log().Info("start role", "role", ref.Name, "addr", string(ref.Addr), "pid", record.PID)
	return exited, nil
}

// mayStart checks everything that can be checked before anything is touched.
func (h *Host) mayStart(a reconcile.StartRole) (l launch, err error) {
	if err := checkNames(a.Role.Cluster, a.Role.Name); err != nil {
		return l, err
	}
	if !h.Local(a.Role.Addr) {
		return l, fmt.Errorf("%s is no address of this machine", a.Role.Addr)
	}
	if l.role, _, err = h.readRole(a.Role); err != nil {
		return l, err
	}
	if supervise.Alive(l.role.Process) {
		return l, fmt.Errorf("it runs already on %s (pid %d)", l.role.Addr, l.role.Process.PID)
	}
	if who := foreign(a.Role); who != "" {
		return l, fmt.Errorf("%s is taken by %s", a.Role.Addr, who)
	}
	if l.binary, err = h.findBinary(binaryName(a.Role.Kind)); err != nil {
		return l, err
	}
	if l.binary, err = filepath.Abs(l.binary); err != nil {
		return l, err
	}
	if l.passwords, err = readPasswords(a.Auth); err != nil {
		return l, err
	}
	l.config, err = h.loadable(a)
	return l, err
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
