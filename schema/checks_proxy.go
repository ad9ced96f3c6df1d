package schema

import (
	"maps"
	"slices"
	"strings"
)

// longestSocket is how many bytes the path of a unix socket may have: sun_path
// has 108, the last one is a NUL (unix(7)).
const longestSocket = 107

// checkProxy checks what a proxy's settings mean together with its cluster.
func (d *decoder) checkProxy(path string, p Proxy, c *Cluster) {
	_, redis := c.Redis.Node(p.Name)
	_, sentinel := c.Sentinel.Node(p.Name)
	if redis || sentinel {
		d.report(CodeRoleName, path, true, "a node of cluster %s has this name, too; roles of a cluster need different names", c.Name)
	}
	if p.TLS != nil && (p.TLS.Cert == "") != (p.TLS.Key == "") {
		d.report(CodeRules, path+".tls", true, "cert and key go together")
	}
	for _, l := range p.Listeners {
		if l.Login == LoginProxy && c.Auth.Password == nil {
			d.report(CodeRules, path+".listeners."+l.Name+".login", false, "cluster %s has no auth.password to log in with", c.Name)
		}
	}
}

// checkListener checks one listener by itself; fields has what was written.
func (d *decoder) checkListener(path string, l Listener, fields map[string]any) {
	_, port := d.index.labels[path+".port"]
	_, socket := d.index.labels[path+".socket"]
	port, socket = port || fields["port"] != nil, socket || fields["socket"] != nil
	if port == socket {
		d.report(CodeListener, path, true, "give exactly one of port and socket")
	}
	if len(l.Socket) > longestSocket {
		d.report(CodeSocket, path+".socket", false, "%s has %d bytes, a socket's path has %d at most", l.Socket, len(l.Socket), longestSocket)
	}
	refuses := l.ReadOnly || l.Read == ReadReplica
	for _, rule := range []struct {
		field  string
		broken bool
		why    string
	}{
		{"reusePort", l.ReusePort && l.Socket != "", "a socket cannot be shared"},
		{"durability", l.Durable && refuses, "this listener refuses writes"},
		{"durabilityTimeout", fields["durabilityTimeout"] != nil && !l.Durable, `it needs durability: "replica"`},
		{"maxLag", l.MaxLag > 0 && l.Read == ReadMaster, `it needs read: "replica" or "prefer-replica"`},
		{"readYourWrites", l.ReadYourWrites && l.Read != ReadPreferReplica, `it needs read: "prefer-replica"`},
		{"readYourWrites", l.ReadYourWrites && l.ReadOnly, "this listener refuses writes"},
	} {
		if rule.broken {
			d.report(CodeRules, path+"."+rule.field, false, "%s", rule.why)
		}
	}
	d.checkCommands(path, l, fields)
}

// checkCommands finds names that would mean two things.
func (d *decoder) checkCommands(path string, l Listener, fields map[string]any) {
	seen := map[string]bool{}
	for _, written := range keys(get[map[string]any](fields, "rename")) {
		name := strings.ToLower(written)
		if seen[name] {
			d.report(CodeRules, join(path+".rename", written), true, "%s is given twice in different spelling", name)
		}
		seen[name] = true
	}
	meant := slices.Collect(maps.Values(l.Rename))
	for _, name := range slices.Sorted(maps.Keys(l.Rename)) {
		at := path + ".rename." + name
		switch {
		case l.Rename[name] == name:
			d.report(CodeRules, at, false, "%s is its name already", name)
		case slices.Contains(meant, name):
			d.report(CodeRules, at, true, "%s is renamed itself, so that it would mean two commands", name)
		case slices.Contains(l.Deny, name), slices.Contains(l.Deny, l.Rename[name]):
			d.report(CodeRules, at, true, "deny refuses it")
		}
	}
}

// proxyPorts refuses addresses and sockets of proxies that another role has.
// Listeners of different proxies may share a port if all of them say so.
func (d *decoder) proxyPorts(take func(addr Addr, path, sharer string)) {
	sockets := map[string]string{}
	for _, p := range d.spec.Proxies() {
		path := join("proxies", p.Name)
		take(p.Admin, path+".admin.port", "")
		for _, l := range p.Listeners {
			at, sharer := path+".listeners."+l.Name, ""
			if l.ReusePort {
				sharer = p.Name
			}
			take(l.Addr, at+".port", sharer)
			if l.Socket == "" {
				continue
			}
			key := p.Host + " " + l.Socket
			if first, used := sockets[key]; used {
				d.report(CodeSocket, at+".socket", false, "%s is taken by %s", l.Socket, first)
			}
			sockets[key] = at
		}
	}
}
