package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"rsm/internal/supervise"
	"rsm/reconcile"
	"rsm/schema"
)

// How long a proxy may take to take its settings: it reads a few files and opens
// ports.
const reloadTimeout = 10 * time.Second

// loaded is the content of proxy.loaded.
type loaded struct {
	PID int `json:"pid"`
	// At makes every writing differ from the one before.
	At time.Time `json:"at"`
	reconcile.Loaded
}

// WriteLoaded is how the process of a proxy tells what it runs with, and what it
// refused: in the file proxy.loaded beside its configuration file. The process
// calls it after each attempt to load that file.
func WriteLoaded(configFile string, l reconcile.Loaded) error {
	path := filepath.Join(filepath.Dir(configFile), "proxy.loaded")
	return writeJSON(path, loaded{PID: os.Getpid(), At: time.Now(), Loaded: l})
}

// Loaded returns what the role's process, a proxy's, says that it runs with; it
// is empty while that does not run.
func (h *Host) Loaded(ref reconcile.RoleRef) reconcile.Loaded {
	r, _, err := h.readRole(ref)
	l, ok := h.readLoaded(ref)
	if err != nil || !ok || l.PID != r.Process.PID || !supervise.Alive(r.Process) {
		return reconcile.Loaded{}
	}
	content, err := os.ReadFile(h.confPath(ref))
	if err != nil || schema.DigestOf(content) != l.Digest {
		return l.Loaded
	}
	if role, err := schema.DecodeProxyRole(content); err == nil {
		l.Role = &role
	}
	return l.Loaded
}

func (h *Host) readLoaded(ref reconcile.RoleRef) (l loaded, ok bool) {
	ok, err := readJSON(h.roleDir(ref, "proxy.loaded"), &l)
	if err != nil {
		h.log().Warn("read what a proxy loaded", "role", ref.Name, "error", err)
	}
	return l, ok && err == nil
}

// startProxy writes the role's file and starts rsm with it.
func (h *Host) startProxy(ctx context.Context, a reconcile.StartRole) error {
	l, err := h.mayStartProxy(a)
	if err != nil {
		return err
	}
	if err := h.writeProxy(a.Role, *a.Proxy); err != nil {
		return err
	}
	if err := os.Remove(h.roleDir(a.Role, "proxy.loaded")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget settings: %w", err)
	}
	logFrom := fileSize(h.roleDir(a.Role, "log"))
	exited, err := h.run(ctx, &l, "proxy", "--config", h.confPath(a.Role))
	if err != nil {
		return err
	}
	want := reconcile.Loaded{Digest: a.Proxy.Digest()}
	if err := h.taken(ctx, a.Role, want, nil, exited); errors.Is(err, errEnded) {
		return fmt.Errorf("%w: %s", err, redact(h.lastWords(a.Role, logFrom), a.Proxy.Secrets()))
	} else if err != nil && !errors.Is(err, errNotTaken) { // a slow one is left to the observer
		return err
	}
	return ctx.Err()
}

func (h *Host) writeProxy(ref reconcile.RoleRef, role schema.ProxyRole) error {
	content, err := role.Encode()
	if err != nil {
		return err
	}
	return writeFile(h.confPath(ref), content)
}

// mayStartProxy checks everything that can be checked before anything is touched.
func (h *Host) mayStartProxy(a reconcile.StartRole) (l launch, err error) {
	if err := checkNames(a.Role.Cluster, a.Role.Name); err != nil {
		return l, err
	}
	if a.Proxy == nil || !h.Local(a.Role.Addr) {
		return l, fmt.Errorf("%s is no proxy of this machine", a.Role.Addr)
	}
	if l.role, _, err = h.readRole(a.Role); err != nil {
		return l, err
	}
	if supervise.Alive(l.role.Process) {
		return l, fmt.Errorf("it runs already on %s (pid %d)", l.role.Addr, l.role.Process.PID)
	}
	for _, addr := range a.Proxy.Proxy.Owned() {
		ref := a.Role
		ref.Addr = addr
		if who := foreign(ref); who != "" {
			return l, fmt.Errorf("%s is taken by %s", addr, who)
		}
	}
	l.env = childEnv()
	for _, secret := range a.Proxy.Secrets() {
		value, err := secret.Read()
		if err != nil {
			return l, err
		}
		if secret.Env != "" {
			l.env = append(l.env, secret.Env+"="+value)
		}
	}
	l.role.RoleRef, l.role.Process = a.Role, supervise.Record{}
	l.binary, err = h.executable()
	return l, err
}

// executable is the rsm that proxies run.
func (h *Host) executable() (string, error) {
	if h.Executable != "" {
		return h.Executable, nil
	}
	return os.Executable()
}

// Reload writes the role's settings and has its process take them. The error has
// the process's reason when it refuses them; it then goes on with those it has.
func (h *Host) Reload(ctx context.Context, a reconcile.ReloadRole) error {
	if err := h.reload(ctx, a); err != nil {
		return fmt.Errorf("reload %s: %w", a.Role.Name, err)
	}
	h.log().Info("reload role", "role", a.Role.Name)
	return nil
}

func (h *Host) reload(ctx context.Context, a reconcile.ReloadRole) error {
	r, _, err := h.readRole(a.Role)
	if err != nil {
		return err
	}
	before, _ := os.ReadFile(h.roleDir(a.Role, "proxy.loaded"))
	if err := h.writeProxy(a.Role, a.Proxy); err != nil {
		return err
	}
	// Its address may be another one now.
	r.RoleRef = a.Role
	if err := h.writeRole(r); err != nil {
		return err
	}
	if !supervise.Alive(r.Process) {
		return errEnded
	}
	want := reconcile.Loaded{Digest: a.Proxy.Digest(), Version: a.Binary}
	if a.Binary != "" {
		return h.replace(ctx, a.Role, r.Process, want, before)
	}
	if err := supervise.Signal(r.Process, syscall.SIGHUP); err != nil {
		return err
	}
	return h.taken(ctx, a.Role, want, before, nil)
}

var errNotTaken = errors.New("it does not tell that it took its settings")

// taken waits until the process tells that it took the settings, or refused them
// in something else than what it told before.
func (h *Host) taken(ctx context.Context, ref reconcile.RoleRef, want reconcile.Loaded, before []byte, exited <-chan error) error {
	patience := reloadTimeout
	if want.Version != "" {
		patience = replaceTimeout
	}
	timeout := time.After(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		now, _ := os.ReadFile(h.roleDir(ref, "proxy.loaded"))
		l, ok := h.readLoaded(ref)
		switch {
		case ok && l.Digest == want.Digest && (want.Version == "" || want.Version == l.Version):
			return nil
		case ok && l.Refused == want.Digest && !bytes.Equal(now, before):
			return fmt.Errorf("it refuses these settings and goes on as before: %s", l.Refusal)
		}
		select {
		case <-exited:
			return errEnded
		case <-ctx.Done():
			return ctx.Err()
		case <-timeout:
			return fmt.Errorf("%w in %s", errNotTaken, patience)
		case <-tick.C:
		}
	}
}

// How long a process may take to start its successor, and then to end: its clients
// get a few seconds.
const (
	replaceTimeout = 20 * time.Second
	leaveTimeout   = 10 * time.Second
)

// replace has a proxy's process hand over to one of this rsm's binary, and waits
// until the old one is gone.
func (h *Host) replace(ctx context.Context, ref reconcile.RoleRef, old supervise.Record, want reconcile.Loaded, before []byte) error {
	binary, err := h.executable()
	if err != nil {
		return err
	}
	if err := writeFile(h.roleDir(ref, binaryFile), []byte(binary)); err != nil {
		return err
	}
	if err := supervise.Signal(old, syscall.SIGUSR2); err != nil {
		return err
	}
	if err := h.taken(ctx, ref, want, before, nil); err != nil {
		return err
	}
	next := h.successor(ref, old)
	if next.PID == old.PID {
		return errors.New("its successor does not run")
	}
	ctx, cancel := context.WithTimeout(ctx, leaveTimeout)
	defer cancel()
	for supervise.Alive(old) && ctx.Err() == nil {
		time.Sleep(10 * time.Millisecond)
	}
	return nil
}

const binaryFile = "proxy.binary"

// NextBinary is which rsm a proxy with this configuration file hands over to;
// "" for the one that it runs itself.
func NextBinary(configFile string) string {
	content, _ := os.ReadFile(filepath.Join(filepath.Dir(configFile), binaryFile))
	return strings.TrimSpace(string(content))
}

// successor returns the process of a proxy: the one that is recorded, or that which
// it handed over to, or which was found again.
func (h *Host) successor(ref reconcile.RoleRef, recorded supervise.Record) supervise.Record {
	l, ok := h.readLoaded(ref)
	if ok && l.PID != recorded.PID || !supervise.Alive(recorded) {
		if found := h.findProxy(ref); found.PID != 0 {
			return found
		}
	}
	return recorded
}

// findProxy takes over a proxy whose record was lost: it told its pid, and that
// process runs with the role's own file.
func (h *Host) findProxy(ref reconcile.RoleRef) supervise.Record {
	l, ok := h.readLoaded(ref)
	if !ok {
		return supervise.Record{}
	}
	record, err := supervise.Find(l.PID)
	if err != nil || !slices.Equal(record.Argv[min(1, len(record.Argv)):], []string{"proxy", "--config", h.confPath(ref)}) {
		return supervise.Record{}
	}
	if err := h.writeRole(role{RoleRef: ref, Process: record}); err != nil {
		h.log().Warn("adopt role", "role", ref.Name, "error", err)
		return supervise.Record{}
	}
	h.log().Info("adopt role", "role", ref.Name, "pid", l.PID)
	return record
}

// redact takes the values of secrets out of a text.
func redact(text string, secrets []schema.Secret) string {
	for _, secret := range secrets {
		if value, err := secret.Read(); err == nil {
			text = strings.ReplaceAll(text, value, "<secret>")
		}
	}
	return text
}
