package reconcile

import (
	"fmt"
	"slices"
	"strings"

	"rsm/schema"
)

// StartRole writes a role's configuration and starts its process.
type StartRole struct {
	noCommands

	Role RoleRef `json:"role"`
	// Follow is the master that a redis-server starts as a replica of; empty
	// starts it as a master. Always empty for a Sentinel.
	Follow schema.Addr `json:"follow,omitempty"`
	// Config are the directives of the spec, without those that rsm owns (port,
	// bind, dir, passwords …).
	Config map[string]string `json:"config,omitempty"`
	Auth   schema.Auth       `json:"auth"`
	// Chosen means that a person said that it leads, though others are out of sight.
	Chosen bool `json:"chosen,omitempty"`
	// Drops means that the role's data on disk is lost when it syncs: a copy of the
	// files is kept first.
	Drops bool `json:"drops,omitempty"`
	// Told is what a role of rsm is told, empty for servers.
	Told
}

// Subject is the role.
func (a StartRole) Subject() string { return a.Role.Name }

// Impact is the loss of what it has on disk, if that was released.
func (a StartRole) Impact() Impact {
	if a.Drops {
		return ImpactDataLoss
	}
	return ImpactNone
}

// Done tells whether it answers.
func (a StartRole) Done(s *State) bool {
	if r := s.Roles[a.Role.Name]; r != nil && a.Role.Kind.OfRsm() {
		return r.runs(a.Told)
	}
	if a.Role.Kind == KindSentinel {
		return s.Sentinels[a.Role.Name] != nil && s.Sentinels[a.Role.Name].Reach == Up
	}
	r := s.Redis[a.Role.Name]
	return r != nil && r.Reach == Up
}

// String is the line in a plan.
func (a StartRole) String() string {
	switch {
	case a.Role.Kind.OfRsm():
		return a.startText()
	case a.Role.Kind == KindSentinel:
		return fmt.Sprintf("start sentinel on %s", a.Role.Addr)
	case a.Follow == "":
		return fmt.Sprintf("start redis on %s as master", a.Role.Addr)
	}
	text := fmt.Sprintf("start redis on %s as replica of %s", a.Role.Addr, a.Follow)
	if a.Drops {
		text += ", after copying its data files"
	}
	return text
}

func (a StartRole) onHost() []string {
	dir := "clusters/" + a.Role.Cluster + "/" + a.Role.Name
	if a.Role.Kind.OfRsm() {
		return []string{"write " + a.Role.settingsFile(), a.Role.exec()}
	}
	if a.Role.Kind == KindSentinel {
		return []string{"exec redis-sentinel " + dir + "/sentinel.conf"}
	}
	text := "write " + dir + "/redis.conf:"
	if a.Follow != "" {
		host, port := a.Follow.Split()
		text += " replicaof " + host + " " + port + ","
	}
	for _, key := range names(a.Config) {
		text += " " + key + " " + word(a.Config[key]) + ","
	}
	return []string{strings.TrimRight(text, ",:"), "exec redis-server " + dir + "/redis.conf"}
}

// StopRole stops a role's process gracefully. Its data stays.
type StopRole struct {
	noCommands

	Role   RoleRef `json:"role"`
	Reason string  `json:"reason"`
	Risk   Impact  `json:"impact"`
	// NoSave ends a redis-server without writing its data set to disk, so that an
	// empty data set does not replace a good file.
	NoSave bool `json:"no_save,omitempty"`
}

// Subject is the role.
func (a StopRole) Subject() string { return a.Role.Name }

// Impact is what the planner found.
func (a StopRole) Impact() Impact { return a.Risk }

// Done tells whether nothing listens any more.
func (a StopRole) Done(s *State) bool {
	if r := s.Redis[a.Role.Name]; r != nil {
		return r.Reach == Down
	}
	if r := s.Sentinels[a.Role.Name]; r != nil {
		return r.Reach == Down
	}
	if r := s.Roles[a.Role.Name]; r != nil {
		return !r.Process.Running
	}
	return !slices.ContainsFunc(s.Surplus, func(r SurplusRole) bool { return r.Name == a.Role.Name && r.Running })
}

// String is the line in a plan.
func (a StopRole) String() string {
	return fmt.Sprintf("stop %s on %s: %s", a.Role.Kind, place(a.Role.Addr), a.Reason)
}

func (a StopRole) onHost() []string {
	if a.NoSave {
		return []string{"SIGKILL, so that its empty data set does not replace a file"}
	}
	if a.Role.Kind == KindProxy {
		return []string{"SIGTERM, and wait until it has answered what was asked and ended"}
	}
	if a.Role.Kind.OfRsm() {
		return []string{"SIGTERM, and wait until it has ended what it does"}
	}
	return []string{"SIGTERM, and wait until it has saved and ended"}
}

// Snapshot keeps an RDB copy of a data set that a later step drops.
type Snapshot struct {
	noImpact
	noCommands

	Role   RoleRef `json:"role"`
	ReplID string  `json:"replid"`
	// Spare marks a copy of what Sentinel, not rsm, is about to replace: good to
	// have, and no reason to stop when it fails.
	Spare bool `json:"spare,omitempty"`
}

// Subject is the role.
func (a Snapshot) Subject() string { return a.Role.Name }

// Done tells whether a copy of exactly this data set is kept.
func (a Snapshot) Done(s *State) bool {
	r := s.Redis[a.Role.Name]
	return r != nil && r.Copied
}

// String is the line in a plan.
func (a Snapshot) String() string { return "keep an RDB copy of its data set" }

func (a Snapshot) onHost() []string {
	return []string{string(a.Role.Addr) + "> BGSAVE", "copy its RDB file to copies/" + a.Role.Cluster + "/"}
}

// Publish writes the registration of the cluster.
type Publish struct {
	noImpact
	noCommands

	Registration Registration `json:"registration"`
}

// Subject is the cluster.
func (a Publish) Subject() string { return a.Registration.Cluster }

// Done tells whether the same was published before.
func (a Publish) Done(s *State) bool {
	return s.Record != nil && s.Record.equal(a.Registration)
}

// String is the line in a plan.
func (a Publish) String() string {
	return fmt.Sprintf("publish master %s, %s, %s", a.Registration.Master,
		count(len(a.Registration.Replicas), "replica"), count(len(a.Registration.Sentinels), "sentinel"))
}

func (a Publish) onHost() []string {
	return []string{"write clusters/" + a.Registration.Cluster + "/registration.json"}
}
