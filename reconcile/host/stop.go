package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"rsm/internal/supervise"
	"rsm/reconcile"
)

// Stop ends the role's process with SIGTERM, on which Redis saves its data set,
// and waits until it is gone. It never kills a process that takes too long: that
// is an error, and the process goes on. With NoSave the process is killed at
// once. A role that does not run is nil.
func (h *Host) Stop(ctx context.Context, a reconcile.StopRole) error {
	r, _, err := h.readRole(a.Role)
	if err != nil {
		return fmt.Errorf("stop %s: %w", a.Role.Name, err)
	}
	if !supervise.Alive(r.Process) {
		return nil
	}
	switch {
	case a.NoSave:
		err = supervise.Kill(ctx, r.Process)
	case r.Kind.OfRsm(): // once, as a second signal would end it without a drain
		err = supervise.Stop(ctx, r.Process, h.graceOf(r.RoleRef))
	default:
		err = h.terminate(ctx, r)
	}
	if err != nil {
		return fmt.Errorf("stop %s: %w", a.Role.Name, err)
	}
	h.log().Info("stop role", "role", a.Role.Name, "pid", r.Process.PID)
	return nil
}

// graceOf is how long a role of rsm may take to end: a worker ends its tasks first.
func (h *Host) graceOf(ref reconcile.RoleRef) time.Duration {
	content, _ := os.ReadFile(h.confPath(ref))
	if told, ok := reconcile.DecodeTold(ref.Kind, content); ok && told.Worker != nil {
		return max(h.stopGrace(), told.Worker.Worker.Grace+leaveTimeout)
	}
	return h.stopGrace()
}

// terminate sends SIGTERM again every second: Redis drops the signal while it
// writes its first AOF, and after a save that failed.
func (h *Host) terminate(ctx context.Context, r role) error {
	for left := h.stopGrace(); left > 0; left -= time.Second {
		err := supervise.Stop(ctx, r.Process, min(left, time.Second))
		if !errors.Is(err, supervise.ErrRunning) {
			return err
		}
	}
	return fmt.Errorf("%w after %s (pid %d); it logged: %s", supervise.ErrRunning, h.stopGrace(), r.Process.PID,
		strings.Join(h.LogTail(r.RoleRef, 2), "; "))
}

// Clusters returns the names of the clusters in the state directory, sorted.
func (h *Host) Clusters() []string { return subdirs(h.root("clusters")) }

// Roles returns every role of the cluster in the state directory, sorted by
// name.
func (h *Host) Roles(cluster string) []reconcile.SurplusRole { return h.Surplus(cluster, nil) }

// Surplus returns the roles of the cluster in the state directory whose names
// are not wanted, sorted by name.
func (h *Host) Surplus(cluster string, want []string) []reconcile.SurplusRole {
	var surplus []reconcile.SurplusRole
	for _, name := range subdirs(h.clusterDir(cluster)) {
		r, ok, err := h.readRole(reconcile.RoleRef{Cluster: cluster, Name: name})
		if err != nil {
			h.log().Warn("read role", "role", name, "error", err)
		}
		if !ok || slices.Contains(want, name) {
			continue
		}
		s := reconcile.SurplusRole{Name: name, Kind: r.Kind, Addr: r.Addr, Running: supervise.Alive(r.Process)}
		if s.Running {
			s.PID = r.Process.PID
		}
		surplus = append(surplus, s)
	}
	return surplus
}

// Forget removes the record of a role that does not run; its data, configuration
// and log stay.
func (h *Host) Forget(ref reconcile.RoleRef) error {
	if err := checkNames(ref.Cluster, ref.Name); err != nil {
		return fmt.Errorf("forget role: %w", err)
	}
	r, _, err := h.readRole(ref)
	if err == nil && supervise.Alive(r.Process) {
		return fmt.Errorf("forget %s: it runs (pid %d)", ref.Name, r.Process.PID)
	}
	if err := os.Remove(h.roleDir(ref, "role.json")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget %s: %w", ref.Name, err)
	}
	return nil
}

// Purge removes the cluster's directory with all data. The copies that Keep made
// stay. It refuses while any process of the cluster runs, also one whose record
// is lost.
func (h *Host) Purge(cluster string) error {
	if err := checkNames(cluster); err != nil {
		return fmt.Errorf("purge cluster: %w", err)
	}
	for _, r := range h.Roles(cluster) {
		if r.Running {
			return fmt.Errorf("purge %s: %s runs (pid %d)", cluster, r.Name, r.PID)
		}
	}
	if pid := supervise.Within(h.clusterDir(cluster)); pid != 0 {
		return fmt.Errorf("purge %s: process %d works in %s", cluster, pid, h.clusterDir(cluster))
	}
	if err := os.RemoveAll(h.clusterDir(cluster)); err != nil {
		return fmt.Errorf("purge %s: %w", cluster, err)
	}
	return nil
}

func subdirs(dir string) []string {
	entries, _ := os.ReadDir(dir) // sorted
	var names []string
	for _, entry := range entries {
		if entry.IsDir() {
			names = append(names, entry.Name())
		}
	}
	return names
}
