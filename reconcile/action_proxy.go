package reconcile

import (
	"fmt"

	"rsm/schema"
)

// ReloadRole gives a running proxy new settings, which it takes without dropping
// a connection.
type ReloadRole struct {
	noImpact
	noCommands

	Role RoleRef `json:"role"`
	// Proxy is what its configuration file will hold: no secret, only references.
	Proxy schema.ProxyRole `json:"proxy"`
	// Binary is the version of rsm that it runs then, when that is another one: its
	// process starts that, hands its listeners over, and ends.
	Binary string `json:"binary,omitempty"`
}

// Subject is the role.
func (a ReloadRole) Subject() string { return a.Role.Name }

// Done tells whether it runs with these settings, and the binary.
func (a ReloadRole) Done(s *State) bool {
	r := s.Proxies[a.Role.Name]
	return r != nil && r.runs(a.Proxy) && (a.Binary == "" || a.Binary == r.Version)
}

// String is the line in a plan.
func (a ReloadRole) String() string {
	if a.Binary != "" {
		return "hand over to rsm " + a.Binary
	}
	return "reload its settings"
}

func (a ReloadRole) onHost() []string {
	if a.Binary != "" {
		return []string{"write " + a.Role.file("proxy.json"), "SIGUSR2, and wait until its successor serves"}
	}
	return []string{"write " + a.Role.file("proxy.json"), "SIGHUP, and wait until it has taken them"}
}

func (a ReloadRole) apply(s *State) { s.Proxies[a.Role.Name].start(a.Proxy) }

// file is where a role's file is, relative to the state directory.
func (r RoleRef) file(name string) string {
	return "clusters/" + r.Cluster + "/" + r.Name + "/" + name
}

// proxyRef names a proxy of the cluster.
func proxyRef(c *schema.Cluster, p schema.Proxy) RoleRef {
	return RoleRef{Cluster: c.Name, Name: p.Name, Kind: KindProxy, Addr: p.Addr()}
}

// aboutProxy tells actions that touch no server of the cluster.
func aboutProxy(action Action) bool {
	switch a := action.(type) {
	case StartRole:
		return a.Role.Kind == KindProxy
	case StopRole:
		return a.Role.Kind == KindProxy
	case ReloadRole:
		return true
	}
	return false
}

// startProxy is how a proxy's start is written down.
func (a StartRole) startProxy() (text string, onHost []string) {
	text = fmt.Sprintf("start proxy on %s", a.Role.Addr)
	for _, l := range a.Proxy.Proxy.Listeners {
		if l.Addr == "" {
			text += " and " + l.Socket
		} else if l.Addr != a.Role.Addr {
			text += " and " + string(l.Addr)
		}
	}
	path := a.Role.file("proxy.json")
	return text, []string{"write " + path, "exec rsm proxy --config " + path}
}
