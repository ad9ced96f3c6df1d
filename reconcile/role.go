package reconcile

import (
	"fmt"
	"slices"

	"rsm/schema"
)

// RoleState is what was seen of a role of rsm: a proxy, an agent, a dispatcher or
// a worker. It counts in no decision about the servers.
type RoleState struct {
	Name string      `json:"name"`
	Kind Kind        `json:"kind"`
	Addr schema.Addr `json:"addr"`
	// Reach of a proxy is Up while all of its addresses accept connections, that of
	// the others while their process tells what it runs with, or, on another
	// machine, tells Redis every few seconds that it is there. A role of this
	// machine is Down when its process does not run.
	Reach Reach  `json:"reach"`
	Why   string `json:"why,omitempty"`
	// Behind says why a dispatcher or worker does not follow the queues, handlers and
	// rules that are published, empty when it does.
	Behind string `json:"behind,omitempty"`
	Loaded
	Process Process `json:"process"`
}

// Loaded is what the process of a role tells of its settings. It is empty when the
// process does not run, or cannot be asked.
type Loaded struct {
	// Version is that of the rsm that runs.
	Version string `json:"version,omitempty"`
	// Digest names the settings that it runs with, see schema.DigestOf.
	Digest string `json:"digest,omitempty"`
	// Refused is the Digest of settings that it did not take since, and Refusal its
	// reason.
	Refused string `json:"refused,omitempty"`
	Refusal string `json:"refusal,omitempty"`
	// Told are the settings that it runs with; empty when only their digest is known.
	Told Told `json:"told,omitzero"`
}

// runs reports whether the process serves with exactly these settings.
func (r *RoleState) runs(told Told) bool {
	return r.Reach == Up && r.Process.Running && r.Digest == told.Digest()
}

// start is what a start or a reload does to the model.
func (r *RoleState) start(told Told) {
	r.Reach, r.Why, r.Process.Running = Up, "", r.Process.Local
	version := r.Version
	if r.Process.Binary != "" {
		version = r.Process.Binary
	}
	r.Loaded = Loaded{Version: version, Digest: told.Digest(), Told: told}
}

// known reports whether it is known what the role runs with.
func (r *RoleState) known() bool {
	return r.Digest != "" && (r.Process.Running || !r.Process.Local && r.Reach == Up)
}

// outdated reports whether it runs another version of rsm than this one.
func (r *RoleState) outdated() bool {
	return r.Process.Running && r.Version != "" && r.Process.Binary != "" && r.Version != r.Process.Binary
}

// stop is what a stop does to the model.
func (r *RoleState) stop() { r.Reach, r.Process.Running, r.Loaded = Down, false, Loaded{} }

// diffRoles compares the roles of rsm in the spec with what runs.
func diffRoles(c *schema.Cluster, s *State) []Drift {
	var drifts []Drift
	for _, want := range DeclaredRoles(c) {
		r := s.Roles[want.Name]
		switch {
		case r == nil:
		case !r.Process.Local && want.Kind == KindProxy && len(want.Proxy.Proxy.Addrs()) == 0: // sockets are not seen from here
		case r.known() && r.Digest != want.Digest():
			drifts = append(drifts, diffTold(want.Name, r.Told, want.Told)...)
		default:
			drifts = append(drifts, diffProcess(want.Name, r.Reach, r.Why, r.Process)...)
			if r.outdated() {
				drifts = append(drifts, Drift{want.Name, fieldVersion, r.Version, r.Process.Binary, Differs})
			}
		}
	}
	return drifts
}

// proxies come after the Sentinels: a proxy asks them who leads.
func (d *decision) proxies() {
	for _, want := range DeclaredRoles(d.c) {
		if want.Kind == KindProxy {
			d.role(want)
		}
	}
}

// roles come last: they need everything else.
func (d *decision) roles() {
	for _, want := range DeclaredRoles(d.c) {
		if want.Kind != KindProxy {
			d.role(want)
		}
	}
}

// role starts a role that is missing, and gives one that runs the settings of the
// spec.
func (d *decision) role(declared Declared) {
	name, told := declared.Name, declared.Told
	r := d.s.Roles[name]
	causes := slices.DeleteFunc(slices.Clone(d.drifts), func(x Drift) bool { return x.Subject != name })
	if r == nil || len(causes) == 0 {
		return
	}
	if !r.Process.Local {
		if r.known() {
			d.hold(Held{Subject: name, Causes: causes, Reason: "it runs on another machine with other settings: run rsm there"})
		}
		return
	}
	want, binary := told.Digest(), ""
	if r.outdated() {
		binary = r.Process.Binary
	}
	switch {
	case r.Process.Running && (r.Digest == "" || r.Digest == want && binary == ""): // it starts, and a signal would end it; or it hangs
	case r.Process.Running && r.Refused == want && binary != "":
		d.hold(Held{Subject: name, Causes: causes, Reason: fmt.Sprintf(
			"it goes on as before, as rsm %s did not take over: %s; mend that and send it SIGUSR2 (kill -USR2 %d)", binary, r.Refusal, r.Process.PID)})
	case r.Process.Running && r.Refused == want:
		d.hold(Held{Subject: name, Causes: causes, Reason: fmt.Sprintf(
			"it goes on as before, as it refuses these settings: %s; change them, or mend that and send it SIGHUP (kill -HUP %d)", r.Refusal, r.Process.PID)})
	case r.Process.Running:
		d.add(ReloadRole{Role: declared.RoleRef, Told: told, Binary: binary}, causes...)
	case r.Process.Foreign != "":
		d.hold(Held{Subject: name, Causes: causes, Reason: fmt.Sprintf(
			"its port is held by %s, which rsm did not start: stop that, or change the port in the spec", r.Process.Foreign)})
	case r.Reach == Down:
		d.add(StartRole{Role: declared.RoleRef, Told: told}, causes...)
	}
}
