package schema

import (
	"net"
	"strconv"
)

// take refuses a second role of a cluster with the same name.
func (d *decoder) take(c *Cluster, name, path string) {
	if d.taken == nil {
		d.taken = map[string]string{}
	}
	if first := d.holder(c, name); first != "" {
		d.report(CodeRoleName, path, true, "%s has the name %s already; roles of a cluster need different names", first, name)
		return
	}
	d.taken[c.Name+"/"+name] = path
}

// holder is the path of the role that has a name, "" for none.
func (d *decoder) holder(c *Cluster, name string) string {
	if first := d.taken[c.Name+"/"+name]; first != "" {
		return first
	}
	if _, ok := c.Redis.Node(name); ok {
		return "clusters." + c.Name + ".redis.nodes." + name
	}
	if _, ok := c.Sentinel.Node(name); ok {
		return "clusters." + c.Name + ".sentinel.nodes." + name
	}
	if _, ok := named(c.Proxies, name, func(p Proxy) string { return p.Name }); ok {
		return "proxies." + name
	}
	return ""
}

// metricsPorts refuses ports of agents, dispatchers and workers that another role
// has.
func (d *decoder) metricsPorts(take func(addr Addr, path, sharer string)) {
	for _, c := range d.spec.Clusters {
		for _, a := range c.Agents {
			take(a.Metrics, d.agentAt[a.Name]+".metrics", "")
		}
		for _, one := range c.Dispatchers {
			take(one.Metrics, "dispatchers."+one.Name+".metrics", "")
		}
		for _, w := range c.Workers {
			take(w.Metrics, "workers."+w.Name+".metrics", "")
		}
	}
}

// goodServer tells whether host:port has a port.
func goodServer(text string) bool {
	_, port, err := net.SplitHostPort(text)
	n, bad := strconv.ParseUint(port, 10, 16)
	return err == nil && bad == nil && n > 0
}
