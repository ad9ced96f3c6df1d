package schema

import (
	"fmt"
	"slices"
)

// AgentRole returns what the process of the named agent is told; the error says
// that there is no such agent.
func (s *Spec) AgentRole(name string) (AgentRole, error) {
	return roleNamed(s, "agent", name, (*Cluster).AgentRole, func(c *Cluster) []Agent { return c.Agents }, Agent.name)
}

// DispatcherRole returns what the process of the named dispatcher is told; the
// error says that there is no such dispatcher.
func (s *Spec) DispatcherRole(name string) (DispatcherRole, error) {
	return roleNamed(s, "dispatcher", name, (*Cluster).DispatcherRole, func(c *Cluster) []Dispatcher { return c.Dispatchers }, Dispatcher.name)
}

// WorkerRole returns what the process of the named worker is told; the error says
// that there is no such worker.
func (s *Spec) WorkerRole(name string) (WorkerRole, error) {
	return roleNamed(s, "worker", name, (*Cluster).WorkerRole, func(c *Cluster) []Worker { return c.Workers }, Worker.name)
}

// AgentRole is AgentRole of a Spec for the agents of one cluster.
func (c *Cluster) AgentRole(name string) (AgentRole, bool) {
	a, ok := named(c.Agents, name, Agent.name)
	return AgentRole{Agent: a, Access: c.access()}, ok
}

// DispatcherRole is DispatcherRole of a Spec for the dispatchers of one cluster.
func (c *Cluster) DispatcherRole(name string) (DispatcherRole, bool) {
	d, ok := named(c.Dispatchers, name, Dispatcher.name)
	return DispatcherRole{Dispatcher: d, Access: c.access()}, ok
}

// WorkerRole is WorkerRole of a Spec for the workers of one cluster.
func (c *Cluster) WorkerRole(name string) (WorkerRole, bool) {
	w, ok := named(c.Workers, name, Worker.name)
	return WorkerRole{Worker: w, Access: c.access(), Env: c.Operations.env(w.Queues), Trusted: c.Operations.trusted(w.Queues)}, ok
}

func (a Agent) name() string      { return a.Name }
func (d Dispatcher) name() string { return d.Name }
func (w Worker) name() string     { return w.Name }

// access is how the roles of a cluster reach its master.
func (c *Cluster) access() Access {
	a := Access{Cluster: c.Name, Auth: c.Auth}
	for _, s := range c.Sentinel.Nodes {
		a.Sentinels = append(a.Sentinels, s.Addr)
	}
	return a
}

// named finds an entry of a list.
func named[T any](list []T, name string, nameOf func(T) string) (found T, ok bool) {
	i := slices.IndexFunc(list, func(one T) bool { return nameOf(one) == name })
	if i < 0 {
		return found, false
	}
	return list[i], true
}

// roleNamed finds a role in any cluster. The error suggests another name.
func roleNamed[R, T any](s *Spec, kind, name string, role func(*Cluster, string) (R, bool), list func(*Cluster) []T, nameOf func(T) string) (R, error) {
	var names []string
	for _, c := range s.Clusters {
		if found, ok := role(c, name); ok {
			return found, nil
		}
		for _, one := range list(c) {
			names = append(names, nameOf(one))
		}
	}
	var none R
	err := fmt.Errorf("there is no %s %q", kind, name)
	if guess := nearest(name, names); guess != "" {
		err = fmt.Errorf("%w, did you mean %s?", err, guess)
	}
	return none, err
}

// Encode writes the role as its configuration file holds it, see Encode.
func (r AgentRole) Encode() ([]byte, error) { return Encode(r) }

// Encode writes the role as its configuration file holds it, see Encode.
func (r DispatcherRole) Encode() ([]byte, error) { return Encode(r) }

// Encode writes the role as its configuration file holds it, see Encode.
func (r WorkerRole) Encode() ([]byte, error) { return Encode(r) }

// Digest names the role's content: the SHA-256 of what Encode returns, in hex.
func (r AgentRole) Digest() string { return digestOf(r) }

// Digest names the role's content: the SHA-256 of what Encode returns, in hex.
func (r DispatcherRole) Digest() string { return digestOf(r) }

// Digest names the role's content: the SHA-256 of what Encode returns, in hex.
func (r WorkerRole) Digest() string { return digestOf(r) }

func digestOf(role any) string {
	content, err := Encode(role)
	if err != nil {
		return "" // a role has nothing that JSON cannot hold
	}
	return DigestOf(content)
}

// Secrets lists every secret that the process of the agent reads.
func (r AgentRole) Secrets() []Secret {
	list := r.Access.secrets()
	for _, n := range r.Agent.Nodes {
		if n.Password != nil && !slices.Contains(list, *n.Password) {
			list = append(list, *n.Password)
		}
	}
	return list
}

// Secrets lists every secret that the process of the dispatcher reads.
func (r DispatcherRole) Secrets() []Secret { return r.Access.secrets() }

// Secrets lists every secret that the process of the worker gets when it starts:
// those of its cluster, and the environment variables of what its queues run. Files
// of handlers and commands are read when they are needed.
func (r WorkerRole) Secrets() []Secret {
	list := r.Access.secrets()
	for _, name := range r.Env {
		if s := (Secret{Env: name}); !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list
}

func (a Access) secrets() []Secret {
	var list []Secret
	for _, s := range []*Secret{a.Auth.Password, a.Auth.SentinelPassword} {
		if s != nil && !slices.Contains(list, *s) {
			list = append(list, *s)
		}
	}
	return list
}
