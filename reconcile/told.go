package reconcile

import (
	"rsm/schema"
)

// Told is what the process of a role of rsm is told: a proxy, an agent, a
// dispatcher or a worker. Exactly one is set; none for servers, which have
// configuration files of their own.
type Told struct {
	Proxy      *schema.ProxyRole      `json:"proxy,omitempty"`
	Agent      *schema.AgentRole      `json:"agent,omitempty"`
	Dispatcher *schema.DispatcherRole `json:"dispatcher,omitempty"`
	Worker     *schema.WorkerRole     `json:"worker,omitempty"`
}

// Settings is a role as its configuration file holds it: it names secrets and
// holds none.
type Settings interface {
	Encode() ([]byte, error)
	Digest() string
	Secrets() []schema.Secret
}

// Settings returns what is set, nil for nothing.
func (t Told) Settings() Settings {
	switch {
	case t.Proxy != nil:
		return *t.Proxy
	case t.Agent != nil:
		return *t.Agent
	case t.Dispatcher != nil:
		return *t.Dispatcher
	case t.Worker != nil:
		return *t.Worker
	}
	return nil
}

// Digest names the settings, "" for none.
func (t Told) Digest() string {
	if s := t.Settings(); s != nil {
		return s.Digest()
	}
	return ""
}

// Owned are the addresses that only this process listens on.
func (t Told) Owned() []schema.Addr {
	var metrics schema.Addr
	switch {
	case t.Proxy != nil:
		return t.Proxy.Proxy.Owned()
	case t.Agent != nil:
		metrics = t.Agent.Agent.Metrics
	case t.Dispatcher != nil:
		metrics = t.Dispatcher.Dispatcher.Metrics
	case t.Worker != nil:
		metrics = t.Worker.Worker.Metrics
	}
	if metrics == "" {
		return nil
	}
	return []schema.Addr{metrics}
}

// DecodeTold reads a configuration file of a role of the kind; ok is false when it
// is none.
func DecodeTold(kind Kind, content []byte) (t Told, ok bool) {
	var into any
	switch kind {
	case KindProxy:
		t.Proxy = new(schema.ProxyRole)
		into = t.Proxy
	case KindAgent:
		t.Agent = new(schema.AgentRole)
		into = t.Agent
	case KindDispatcher:
		t.Dispatcher = new(schema.DispatcherRole)
		into = t.Dispatcher
	case KindWorker:
		t.Worker = new(schema.WorkerRole)
		into = t.Worker
	default:
		return Told{}, false
	}
	if schema.Decode(content, into) != nil {
		return Told{}, false
	}
	return t, true
}

// Declared is a role of rsm that the spec has.
type Declared struct {
	RoleRef
	Told
}

// DeclaredRoles lists the roles of rsm around a cluster: proxies, then agents,
// dispatchers and workers, each by name.
func DeclaredRoles(c *schema.Cluster) []Declared {
	var list []Declared
	add := func(kind Kind, name string, addr schema.Addr, told Told) {
		list = append(list, Declared{RoleRef{Cluster: c.Name, Name: name, Kind: kind, Addr: addr}, told})
	}
	for _, p := range c.Proxies {
		role, _ := c.ProxyRole(p.Name)
		add(KindProxy, p.Name, p.Addr(), Told{Proxy: &role})
	}
	for _, a := range c.Agents {
		role, _ := c.AgentRole(a.Name)
		add(KindAgent, a.Name, schema.NewAddr(a.Address, 0), Told{Agent: &role})
	}
	for _, x := range c.Dispatchers {
		role, _ := c.DispatcherRole(x.Name)
		add(KindDispatcher, x.Name, schema.NewAddr(x.Address, 0), Told{Dispatcher: &role})
	}
	for _, w := range c.Workers {
		role, _ := c.WorkerRole(w.Name)
		add(KindWorker, w.Name, schema.NewAddr(w.Address, 0), Told{Worker: &role})
	}
	return list
}
