package schema

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// ReadFrom says which server of a cluster answers the reads of a listener.
type ReadFrom string

// The values of ReadFrom.
const (
	// ReadMaster sends everything to the master.
	ReadMaster ReadFrom = "master"
	// ReadReplica sends reads to replicas only; writes are refused.
	ReadReplica ReadFrom = "replica"
	// ReadPreferReplica sends reads to a replica that is fresh enough, else to the
	// master; writes go to the master.
	ReadPreferReplica ReadFrom = "prefer-replica"
)

// Login says with whose password the proxy's connections log in.
type Login string

// The values of Login.
const (
	// LoginClient passes the AUTH of each client on: the server decides.
	LoginClient Login = "client"
	// LoginProxy logs in with the cluster's password for clients that have not
	// sent AUTH themselves.
	LoginProxy Login = "proxy"
)

// Proxy is a process that clients connect to instead of the servers of one
// cluster. It follows the master.
type Proxy struct {
	Name string
	// Cluster is the name of the cluster it serves.
	Cluster string
	// Host is the machine it runs on, Address that of the machine, Zone where that
	// stands.
	Host, Address, Zone string
	// Listeners are sorted by name.
	Listeners []Listener
	// Admin is the address of metrics, health and status; empty means none.
	Admin Addr
	// AdminToken must be sent by who reads or changes anything but health there.
	AdminToken *Secret
	// Hold is for how long a request waits for a master before it fails.
	Hold time.Duration
	// HoldMemory is how many bytes of requests may wait in all.
	HoldMemory int64
	// Fence is for how long a master counts as one after it last proved it.
	Fence time.Duration
	// Threads is the number of event loops.
	Threads int
	// MaxClients bounds the clients of all listeners together.
	MaxClients int
	// SlowLog is how long a request may take that is not in the slow log.
	SlowLog time.Duration
	// TLS, when set, encrypts the connections to the servers and Sentinels.
	TLS *ClientTLS
}

// Listener is one address of a proxy and the rules for who connects there.
type Listener struct {
	Name string
	// Addr is a TCP address, Socket a path; exactly one is set.
	Addr   Addr
	Socket string
	Read   ReadFrom
	// MaxLag is how old the data of a replica may be to answer reads; 0 means any.
	MaxLag time.Duration
	// ReadYourWrites sends a client's reads to a replica only once that replica has
	// everything that the client wrote before.
	ReadYourWrites bool
	// Durable answers a write only after a replica has it too.
	Durable bool
	// DurableTimeout is how long to wait for that replica.
	DurableTimeout time.Duration
	Login          Login
	TLS            *ServerTLS
	// ProxyProtocol expects a PROXY protocol v2 header from each connection.
	ProxyProtocol bool
	// ReusePort lets several proxies listen on the same address.
	ReusePort bool
	// ReadOnly refuses every command that is not a read.
	ReadOnly bool
	// Deny are commands that are refused, lower case, "config" or "config|set".
	Deny []string
	// Rename maps the name that clients send to the command that is meant, lower
	// case. The command's own name is then refused.
	Rename map[string]string
	// MaxClients, Rate (requests per second and client), MaxRequest (bytes of one
	// request) and Idle are limits; 0 means none.
	MaxClients int
	Rate       int
	MaxRequest int64
	Idle       time.Duration
}

// ServerTLS is what a listener needs to speak TLS. All are paths of PEM files.
type ServerTLS struct {
	Cert, Key string
	// ClientCA, when set, makes clients show a certificate that it signed.
	ClientCA string
}

// ClientTLS is what a connection to a server needs to speak TLS. All are paths
// of PEM files; Cert and Key may be empty.
type ClientTLS struct {
	CA, Cert, Key string
}

// ProxyRole is everything that the process of one proxy is told, as its
// configuration file holds it.
type ProxyRole struct {
	Proxy   Proxy
	Cluster Cluster
	// Zone is the zone of the proxy's host, Zones that of each redis node by name;
	// empty where hosts have none.
	Zone  string
	Zones map[string]string
}

// Addr is the address that a proxy is known by: that of its first listener with
// a port, else port 0 of its host.
func (p Proxy) Addr() Addr {
	for _, l := range p.Listeners {
		if l.Addr != "" {
			return l.Addr
		}
	}
	return NewAddr(p.Address, 0)
}

// Addrs are all TCP addresses that the proxy listens on.
func (p Proxy) Addrs() []Addr { return p.addrs(true) }

// Owned are those that it shares with no other proxy.
func (p Proxy) Owned() []Addr { return p.addrs(false) }

func (p Proxy) addrs(shared bool) []Addr {
	var list []Addr
	for _, l := range p.Listeners {
		if l.Addr != "" && (shared || !l.ReusePort) {
			list = append(list, l.Addr)
		}
	}
	if p.Admin != "" {
		list = append(list, p.Admin)
	}
	return list
}

// Listener returns the named listener.
func (p Proxy) Listener(name string) (Listener, bool) {
	i := slices.IndexFunc(p.Listeners, func(l Listener) bool { return l.Name == name })
	if i < 0 {
		return Listener{}, false
	}
	return p.Listeners[i], true
}

// Proxies returns the proxies of all clusters, sorted by name.
func (s *Spec) Proxies() []Proxy {
	var all []Proxy
	for _, c := range s.Clusters {
		all = append(all, c.Proxies...)
	}
	slices.SortFunc(all, func(a, b Proxy) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// ProxyRole returns what the process of the named proxy is told; the error says
// that there is no such proxy.
func (s *Spec) ProxyRole(name string) (ProxyRole, error) {
	return roleNamed(s, "proxy", name, (*Cluster).ProxyRole, func(c *Cluster) []Proxy { return c.Proxies }, func(p Proxy) string { return p.Name })
}

// ProxyRole returns what the process of the named proxy is told. It has nothing
// in it that a proxy has no use for, so that it differs only when the proxy
// would behave differently.
func (c *Cluster) ProxyRole(name string) (ProxyRole, bool) {
	i := slices.IndexFunc(c.Proxies, func(p Proxy) bool { return p.Name == name })
	if i < 0 {
		return ProxyRole{}, false
	}
	role := ProxyRole{Proxy: c.Proxies[i], Cluster: *c, Zone: c.Proxies[i].Zone}
	role.Cluster.Proxies, role.Cluster.DependsOn, role.Cluster.Maintenance = nil, nil, Maintenance{}
	role.Cluster.Agents, role.Cluster.Dispatchers, role.Cluster.Workers = nil, nil, nil
	role.Cluster.Operations = Operations{}
	role.Cluster.Redis.Version, role.Cluster.Redis.Seed = "", ""
	role.Cluster.Redis.Nodes = slices.Clone(c.Redis.Nodes)
	for i, n := range c.Redis.Nodes {
		role.Cluster.Redis.Nodes[i].Config = nil
		if n.Zone != "" {
			if role.Zones == nil {
				role.Zones = map[string]string{}
			}
			role.Zones[n.Name] = n.Zone
		}
	}
	return role, true
}

// Encode writes the role as its configuration file holds it: JSON without any
// secret, only where they are. The same role gives the same bytes.
func (r ProxyRole) Encode() ([]byte, error) {
	content, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode proxy %s: %w", r.Proxy.Name, err)
	}
	return append(content, '\n'), nil
}

// DecodeProxyRole reads what Encode wrote. A field that it does not know is an
// error, as a rule that is not followed is worse than a proxy that does not start.
func DecodeProxyRole(content []byte) (ProxyRole, error) {
	var r ProxyRole
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&r); err != nil {
		return ProxyRole{}, fmt.Errorf("decode proxy: %w", err)
	}
	return r, nil
}

// Digest names the role's content: the SHA-256 of what Encode returns, in hex.
func (r ProxyRole) Digest() string {
	content, err := r.Encode()
	if err != nil {
		return "" // a ProxyRole has nothing that JSON cannot hold
	}
	return DigestOf(content)
}

// DigestOf is the Digest of a role by the content of its file.
func DigestOf(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// Secrets lists every secret that the process of the proxy reads.
func (r ProxyRole) Secrets() []Secret {
	var list []Secret
	for _, s := range []*Secret{r.Cluster.Auth.Password, r.Cluster.Auth.SentinelPassword, r.Proxy.AdminToken} {
		if s != nil {
			list = append(list, *s)
		}
	}
	return list
}
