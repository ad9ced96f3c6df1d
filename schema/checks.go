package schema

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// address checks a host's address and returns it in its shortest form.
func (d *decoder) address(host Host, hosts int) string {
	if host.Address == "" {
		return ""
	}
	path := join(join("hosts", host.Name), "address")
	addr, err := netip.ParseAddr(host.Address)
	switch {
	case err != nil:
		d.report(CodeAddress, path, false, "%q is not an IP address", host.Address).Hint =
			"Sentinel follows addresses, so that names are not accepted"
		return ""
	case addr.IsUnspecified(), addr.IsMulticast(), addr.Zone() != "":
		d.report(CodeAddress, path, false, "%q is not an address that others can connect to", host.Address)
		return ""
	case addr.IsLoopback() && hosts > 1:
		d.report(CodeLoopback, path, false, "the other hosts cannot reach %s", host.Address)
	}
	return addr.Unmap().String()
}

// host finds the host of a node; given tells that the node names one.
func (d *decoder) host(path, name string, given bool) (Host, bool) {
	at := path + ".host"
	if !given {
		if len(d.spec.Hosts) == 1 {
			return d.spec.Hosts[0], true
		}
		if _, bad := d.index.labels[at]; !bad && len(d.spec.Hosts) > 1 {
			d.report(CodeWhichHost, path, true, "host is missing: the spec has %d hosts", len(d.spec.Hosts))
		}
		return Host{}, false
	}
	host, ok := d.spec.Host(name)
	// A host that is declared wrongly is reported there.
	if _, declared := d.index.labels[join("hosts", name)]; !ok && !declared {
		var names []string
		for _, h := range d.spec.Hosts {
			names = append(names, h.Name)
		}
		p := d.report(CodeHost, at, false, "there is no host %s", name)
		if guess := nearest(name, names); guess != "" {
			p.Hint = "did you mean " + guess + "?"
		} else {
			p.Hint = "declare it: hosts: " + name + `: address: "..."`
		}
	}
	return host, ok
}

// checkRedis checks the data side as a whole and fills in the seed. declared
// has all nodes that were written, even those that are wrong.
func (d *decoder) checkRedis(path string, r *Redis, declared map[string]any) {
	if declared != nil && len(declared) == 0 {
		d.report(CodeNoNode, path+".nodes", true, "at least one redis node is needed")
		return
	}
	if len(r.Nodes) == 0 {
		return
	}
	if r.Seed == "" {
		r.Seed = r.Nodes[0].Name
	}
	if _, ok := r.Node(r.Seed); !ok {
		var names []string
		for _, n := range r.Nodes {
			names = append(names, n.Name)
		}
		p := d.report(CodeSeed, path+".seed", false, "%s is not one of redis.nodes", r.Seed)
		if guess := nearest(r.Seed, names); guess != "" {
			p.Hint = "did you mean " + guess + "?"
		}
	}
	if len(r.Nodes) == 1 {
		d.report(CodeNoReplica, path+".nodes", true, "one redis node: no failover is possible")
		return
	}
	candidates := 0
	for _, n := range r.Nodes {
		if n.Priority > 0 {
			candidates++
		}
	}
	if candidates < 2 {
		d.report(CodeNoCandidate, path+".nodes", true,
			"%d of %d nodes have a priority above 0: after one failure Sentinel can promote none", candidates, len(r.Nodes))
	}
}

// version checks a constraint and returns it in its one spelling.
func (d *decoder) version(path, text string) string {
	v, err := ParseVersions(text)
	if err != nil {
		d.report(CodeVersion, path, false, "%v", err)
	}
	return v.String()
}

// checkSentinel checks the watching side as a whole and fills in the quorum.
func (d *decoder) checkSentinel(path string, s *Sentinel, declared map[string]any) {
	if declared != nil && len(declared) == 0 {
		d.report(CodeNoNode, path+".nodes", true, "at least one Sentinel is needed")
		return
	}
	// Sentinel pings a master that it has just switched to only after a second
	// (sentinel.c, SENTINEL_PING_PERIOD), so that a new one may count as down at once.
	if s.DownAfter > 0 && s.DownAfter < 2*time.Second {
		d.report(CodeImpatient, path+".downAfter", false,
			"%s: a short pause will look like a dead master, and one failover may cause another", s.DownAfter)
	}
	// A node with a mistake elsewhere still counts.
	n := len(declared)
	if n == 0 || n != len(s.Nodes) {
		return
	}
	switch {
	case n == 1:
		d.report(CodeSentinels, path+".nodes", true, "one Sentinel: when its host fails, nothing fails over").Hint = "use three"
	case n%2 == 0:
		d.report(CodeSentinels, path+".nodes", true,
			"%d Sentinels survive no more failures than %d", n, n-1).Hint = fmt.Sprintf("use %d", n+1)
	}
	majority := s.Majority()
	switch {
	case s.Quorum == 0:
		s.Quorum = majority
	case s.Quorum > n:
		d.report(CodeQuorumHigh, path+".quorum", false,
			"quorum %d is above the number of Sentinels, %d: no failover could ever start", s.Quorum, n)
	case s.Quorum < majority:
		d.report(CodeQuorumLow, path+".quorum", false,
			"quorum %d is below the majority of %d Sentinels, which is %d", s.Quorum, n, majority)
	}
}

// ports refuses two roles at one address, over all clusters.
func (d *decoder) ports() {
	type owner struct{ path, sharer string }
	taken := map[Addr]owner{}
	// path is where the port is declared. A sharer is who shares the address with others of another name.
	take := func(addr Addr, path, sharer string) {
		if addr == "" {
			return
		}
		first, used := taken[addr]
		if !used {
			taken[addr] = owner{path, sharer}
			return
		}
		if sharer != "" && first.sharer != "" && sharer != first.sharer {
			return
		}
		where := d.index.at(first.path)
		p := d.report(CodePortTwice, path, false, "%s is taken by %s", addr, strings.TrimSuffix(first.path, ".port"))
		if where.IsValid() {
			p.Hint = fmt.Sprintf("the other one is at line %d of %s", where.Line(), where.Filename())
		}
	}
	for _, c := range d.spec.Clusters {
		for _, n := range c.Redis.Nodes {
			take(n.Addr, "clusters."+c.Name+".redis.nodes."+n.Name+".port", "")
		}
		for _, n := range c.Sentinel.Nodes {
			take(n.Addr, "clusters."+c.Name+".sentinel.nodes."+n.Name+".port", "")
		}
	}
	d.proxyPorts(take)
	d.metricsPorts(take)
}
