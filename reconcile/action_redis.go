package reconcile

import (
	"fmt"

	"rsm/schema"
)

// ConfigSet changes one live directive and has the server persist it.
type ConfigSet struct {
	Node  string      `json:"node"`
	Addr  schema.Addr `json:"addr"`
	Key   string      `json:"key"`
	Value string      `json:"value"`
	Have  string      `json:"have"`
	Risk  Impact      `json:"impact"`
	// Clients means that a person lets writes of the clients of a replica fail.
	Clients bool `json:"clients,omitempty"`
}

// Impact is none, but for a limit that makes Redis evict keys.
func (a ConfigSet) Impact() Impact { return a.Risk }

// Subject is the node.
func (a ConfigSet) Subject() string { return a.Node }

// Commands sends CONFIG SET, then CONFIG REWRITE so that a restart keeps it.
func (a ConfigSet) Commands() []Command {
	return []Command{
		{Addr: a.Addr, Args: []string{"CONFIG", "SET", a.Key, a.Value}},
		{Addr: a.Addr, Args: []string{"CONFIG", "REWRITE"}},
	}
}

// Done looks at the live value.
func (a ConfigSet) Done(s *State) bool {
	r := s.Redis[a.Node]
	return r != nil && SameValue(a.Key, r.Config[a.Key], a.Value)
}

// String is the line in a plan.
func (a ConfigSet) String() string { return fmt.Sprintf("set %s: %q -> %q", a.Key, a.Have, a.Value) }

// Replicate points a redis-server at a master.
type Replicate struct {
	Node   string      `json:"node"`
	Addr   schema.Addr `json:"addr"`
	Master schema.Addr `json:"master"`
	Risk   Impact      `json:"impact"`
}

// Subject is the node.
func (a Replicate) Subject() string { return a.Node }

// Impact is a full sync where histories differ, data loss where the node has what the master lacks.
func (a Replicate) Impact() Impact { return a.Risk }

// Commands sends REPLICAOF, then CONFIG REWRITE.
func (a Replicate) Commands() []Command {
	host, port := a.Master.Split()
	return []Command{
		{Addr: a.Addr, Args: []string{"REPLICAOF", host, port}},
		{Addr: a.Addr, Args: []string{"CONFIG", "REWRITE"}},
	}
}

// Done looks at whom the node follows; the link may still be down.
func (a Replicate) Done(s *State) bool {
	r := s.Redis[a.Node]
	return r != nil && r.Reach == Up && r.Role == Replica && r.Master == a.Master
}

// String is the line in a plan.
func (a Replicate) String() string { return "replicate from " + string(a.Master) }

// Promote ends replication on a node so that it becomes the master. It is only
// planned where no Sentinel knows any master.
type Promote struct {
	Node string      `json:"node"`
	Addr schema.Addr `json:"addr"`
	// Chosen means that a person said that it leads, though others are out of sight.
	Chosen bool `json:"chosen,omitempty"`
}

// Subject is the node.
func (a Promote) Subject() string { return a.Node }

// Impact is that of a failover: clients get a new master.
func (a Promote) Impact() Impact { return ImpactFailover }

// Commands sends REPLICAOF NO ONE, then CONFIG REWRITE.
func (a Promote) Commands() []Command {
	return []Command{
		{Addr: a.Addr, Args: []string{"REPLICAOF", "NO", "ONE"}},
		{Addr: a.Addr, Args: []string{"CONFIG", "REWRITE"}},
	}
}

// Done looks at the node's own word.
func (a Promote) Done(s *State) bool {
	r := s.Redis[a.Node]
	return r != nil && r.Reach == Up && r.Role == Master
}

// String is the line in a plan.
func (a Promote) String() string { return "make it the master" }
