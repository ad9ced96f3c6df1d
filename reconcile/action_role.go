package reconcile

import (
	"fmt"

	"rsm/schema"
)

// ReloadRole gives a running role of rsm new settings. A proxy takes them without
// dropping a connection; the others end what they do and are started again, which
// loses nothing, as what they work on is in Redis.
type ReloadRole struct {
	noImpact
	noCommands

	Role RoleRef `json:"role"`
	// Told is what its configuration file will hold.
	Told
	// Binary is the version of rsm that it runs then, when that is another one. A
	// proxy's process starts that, hands its listeners over, and ends.
	Binary string `json:"binary,omitempty"`
}

// Subject is the role.
func (a ReloadRole) Subject() string { return a.Role.Name }

// Done tells whether it runs with these settings, and the binary.
func (a ReloadRole) Done(s *State) bool {
	r := s.Roles[a.Role.Name]
	return r != nil && r.runs(a.Told) && (a.Binary == "" || a.Binary == r.Version)
}

// String is the line in a plan.
func (a ReloadRole) String() string {
	switch live := a.Role.Kind == KindProxy; {
	case a.Binary != "" && live:
		return "hand over to rsm " + a.Binary
	case a.Binary != "":
		return "restart it with rsm " + a.Binary
	case live:
		return "reload its settings"
	}
	return "restart it with its new settings"
}

func (a ReloadRole) onHost() []string {
	written := "write " + a.Role.settingsFile()
	switch live := a.Role.Kind == KindProxy; {
	case !live:
		return []string{written, "SIGTERM, and wait until it has ended what it does", a.Role.exec()}
	case a.Binary != "":
		return []string{written, "SIGUSR2, and wait until its successor serves"}
	}
	return []string{written, "SIGHUP, and wait until it has taken them"}
}

func (a ReloadRole) apply(s *State) { s.Roles[a.Role.Name].start(a.Told) }

// settingsFile is the configuration file of a role of rsm, relative to the state
// directory.
func (r RoleRef) settingsFile() string {
	return "clusters/" + r.Cluster + "/" + r.Name + "/" + string(r.Kind) + ".json"
}

// exec is how a role of rsm is run.
func (r RoleRef) exec() string {
	return fmt.Sprintf("exec rsm %s --config %s", r.Kind, r.settingsFile())
}

// OfRsm tells the kinds that are processes of the rsm binary, and touch no server
// of the cluster.
func (k Kind) OfRsm() bool {
	return k == KindProxy || k == KindAgent || k == KindDispatcher || k == KindWorker
}

// aboutRole tells actions that touch no server of the cluster.
func aboutRole(action Action) bool {
	switch a := action.(type) {
	case StartRole:
		return a.Role.Kind.OfRsm()
	case StopRole:
		return a.Role.Kind.OfRsm()
	case ReloadRole:
		return true
	}
	return false
}

// place is an address for people: without the port 0 of those who listen nowhere.
func place(addr schema.Addr) string {
	host, port := addr.Split()
	if port == "0" {
		return host
	}
	return string(addr)
}

// startText is how the start of a role of rsm is written down.
func (a StartRole) startText() string {
	text := fmt.Sprintf("start %s on %s", a.Role.Kind, place(a.Role.Addr))
	if a.Proxy == nil {
		return text
	}
	for _, l := range a.Proxy.Proxy.Listeners {
		if l.Addr == "" {
			text += " and " + l.Socket
		} else if l.Addr != a.Role.Addr {
			text += " and " + string(l.Addr)
		}
	}
	return text
}
