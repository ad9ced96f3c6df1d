package reconcile

import (
	"fmt"
	"slices"

	"rsm/schema"
)

// ProxyState is what was seen of one proxy. It counts in no decision about the
// servers.
type ProxyState struct {
	Name string      `json:"name"`
	Addr schema.Addr `json:"addr"`
	// Reach is Up while all of its addresses accept connections. One of this
	// machine is Down when its process does not run.
	Reach Reach  `json:"reach"`
	Why   string `json:"why,omitempty"`
	Loaded
	Process Process `json:"process"`
}

// Loaded is what the process of a proxy tells of its settings. It is empty when
// the process does not run, or not on this machine.
type Loaded struct {
	// Version is that of the rsm that runs.
	Version string `json:"version,omitempty"`
	// Digest names the settings that it runs with, see schema.ProxyRole.Digest.
	Digest string `json:"digest,omitempty"`
	// Refused is the Digest of settings that it did not take since, and Refusal its
	// reason.
	Refused string `json:"refused,omitempty"`
	Refusal string `json:"refusal,omitempty"`
	// Role are the settings that it runs with; nil when only their digest is known.
	Role *schema.ProxyRole `json:"role,omitempty"`
}

// runs reports whether the process serves with exactly these settings.
func (r *ProxyState) runs(role schema.ProxyRole) bool {
	return r.Reach == Up && r.Process.Running && r.Digest == role.Digest()
}

// start is what a start or a reload does to the model.
func (r *ProxyState) start(role schema.ProxyRole) {
	r.Reach, r.Why, r.Process.Running = Up, "", r.Process.Local
	version := r.Version
	if r.Process.Binary != "" {
		version = r.Process.Binary
	}
	r.Loaded = Loaded{Version: version, Digest: role.Digest(), Role: &role}
}

// outdated reports whether it runs another version of rsm than this one.
func (r *ProxyState) outdated() bool {
	return r.Process.Running && r.Version != "" && r.Process.Binary != "" && r.Version != r.Process.Binary
}

// stop is what a stop does to the model.
func (r *ProxyState) stop() { r.Reach, r.Process.Running, r.Loaded = Down, false, Loaded{} }

// diffProxies compares the proxies of the spec with what runs.
func diffProxies(c *schema.Cluster, s *State) []Drift {
	var drifts []Drift
	for _, p := range c.Proxies {
		r := s.Proxies[p.Name]
		switch {
		case r == nil:
		case !r.Process.Local && len(p.Addrs()) == 0: // sockets are not seen from here
		case r.Process.Running && r.Digest != "":
			if role, _ := c.ProxyRole(p.Name); r.Digest != role.Digest() {
				drifts = append(drifts, diffRole(p.Name, r.Role, role)...)
				continue
			}
			fallthrough
		default:
			drifts = append(drifts, diffProcess(p.Name, r.Reach, r.Why, r.Process)...)
			if r.outdated() {
				drifts = append(drifts, Drift{p.Name, fieldVersion, r.Version, r.Process.Binary, Differs})
			}
		}
	}
	return drifts
}

// proxies starts those that are missing, and gives those that run the settings of
// the spec. They come after the Sentinels: a proxy asks them who leads.
func (d *decision) proxies() {
	for _, p := range d.c.Proxies {
		r := d.s.Proxies[p.Name]
		causes := slices.DeleteFunc(slices.Clone(d.drifts), func(x Drift) bool { return x.Subject != p.Name })
		if r == nil || len(causes) == 0 || !r.Process.Local {
			continue
		}
		role, _ := d.c.ProxyRole(p.Name)
		want, ref := role.Digest(), proxyRef(d.c, p)
		binary := ""
		if r.outdated() {
			binary = r.Process.Binary
		}
		switch {
		case r.Process.Running && (r.Digest == "" || r.Digest == want && binary == ""): // it starts, and a signal would end it; or it hangs
		case r.Process.Running && r.Refused == want && binary != "":
			d.hold(Held{Subject: p.Name, Causes: causes, Reason: fmt.Sprintf(
				"it goes on as before, as rsm %s did not take over: %s; mend that and send it SIGUSR2 (kill -USR2 %d)", binary, r.Refusal, r.Process.PID)})
		case r.Process.Running && r.Refused == want:
			d.hold(Held{Subject: p.Name, Causes: causes, Reason: fmt.Sprintf(
				"it goes on as before, as it refuses these settings: %s; change them, or mend that and send it SIGHUP (kill -HUP %d)", r.Refusal, r.Process.PID)})
		case r.Process.Running:
			d.add(ReloadRole{Role: ref, Proxy: role, Binary: binary}, causes...)
		case r.Process.Foreign != "":
			d.hold(Held{Subject: p.Name, Causes: causes, Reason: fmt.Sprintf(
				"its port is held by %s, which rsm did not start: stop that, or change the port in the spec", r.Process.Foreign)})
		case r.Reach == Down:
			d.add(StartRole{Role: ref, Proxy: &role}, causes...)
		}
	}
}
