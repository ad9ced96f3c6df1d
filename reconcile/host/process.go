package host

import (
	"context"
	"fmt"
	"path/filepath"

	"rsm/internal/supervise"
	"rsm/reconcile"
)

// role is the content of role.json.
type role struct {
	reconcile.RoleRef
	// Process is the process that was started last; zero before the first start.
	Process supervise.Record `json:"process"`
	// Managed are the keys that rsm wrote into the configuration file, so that
	// it can take out again what the spec drops.
	Managed []string `json:"managed,omitempty"`
}

func (h *Host) readRole(ref reconcile.RoleRef) (role, bool, error) {
	r := role{RoleRef: ref}
	ok, err := readJSON(h.roleDir(ref, "role.json"), &r)
	return r, ok, err
}

func (h *Host) writeRole(r role) error { return writeJSON(h.roleDir(r.RoleRef, "role.json"), r) }

// Process tells what this machine knows of the role. A role elsewhere is not
// Local and nothing more. Foreign and Binary are only looked up when the
// process that rsm started does not run.
func (h *Host) Process(ctx context.Context, ref reconcile.RoleRef) reconcile.Process {
	if !h.Local(ref.Addr) {
		return reconcile.Process{}
	}
	p := reconcile.Process{Local: true, Data: h.data(ref)}
	r, _, err := h.readRole(ref)
	if err != nil {
		h.log().Warn("read role", "role", ref.Name, "error", err)
	}
	if ref.Kind.OfRsm() {
		p.Binary = h.Version
		r.Process = h.successor(ref, r.Process)
	}
	if supervise.Alive(r.Process) {
		p.Running, p.PID = true, r.Process.PID
		if r.Addr != ref.Addr && !ref.Kind.OfRsm() {
			p.Elsewhere = r.Addr
		}
		return p
	}
	if ref.Kind == reconcile.KindSentinel {
		p.Memory = h.memory(ref)
	}
	p.Foreign = foreign(ref)
	if ref.Kind.OfRsm() {
		return p // its binary is rsm itself
	}
	p.Binary, err = h.binary(ctx, ref.Kind)
	if err != nil {
		p.BinaryErr = err.Error()
	}
	return p
}

// foreign names who listens on the role's address, empty for nobody.
func foreign(ref reconcile.RoleRef) string {
	pid, name, ok := supervise.Listener(string(ref.Addr))
	switch {
	case !ok:
		return ""
	case pid == 0:
		return name
	}
	return fmt.Sprintf("%s (pid %d)", name, pid)
}

// Adopt takes a process over whose record was lost: configFile and pid are what
// the server at the role's address says of itself in INFO. It returns true and
// records the pid when that is the role's own configuration file and this
// machine's process pid listens on the address; another machine may have the
// same paths.
func (h *Host) Adopt(ref reconcile.RoleRef, configFile string, pid int) bool {
	if configFile == "" || filepath.Clean(configFile) != h.confPath(ref) || !h.Local(ref.Addr) {
		return false
	}
	if listener, _, _ := supervise.Listener(string(ref.Addr)); listener != pid || pid == 0 {
		return false
	}
	record, err := supervise.Find(pid)
	if err != nil {
		return false
	}
	r, _, err := h.readRole(ref)
	if err != nil {
		r = role{} // the broken file is replaced
	}
	r.RoleRef, r.Process = ref, record
	if err := h.writeRole(r); err != nil {
		h.log().Warn("adopt role", "role", ref.Name, "error", err)
		return false
	}
	h.log().Info("adopt role", "role", ref.Name, "pid", pid)
	return true
}
