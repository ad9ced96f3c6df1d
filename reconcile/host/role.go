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

// How long a role of rsm may take to take its settings: it reads a few files and
// opens ports.
const reloadTimeout = 10 * time.Second

// loaded is the content of <kind>.loaded.
type loaded struct {
	PID int `json:"pid"`
	// At makes every writing differ from the one before.
	At time.Time `json:"at"`
	reconcile.Loaded
}

// WriteLoaded is how the process of a role of rsm tells what it runs with, and what
// it refused: in the file <kind>.loaded beside its configuration file <kind>.json.
// The process calls it after each attempt to load that file.
func WriteLoaded(configFile string, l reconcile.Loaded) error {
	path := strings.TrimSuffix(configFile, ".json") + ".loaded"
	return writeJSON(path, loaded{PID: os.Getpid(), At: time.Now(), Loaded: l})
}

// Loaded returns what the process of a role of rsm says that it runs with; it is
// empty while that does not run.
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
	l.Told, _ = reconcile.DecodeTold(ref.Kind, content)
	return l.Loaded
}

func (h *Host) readLoaded(ref reconcile.RoleRef) (l loaded, ok bool) {
	ok, err := readJSON(h.loadedPath(ref), &l)
	if err != nil {
		h.log().Warn("read what a role loaded", "role", ref.Name, "error", err)
	}
	return l, ok && err == nil
}

func (h *Host) loadedPath(ref reconcile.RoleRef) string {
	return h.roleDir(ref, string(ref.Kind)+".loaded")
}

// startRole writes the file of a role of rsm and starts rsm with it.
func (h *Host) startRole(ctx context.Context, a reconcile.StartRole) error {
	l, err := h.prepare(a.Role, a.Told)
	if err == nil {
		err = vacant(l, a)
	}
	if err != nil {
		return err
	}
	if err := h.writeSettings(a.Role, a.Told); err != nil {
		return err
	}
	if err := os.Remove(h.loadedPath(a.Role)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget settings: %w", err)
	}
	logFrom := fileSize(h.roleDir(a.Role, "log"))
	l.role.RoleRef, l.role.Process = a.Role, supervise.Record{}
	exited, err := h.run(ctx, &l, string(a.Role.Kind), "--config", h.confPath(a.Role))
	if err != nil {
		return err
	}
	want := reconcile.Loaded{Digest: a.Digest()}
	if err := h.taken(ctx, a.Role, want, nil, exited); errors.Is(err, errEnded) {
		return fmt.Errorf("%w: %s", err, redact(h.lastWords(a.Role, logFrom), a.Settings().Secrets()))
	} else if err != nil && !errors.Is(err, errNotTaken) { // a slow one is left to the observer
		return err
	}
	return ctx.Err()
}

func (h *Host) writeSettings(ref reconcile.RoleRef, told reconcile.Told) error {
	content, err := told.Settings().Encode()
	if err != nil {
		return err
	}
	return writeFile(h.confPath(ref), content)
}

// prepare gathers what a role of rsm needs before anything is touched.
func (h *Host) prepare(ref reconcile.RoleRef, told reconcile.Told) (l launch, err error) {
	if err := checkNames(ref.Cluster, ref.Name); err != nil {
		return l, err
	}
	if told.Settings() == nil || !h.Local(ref.Addr) {
		return l, fmt.Errorf("%s is no %s of this machine", ref.Addr, ref.Kind)
	}
	if l.role, _, err = h.readRole(ref); err != nil {
		return l, err
	}
	l.env = childEnv()
	for _, secret := range told.Settings().Secrets() {
		value, err := secret.Read()
		if err != nil {
			return l, err
		}
		if secret.Env != "" {
			l.env = append(l.env, secret.Env+"="+value)
		}
	}
	l.binary, err = h.executable()
	return l, err
}

// vacant refuses a role that runs, and one whose ports are taken.
func vacant(l launch, a reconcile.StartRole) error {
	if supervise.Alive(l.role.Process) {
		return fmt.Errorf("it runs already on %s (pid %d)", l.role.Addr, l.role.Process.PID)
	}
	return free(a.Owned(), l)
}

// free refuses addresses on which others listen than the role itself.
func free(owned []schema.Addr, l launch) error {
	for _, addr := range owned {
		if pid, _, ok := supervise.Listener(string(addr)); ok && pid != 0 && pid == l.role.Process.PID {
			continue
		}
		if who := foreign(reconcile.RoleRef{Addr: addr}); who != "" {
			return fmt.Errorf("%s is taken by %s", addr, who)
		}
	}
	return nil
}

// executable is the rsm that its roles run.
func (h *Host) executable() (string, error) {
	if h.Executable != "" {
		return h.Executable, nil
	}
	return os.Executable()
}

// Reload writes the role's settings and has its process take them, or starts it
// anew. The error has the process's reason when it refuses them; a proxy then goes
// on with those it has.
func (h *Host) Reload(ctx context.Context, a reconcile.ReloadRole) error {
	if err := h.reload(ctx, a); err != nil {
		return fmt.Errorf("reload %s: %w", a.Role.Name, err)
	}
	h.log().Info("reload role", "role", a.Role.Name)
	return nil
}

func (h *Host) reload(ctx context.Context, a reconcile.ReloadRole) error {
	if a.Role.Kind != reconcile.KindProxy {
		return h.restart(ctx, a)
	}
	r, _, err := h.readRole(a.Role)
	if err != nil {
		return err
	}
	before, _ := os.ReadFile(h.loadedPath(a.Role))
	if err := h.writeSettings(a.Role, a.Told); err != nil {
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
	want := reconcile.Loaded{Digest: a.Digest(), Version: a.Binary}
	if a.Binary != "" {
		return h.replace(ctx, a.Role, r.Process, want, before)
	}
	if err := supervise.Signal(r.Process, syscall.SIGHUP); err != nil {
		return err
	}
	return h.taken(ctx, a.Role, want, before, nil)
}

// restart ends a role and starts it again; one that could not start is not ended.
func (h *Host) restart(ctx context.Context, a reconcile.ReloadRole) error {
	l, err := h.prepare(a.Role, a.Told)
	if err == nil {
		err = free(a.Owned(), l)
	}
	if err != nil {
		return err
	}
	if err := h.Stop(ctx, reconcile.StopRole{Role: a.Role}); err != nil {
		return err
	}
	return h.startRole(ctx, reconcile.StartRole{Role: a.Role, Told: a.Told})
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
		now, _ := os.ReadFile(h.loadedPath(ref))
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

// successor returns the process of a role of rsm: the one that is recorded, or that
// which it handed over to, or which was found again.
func (h *Host) successor(ref reconcile.RoleRef, recorded supervise.Record) supervise.Record {
	l, ok := h.readLoaded(ref)
	if ok && l.PID != recorded.PID || !supervise.Alive(recorded) {
		if found := h.findRole(ref); found.PID != 0 {
			return found
		}
	}
	return recorded
}

// findRole takes over a process whose record was lost: it told its pid, and it runs
// with the role's own file.
func (h *Host) findRole(ref reconcile.RoleRef) supervise.Record {
	l, ok := h.readLoaded(ref)
	if !ok {
		return supervise.Record{}
	}
	record, err := supervise.Find(l.PID)
	if err != nil || !slices.Equal(record.Argv[min(1, len(record.Argv)):], []string{string(ref.Kind), "--config", h.confPath(ref)}) {
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
