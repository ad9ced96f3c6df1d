package reconcile

import (
	"maps"
	"slices"
	"strings"

	"rsm/schema"
)

// PublishOperations writes queues, handlers, rules and the roles of a cluster into
// its Redis, in one transaction. Dispatchers and workers follow within a moment,
// without a restart.
type PublishOperations struct {
	noImpact

	Addr schema.Addr `json:"addr"`
	// Set and Remove are of OperationsKey, SetRoles and RemoveRoles of RegistrationKey.
	Set         map[string]string `json:"set,omitempty"`
	Remove      []string          `json:"remove,omitempty"`
	SetRoles    map[string]string `json:"set_roles,omitempty"`
	RemoveRoles []string          `json:"remove_roles,omitempty"`
}

func newPublishOperations(addr schema.Addr, have *Published, operations, roles map[string]string) PublishOperations {
	a := PublishOperations{Addr: addr}
	a.Set, a.Remove = changes(have.Operations, operations)
	a.SetRoles, a.RemoveRoles = changes(have.Roles, roles)
	return a
}

// changes is what to set and what to remove to turn one hash into another.
func changes(have, want map[string]string) (set map[string]string, remove []string) {
	for _, key := range changedKeys(have, want) {
		if value, ok := want[key]; ok {
			if set == nil {
				set = map[string]string{}
			}
			set[key] = value
		} else {
			remove = append(remove, key)
		}
	}
	return set, remove
}

// Subject is what is published.
func (a PublishOperations) Subject() string { return subjectOperations }

// Done tells whether Redis holds it.
func (a PublishOperations) Done(s *State) bool {
	if s.Published == nil {
		return false
	}
	holds := func(hash, set map[string]string, remove []string) bool {
		for key, value := range set {
			if hash[key] != value {
				return false
			}
		}
		return !slices.ContainsFunc(remove, func(key string) bool { return hash[key] != "" })
	}
	return holds(s.Published.Operations, a.Set, a.Remove) && holds(s.Published.Roles, a.SetRoles, a.RemoveRoles)
}

// String is the line in a plan.
func (a PublishOperations) String() string {
	var parts []string
	if list := items(names(a.Set)); len(list) > 0 {
		parts = append(parts, "publish "+strings.Join(list, ", "))
	}
	if list := items(a.Remove); len(list) > 0 {
		parts = append(parts, "withdraw "+strings.Join(list, ", "))
	}
	if len(a.SetRoles) > 0 {
		parts = append(parts, "register "+strings.Join(names(a.SetRoles), ", "))
	}
	if len(a.RemoveRoles) > 0 {
		parts = append(parts, "no longer register "+strings.Join(a.RemoveRoles, ", "))
	}
	if len(parts) == 0 {
		return "publish their digest"
	}
	return strings.Join(parts, "; ")
}

// items writes "rule/cpu" as "rule cpu", without what is no item.
func items(fields []string) []string {
	var list []string
	for _, field := range fields {
		if kind, name, ok := strings.Cut(field, "/"); ok {
			list = append(list, kind+" "+name)
		}
	}
	return list
}

// Commands are one transaction, and the digest on the channel for those who wait.
func (a PublishOperations) Commands() []Command {
	list := []Command{{Addr: a.Addr, Args: []string{"MULTI"}}}
	hash := func(key string, set map[string]string, remove []string) {
		if len(remove) > 0 {
			list = append(list, Command{Addr: a.Addr, Args: append([]string{"HDEL", key}, remove...)})
		}
		for _, field := range names(set) { // a line each, as people read them
			list = append(list, Command{Addr: a.Addr, Args: []string{"HSET", key, field, set[field]}})
		}
	}
	hash(OperationsKey, a.Set, a.Remove)
	hash(RegistrationKey, a.SetRoles, a.RemoveRoles)
	if digest := a.Set[digestField]; digest != "" {
		list = append(list, Command{Addr: a.Addr, Args: []string{"PUBLISH", OperationsChannel, digest}})
	}
	return append(list, Command{Addr: a.Addr, Args: []string{"EXEC"}})
}

func (a PublishOperations) apply(s *State) {
	p := s.Published.clone()
	if p == nil {
		p = &Published{}
	}
	p.Operations, p.Roles = applied(p.Operations, a.Set, a.Remove), applied(p.Roles, a.SetRoles, a.RemoveRoles)
	s.Published = p
}

func applied(hash, set map[string]string, remove []string) map[string]string {
	hash = maps.Clone(hash)
	if hash == nil {
		hash = map[string]string{}
	}
	maps.Copy(hash, set)
	for _, key := range remove {
		delete(hash, key)
	}
	return hash
}

// guardOperations lets only the master that Sentinel confirms be written to.
func guardOperations(s *State, a PublishOperations) error {
	if authority := s.Authority(); authority == nil || authority.Addr != a.Addr {
		return ErrNoMaster
	}
	return nil
}
