package schema

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// The defaults that schema.cue names in its comments.
const (
	defaultPriority        = 100
	defaultDownAfter       = "5s"
	defaultFailoverTimeout = "60s"
	defaultParallelSyncs   = 1
	defaultHost            = "local"
	defaultAddress         = "127.0.0.1"
)

// decoder turns walked maps into a Spec and checks what one field alone cannot
// show.
type decoder struct {
	*walker
	// dir is what relative paths are of; "" when there are no files beside the spec.
	dir  string
	spec *Spec
	// taken maps "cluster/name" of roles to where they are declared, agentAt the
	// names of agents.
	taken, agentAt map[string]string
}

// get returns an entry of a walked struct, or the zero T.
func get[T any](m map[string]any, name string) T {
	v, _ := m[name].(T)
	return v
}

// or is get with a default.
func or[T any](m map[string]any, name string, otherwise T) T {
	if v, ok := m[name].(T); ok {
		return v
	}
	return otherwise
}

func keys(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }

// decode fills the spec.
func (d *decoder) decode(root map[string]any) {
	d.hosts(root)
	clusters := get[map[string]any](root, "clusters")
	for _, name := range keys(clusters) {
		fields, ok := clusters[name].(map[string]any)
		if !ok {
			continue
		}
		d.spec.Clusters = append(d.spec.Clusters, d.cluster(name, fields))
	}
	if clusters != nil && len(clusters) == 0 {
		d.report(CodeNoCluster, "clusters", true, "the spec declares no cluster")
	}
	d.dependencies(clusters)
	d.proxies(root)
	d.roles(root)
	d.operations(root)
	d.ports()
}

func (d *decoder) hosts(root map[string]any) {
	hosts := get[map[string]any](root, "hosts")
	if _, declared := root["hosts"]; len(hosts) == 0 && (!declared || hosts != nil) {
		d.spec.Hosts = []Host{{Name: defaultHost, Address: defaultAddress}}
		return
	}
	for _, name := range keys(hosts) {
		fields, _ := hosts[name].(map[string]any)
		host := Host{Name: name, Address: get[string](fields, "address"), Zone: get[string](fields, "zone")}
		host.Address = d.address(host, len(hosts))
		d.spec.Hosts = append(d.spec.Hosts, host)
	}
}

func (d *decoder) cluster(name string, fields map[string]any) *Cluster {
	path := join("clusters", name)
	c := &Cluster{
		Name:     name,
		Redis:    d.redis(join(path, "redis"), get[map[string]any](fields, "redis")),
		Sentinel: d.sentinel(join(path, "sentinel"), get[map[string]any](fields, "sentinel")),
		Auth:     d.auth(join(path, "auth"), get[map[string]any](fields, "auth")),

		Maintenance: d.maintenance(path+".maintenance", get[map[string]any](fields, "maintenance")),
	}
	for _, node := range c.Sentinel.Nodes {
		if _, same := c.Redis.Node(node.Name); same {
			d.report(CodeRoleName, path+".sentinel.nodes."+node.Name, true,
				"redis.nodes has %s too; roles of a cluster need different names", node.Name)
		}
	}
	return c
}

func (d *decoder) redis(path string, fields map[string]any) Redis {
	r := Redis{Seed: get[string](fields, "seed")}
	r.Version = d.version(path+".version", get[string](fields, "version"))
	shared := d.config(path+".config", get[map[string]any](fields, "config"))
	nodes := get[map[string]any](fields, "nodes")
	for _, name := range keys(nodes) {
		at := path + ".nodes." + name
		node, ok := nodes[name].(map[string]any)
		if !ok {
			continue
		}
		n := RedisNode{Name: name, Priority: or(node, "priority", defaultPriority), Config: maps.Clone(shared)}
		n.Host, n.Addr = d.placed(at, node)
		if host, ok := d.spec.Host(n.Host); ok {
			n.Zone = host.Zone
		}
		maps.Copy(n.Config, d.config(at+".config", get[map[string]any](node, "config")))
		r.Nodes = append(r.Nodes, n)
	}
	if fields != nil {
		d.checkRedis(path, &r, nodes)
	}
	return r
}

func (d *decoder) sentinel(path string, fields map[string]any) Sentinel {
	s := Sentinel{
		Quorum:          get[int](fields, "quorum"),
		DownAfter:       d.duration(path+".downAfter", or(fields, "downAfter", defaultDownAfter)),
		FailoverTimeout: d.duration(path+".failoverTimeout", or(fields, "failoverTimeout", defaultFailoverTimeout)),
		ParallelSyncs:   or(fields, "parallelSyncs", defaultParallelSyncs),
	}
	nodes := get[map[string]any](fields, "nodes")
	for _, name := range keys(nodes) {
		node, ok := nodes[name].(map[string]any)
		if !ok {
			continue
		}
		n := SentinelNode{Name: name}
		n.Host, n.Addr = d.placed(path+".nodes."+name, node)
		s.Nodes = append(s.Nodes, n)
	}
	if fields != nil {
		d.checkSentinel(path, &s, nodes)
	}
	return s
}

// placed returns where a node runs: its host and its address.
func (d *decoder) placed(path string, node map[string]any) (string, Addr) {
	host, ok := d.host(path, get[string](node, "host"), node["host"] != nil)
	port := get[int](node, "port")
	if !ok || port == 0 || host.Address == "" {
		return host.Name, ""
	}
	return host.Name, NewAddr(host.Address, port)
}

func (d *decoder) config(path string, fields map[string]any) map[string]string {
	config := map[string]string{}
	for _, name := range keys(fields) {
		at, key := join(path, name), directive(name)
		value, _ := fields[name].(string)
		_, twice := config[key]
		switch instead := refused(key); {
		case instead != "":
			d.report(CodeDirective, at, true, "%s is not for config", name).Hint = instead
		case twice:
			d.report(CodeDirectiveTwo, at, true, "%s is given twice in different spelling", key)
		case strings.ContainsAny(value, "\r\n\x00"):
			d.report(CodeLineBreak, at, false, "the value has a line break or NUL byte")
		default:
			config[key] = value
		}
	}
	return config
}

func (d *decoder) auth(path string, fields map[string]any) Auth {
	return Auth{
		Password:         d.secret(path+".password", fields, "password"),
		SentinelPassword: d.secret(path+".sentinelPassword", fields, "sentinelPassword"),
	}
}

func (d *decoder) secret(path string, auth map[string]any, name string) *Secret {
	fields, ok := auth[name].(map[string]any)
	if !ok {
		return nil
	}
	s := &Secret{Env: get[string](fields, "env"), File: d.file(path, fields, "file")}
	wrong := func(p Problem) bool { return strings.HasPrefix(p.Path, path+".") }
	if (s.Env == "") == (s.File == "") && !slices.ContainsFunc(d.problems, wrong) {
		d.report(CodeSecretWhere, path, true, "give exactly one of env and file")
	}
	return s
}

// duration reads a duration of at most a day that the shape let pass.
func (d *decoder) duration(path, text string) time.Duration {
	return d.durationUpTo(path, text, 24*time.Hour)
}

func (d *decoder) durationUpTo(path, text string, most time.Duration) time.Duration {
	got, err := time.ParseDuration(text)
	switch {
	case err != nil, got > most:
		d.report(CodeDuration, path, false, "%q is longer than %.0fh", text, most.Hours())
	case got < time.Millisecond, got%time.Millisecond != 0:
		d.report(CodeDuration, path, false, "%q is not a whole number of milliseconds above 0", text)
	}
	return got
}
