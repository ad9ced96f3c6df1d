// Package host does what needs a machine: it renders configuration files,
// starts and stops role processes, and keeps rsm's state directory. It starts
// redis-server, redis-sentinel and the roles of rsm on this machine only; a role whose
// address belongs to another machine is not Local and only observed.
//
// The state directory, directories 0700 and files 0600, as passwords stand in
// the configuration files:
//
//	lock                                      who changes things, see Lock
//	clusters/<cluster>/registration.json      what Publish wrote
//	clusters/<cluster>/<role>/role.json       the process and what rsm manages
//	clusters/<cluster>/<role>/redis.conf      or sentinel.conf, co-owned by Redis
//	clusters/<cluster>/<role>/<kind>.json     what a role of rsm is told, see reconcile.Told
//	clusters/<cluster>/<role>/<kind>.loaded   what it runs with, see WriteLoaded
//	clusters/<cluster>/<role>/proxy.binary    which rsm a proxy's successor runs, see NextBinary
//	clusters/<cluster>/<role>/data/           RDB and AOF files
//	clusters/<cluster>/<role>/log             stdout and stderr
//	copies/<cluster>/<node>-<replid>-<time>.rdb  data sets that were dropped
package host

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"rsm/internal/supervise"
	"rsm/reconcile"
	"rsm/schema"
)

// Host is this machine. Only Dir has to be set. It is safe for concurrent use
// on different roles.
type Host struct {
	// Dir is the state directory; it is created when needed.
	Dir string
	// Log gets what is done; nil means nowhere.
	Log *slog.Logger
	// LookPath finds a binary; nil means exec.LookPath.
	LookPath func(name string) (string, error)
	// Executable is the rsm binary that its roles run; empty means the one that runs
	// this.
	Executable string
	// Version is that of Executable; roles of another one are replaced by it.
	// Empty means that nobody cares.
	Version string
	// StopGrace is how long a server may take to save and exit; 0 means 20 s.
	StopGrace time.Duration
	// Now is the clock; nil means time.Now.
	Now func() time.Time

	mu       sync.Mutex
	versions map[string]string            // by binary identity
	checks   map[string]map[string]string // bad directives by binary and config
	defaults map[string]*defaults         // by binary identity
}

// Local reports whether the address is one of this machine: loopback or the
// address of an interface.
func (h *Host) Local(addr schema.Addr) bool {
	name, _ := addr.Split()
	ip, err := netip.ParseAddr(name)
	if err != nil {
		return name == "localhost"
	}
	if ip = ip.Unmap().WithZone(""); ip.IsLoopback() {
		return true
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, addr := range addrs {
		prefix, err := netip.ParsePrefix(addr.String())
		if err == nil && prefix.Addr().Unmap().WithZone("") == ip {
			return true
		}
	}
	return false
}

// Lock takes the lock of the state directory for a command line, trying until
// ctx ends; then the error is a *supervise.LockedError that says who holds it.
func (h *Host) Lock(ctx context.Context, command string) (*supervise.Lock, error) {
	if err := os.MkdirAll(h.root(), 0o700); err != nil {
		return nil, fmt.Errorf("create state directory: %w", err)
	}
	return supervise.Acquire(ctx, h.root("lock"), command, h.now())
}

// root joins names to the absolute state directory. Absolute, because Redis
// changes its working directory and reports its config_file absolute.
func (h *Host) root(names ...string) string {
	dir, err := filepath.Abs(h.Dir)
	if err != nil {
		dir = h.Dir
	}
	return filepath.Join(append([]string{dir}, names...)...)
}

func (h *Host) clusterDir(cluster string) string { return h.root("clusters", cluster) }

func (h *Host) roleDir(ref reconcile.RoleRef, names ...string) string {
	return h.root(append([]string{"clusters", ref.Cluster, ref.Name}, names...)...)
}

// confPath is the role's configuration file, by which Adopt knows its process.
func (h *Host) confPath(ref reconcile.RoleRef) string {
	switch {
	case ref.Kind == reconcile.KindSentinel:
		return h.roleDir(ref, "sentinel.conf")
	case ref.Kind.OfRsm():
		return h.roleDir(ref, string(ref.Kind)+".json")
	}
	return h.roleDir(ref, "redis.conf")
}

// checkNames refuses names that would lead out of the state directory. The
// schema allows none; this protects what Purge removes.
func checkNames(names ...string) error {
	for _, name := range names {
		if name == "" || name != filepath.Base(name) || !filepath.IsLocal(name) || strings.HasPrefix(name, ".") {
			return fmt.Errorf("use name %q: it is no file name", name)
		}
	}
	return nil
}

func (h *Host) log() *slog.Logger {
	if h.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return h.Log
}

func (h *Host) now() time.Time {
	if h.Now == nil {
		return time.Now()
	}
	return h.Now()
}

func (h *Host) lookPath(name string) (string, error) {
	if h.LookPath == nil {
		return exec.LookPath(name)
	}
	return h.LookPath(name)
}

func (h *Host) stopGrace() time.Duration {
	if h.StopGrace == 0 {
		return 20 * time.Second
	}
	return h.StopGrace
}
