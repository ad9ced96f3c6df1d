package schema

import "time"

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
	// Host is the machine it runs on.
	Host string
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
