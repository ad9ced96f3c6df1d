package schema

import (
	"cmp"
	"slices"
	"time"
)

// The defaults of agents, dispatchers and workers that operations.cue names in its
// comments.
const (
	defaultSample      = "10s"
	leastSample        = 100 * time.Millisecond
	defaultOutbox      = 1000
	defaultPrefix      = "rsm"
	defaultPush        = "60s"
	defaultKeepEvents  = 100_000
	defaultKeepFor     = "24h"
	defaultSilent      = 3
	defaultSilentGrace = "5s"
	defaultConcurrency = 10
	defaultStopGrace   = "30s"
	day                = 24 * time.Hour
	year               = 365 * day
)

// each calls one for every struct of a map of the spec, by name.
func each(root map[string]any, section string, one func(path, name string, fields map[string]any)) {
	entries := get[map[string]any](root, section)
	for _, name := range keys(entries) {
		if fields, ok := entries[name].(map[string]any); ok {
			one(join(section, name), name, fields)
		}
	}
}

// roles adds agents, dispatchers and workers to the cluster that they work
// through.
func (d *decoder) roles(root map[string]any) {
	each(root, "agents", d.agents)
	each(root, "dispatchers", func(path, name string, fields map[string]any) {
		one := d.dispatcher(path, name, fields)
		if c := d.serves(path, fields); c != nil {
			one.Cluster = c.Name
			d.take(c, name, path)
			c.Dispatchers = append(c.Dispatchers, one)
		}
	})
	each(root, "workers", func(path, name string, fields map[string]any) {
		one := d.worker(path, name, fields)
		if c := d.serves(path, fields); c != nil {
			one.Cluster = c.Name
			d.take(c, name, path)
			c.Workers = append(c.Workers, one)
		}
	})
	for _, c := range d.spec.Clusters {
		slices.SortFunc(c.Agents, func(a, b Agent) int { return cmp.Compare(a.Name, b.Name) })
	}
}

// agents are one for each host.
func (d *decoder) agents(path, name string, fields map[string]any) {
	a := Agent{
		Name:         name,
		Interval:     d.span(path, fields, "interval", defaultSample, leastSample, day),
		Tags:         textMap(fields, "tags"),
		Mounts:       textList(fields, "mounts"),
		IgnoreMounts: textList(fields, "ignoreMounts"),
		Outbox:       or(fields, "outbox", defaultOutbox),
	}
	if g := get[map[string]any](fields, "graphite"); g != nil {
		a.Graphite = &Graphite{
			Addr: d.server(path+".graphite", g), Prefix: or(g, "prefix", defaultPrefix),
			Interval: d.span(path+".graphite", g, "interval", defaultPush, time.Second, day),
		}
	}
	hosts := d.spec.Hosts
	if fields["host"] != nil {
		host, ok := d.host(path, get[string](fields, "host"), true)
		if !ok {
			return
		}
		hosts = []Host{host}
	}
	c := d.serves(path, fields)
	if c == nil {
		return
	}
	a.Cluster = c.Name
	for _, host := range hosts {
		one := a
		if len(hosts) > 1 {
			one.Name += "-" + host.Name
		}
		one.Host, one.Address, one.Zone = host.Name, host.Address, host.Zone
		one.Metrics = onHost(host, get[int](fields, "metrics"))
		one.Nodes = d.spec.nodesOn(host.Name)
		d.agent(c, one.Name, path)
		c.Agents = append(c.Agents, one)
	}
}

// agent remembers where an agent was declared, and refuses a second one of its
// name: that of a host may be the same as that of another.
func (d *decoder) agent(c *Cluster, name, path string) {
	if d.agentAt == nil {
		d.agentAt = map[string]string{}
	}
	if first := d.agentAt[name]; first != "" {
		d.report(CodeRoleName, path, true, "%s makes an agent %s already", first, name)
		return
	}
	d.agentAt[name] = path
	d.take(c, name, path)
	if at := join("agents", name); !d.index.labels[at].IsValid() {
		d.index.labels[at] = d.index.label(path)
	}
}

// nodesOn lists the servers of a host, sorted by cluster and name.
func (s *Spec) nodesOn(host string) []AgentNode {
	var nodes []AgentNode
	for _, c := range s.Clusters {
		for _, n := range c.Redis.Nodes {
			if n.Host == host {
				nodes = append(nodes, AgentNode{Cluster: c.Name, Name: n.Name, Addr: n.Addr, Password: c.Auth.Password})
			}
		}
		for _, n := range c.Sentinel.Nodes {
			if n.Host == host {
				nodes = append(nodes, AgentNode{Cluster: c.Name, Name: n.Name, Addr: n.Addr, Sentinel: true, Password: c.Auth.SentinelPassword})
			}
		}
	}
	slices.SortStableFunc(nodes, func(a, b AgentNode) int {
		return cmp.Or(cmp.Compare(a.Cluster, b.Cluster), cmp.Compare(a.Name, b.Name))
	})
	return nodes
}

func (d *decoder) dispatcher(path, name string, fields map[string]any) Dispatcher {
	host, _ := d.host(path, get[string](fields, "host"), fields["host"] != nil)
	return Dispatcher{
		Name: name, Host: host.Name, Address: host.Address,
		Metrics:    onHost(host, get[int](fields, "metrics")),
		KeepEvents: int64(or(fields, "keepEvents", defaultKeepEvents)),
		KeepFor:    d.span(path, fields, "keepFor", defaultKeepFor, time.Second, year),
		Silent:     or(fields, "silent", defaultSilent),
		Grace:      d.span(path, fields, "grace", defaultSilentGrace, 0, day),
	}
}

func (d *decoder) worker(path, name string, fields map[string]any) Worker {
	host, _ := d.host(path, get[string](fields, "host"), fields["host"] != nil)
	w := Worker{
		Name: name, Host: host.Name, Address: host.Address,
		Queues:      textList(fields, "queues"),
		Strict:      yes(fields, "strict"),
		Labels:      textMap(fields, "labels"),
		Concurrency: or(fields, "concurrency", defaultConcurrency),
		Grace:       d.span(path, fields, "grace", defaultStopGrace, 0, day),
		Spool:       d.file(path, fields, "spool"),
		Metrics:     onHost(host, get[int](fields, "metrics")),
	}
	w.Prefetch = or(fields, "prefetch", w.Concurrency)
	if list, ok := fields["queues"].([]any); ok && len(list) == 0 {
		d.report(CodeOperations, path+".queues", true, "the worker takes tasks from no queue")
	}
	return w
}

// span reads a duration that has a default and limits.
func (d *decoder) span(path string, fields map[string]any, name, otherwise string, least, most time.Duration) time.Duration {
	text := or(fields, name, otherwise)
	if text == "" {
		return 0
	}
	got, err := time.ParseDuration(text)
	switch {
	case err == nil && got == 0 && least == 0:
		return 0
	case err == nil && got >= time.Millisecond && got < least:
		d.report(CodeDuration, path+"."+name, false, "%s is shorter than %s", got, least)
		return got
	}
	return d.durationUpTo(path+"."+name, text, most)
}

// server reads the field server, which is host:port.
func (d *decoder) server(path string, fields map[string]any) string {
	text := get[string](fields, "server")
	if text != "" && !goodServer(text) {
		d.report(CodeValue, path+".server", false, "%q has no port from 1 to 65535", text)
	}
	return text
}

// textList reads a list of texts.
func textList(fields map[string]any, name string) []string {
	var list []string
	for _, entry := range get[[]any](fields, name) {
		if text, ok := entry.(string); ok {
			list = append(list, text)
		}
	}
	return list
}

// textMap reads a map of texts, nil when it is empty.
func textMap(fields map[string]any, name string) map[string]string {
	var found map[string]string
	for key, value := range get[map[string]any](fields, name) {
		if text, ok := value.(string); ok {
			if found == nil {
				found = map[string]string{}
			}
			found[key] = text
		}
	}
	return found
}
