package schema

import (
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// The defaults of a proxy that schema.cue names in its comments.
const (
	defaultHold           = "10s"
	defaultHoldMemory     = "64mb"
	defaultThreads        = 1
	defaultMaxClients     = 10_000
	defaultSlowLog        = "10ms"
	defaultDurableTimeout = "1s"
	leastFence            = 2 * time.Second
)

// proxies adds every proxy to the cluster that it serves.
func (d *decoder) proxies(root map[string]any) {
	proxies := get[map[string]any](root, "proxies")
	for _, name := range keys(proxies) {
		fields, ok := proxies[name].(map[string]any)
		if !ok {
			continue
		}
		path := join("proxies", name)
		p := d.proxy(path, name, fields)
		if c := d.serves(path, fields); c != nil {
			p.Cluster = c.Name
			d.fence(path, &p, c)
			d.checkProxy(path, p, c)
			c.Proxies = append(c.Proxies, p)
		}
	}
}

func (d *decoder) proxy(path, name string, fields map[string]any) Proxy {
	host, _ := d.host(path, get[string](fields, "host"), fields["host"] != nil)
	p := Proxy{
		Name: name, Host: host.Name, Address: host.Address, Zone: host.Zone,
		Hold:       d.duration(path+".hold", or(fields, "hold", defaultHold)),
		HoldMemory: d.size(path+".holdMemory", or[any](fields, "holdMemory", defaultHoldMemory)),
		Threads:    or(fields, "threads", defaultThreads),
		MaxClients: or(fields, "maxClients", defaultMaxClients),
		SlowLog:    d.duration(path+".slowLog", or(fields, "slowLog", defaultSlowLog)),
	}
	if fence, ok := fields["fence"].(string); ok {
		p.Fence = d.duration(path+".fence", fence)
	}
	if admin := get[map[string]any](fields, "admin"); admin != nil {
		p.Admin = onHost(host, get[int](admin, "port"))
		p.AdminToken = d.secret(path+".admin.token", admin, "token")
	}
	if tls := get[map[string]any](fields, "tls"); tls != nil {
		p.TLS = &ClientTLS{CA: d.file(path+".tls", tls, "ca"), Cert: d.file(path+".tls", tls, "cert"), Key: d.file(path+".tls", tls, "key")}
	}
	listeners := get[map[string]any](fields, "listeners")
	for _, name := range keys(listeners) {
		if fields, ok := listeners[name].(map[string]any); ok {
			p.Listeners = append(p.Listeners, d.listener(path+".listeners."+name, name, host, fields))
		}
	}
	if listeners != nil && len(listeners) == 0 {
		d.report(CodeListener, path+".listeners", true, "at least one listener is needed")
	}
	return p
}

func (d *decoder) listener(path, name string, host Host, fields map[string]any) Listener {
	l := Listener{
		Name: name, Addr: onHost(host, get[int](fields, "port")), Socket: d.file(path, fields, "socket"),
		Read:           ReadFrom(or(fields, "read", string(ReadMaster))),
		MaxLag:         d.period(path, fields, "maxLag"),
		ReadYourWrites: yes(fields, "readYourWrites"),
		Durable:        get[string](fields, "durability") == "replica",
		Login:          Login(or(fields, "login", string(LoginClient))),
		ProxyProtocol:  yes(fields, "proxyProtocol"),
		ReusePort:      yes(fields, "reusePort"),
		ReadOnly:       yes(fields, "readOnly"),
		MaxClients:     get[int](fields, "maxClients"),
		Rate:           get[int](fields, "rate"),
		Idle:           d.period(path, fields, "idle"),
	}
	if l.Durable {
		l.DurableTimeout = d.duration(path+".durabilityTimeout", or(fields, "durabilityTimeout", defaultDurableTimeout))
	}
	if size, ok := fields["maxRequest"]; ok {
		l.MaxRequest = d.size(path+".maxRequest", size)
	}
	if tls := get[map[string]any](fields, "tls"); tls != nil {
		l.TLS = &ServerTLS{Cert: d.file(path+".tls", tls, "cert"), Key: d.file(path+".tls", tls, "key"), ClientCA: d.file(path+".tls", tls, "clientCA")}
	}
	l.Deny, l.Rename = commands(fields)
	d.checkListener(path, l, fields)
	return l
}

// commands reads which commands a listener refuses and renames, in lower case.
func commands(fields map[string]any) (deny []string, rename map[string]string) {
	for _, name := range get[[]any](fields, "deny") {
		if name, ok := name.(string); ok {
			deny = append(deny, strings.ToLower(name))
		}
	}
	slices.Sort(deny)
	for alias, name := range get[map[string]any](fields, "rename") {
		if rename == nil {
			rename = map[string]string{}
		}
		if name, ok := name.(string); ok {
			rename[strings.ToLower(alias)] = strings.ToLower(name)
		}
	}
	return slices.Compact(deny), rename
}

// serves finds the cluster of a proxy, nil when there is none; that is reported.
func (d *decoder) serves(path string, fields map[string]any) *Cluster {
	name, given := fields["cluster"].(string)
	if !given {
		if len(d.spec.Clusters) == 1 {
			return d.spec.Clusters[0]
		}
		if _, bad := d.index.labels[path+".cluster"]; !bad && len(d.spec.Clusters) > 1 {
			d.report(CodeWhichCluster, path, true, "cluster is missing: the spec has %d clusters", len(d.spec.Clusters))
		}
		return nil
	}
	c := d.spec.Cluster(name)
	// A cluster that is declared wrongly is reported there.
	if _, declared := d.index.labels[join("clusters", name)]; c == nil && !declared {
		var names []string
		for _, c := range d.spec.Clusters {
			names = append(names, c.Name)
		}
		p := d.report(CodeCluster, path+".cluster", false, "there is no cluster %s", name)
		if guess := nearest(name, names); guess != "" {
			p.Hint = "did you mean " + guess + "?"
		}
	}
	return c
}

// fence fills in the default and checks what was given.
func (d *decoder) fence(path string, p *Proxy, c *Cluster) {
	switch {
	case p.Fence == 0:
		p.Fence = max(c.Sentinel.DownAfter, leastFence)
	case p.Fence <= time.Second:
		d.report(CodeFence, path+".fence", false,
			"%s: the master is asked once a second, so that every write would wait between two answers", p.Fence)
	case p.Fence > max(c.Sentinel.DownAfter, leastFence):
		d.report(CodeLateFence, path+".fence", false,
			"%s is longer than downAfter of cluster %s, %s: Sentinel may have elected another master by then", p.Fence, c.Name, c.Sentinel.DownAfter)
	}
}

// onHost is a port of a host, empty without one.
func onHost(host Host, port int) Addr {
	if port == 0 || host.Address == "" {
		return ""
	}
	return NewAddr(host.Address, port)
}

// yes reads a #Bool, which the walker writes as redis.conf does.
func yes(fields map[string]any, name string) bool { return get[string](fields, name) == "yes" }

// period reads a duration that may be left out: 0.
func (d *decoder) period(path string, fields map[string]any, name string) time.Duration {
	text, ok := fields[name].(string)
	if !ok {
		return 0
	}
	return d.duration(path+"."+name, text)
}

// file returns the path that the field name of the struct at path holds,
// absolute; "" when there is none.
func (d *decoder) file(path string, fields map[string]any, name string) string {
	file := get[string](fields, name)
	if file == "" || filepath.IsAbs(file) {
		return file
	}
	if d.dir == "" {
		d.report(CodeRelative, path+"."+name, false, "%q would be a file of the repository", file).Hint =
			"git holds neither secrets nor what belongs to one machine: give an absolute path, or env for a secret"
	}
	return filepath.Join(d.dir, file)
}

// size reads a #Size.
func (d *decoder) size(path string, value any) int64 {
	if n, ok := value.(int); ok {
		return int64(n)
	}
	text, _ := value.(string)
	n, ok := ParseSize(text)
	if text != "" && (!ok || n < 1 || n > 1<<40) {
		d.report(CodeSize, path, false, "%q is not from 1 byte to 1024gb", text)
	}
	return n
}
