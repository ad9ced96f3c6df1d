package reconcile

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"rsm/schema"
)

// Where the dispatchers and workers of a cluster find in its Redis what the spec
// says of queues, handlers and rules, and who its roles are. Only rsm's reconcile
// writes there.
const (
	// OperationsKey is a hash: "queue/<name>", "handler/<name>" and "rule/<name>"
	// to the JSON of schema.Queue, schema.Handler and schema.Rule, and "digest" to
	// the name of it all.
	OperationsKey = "rsm:operations"
	// OperationsChannel hears the digest when it has changed.
	OperationsChannel = "rsm:operations"
	// RegistrationKey is a hash of the names of all roles of the cluster to the JSON
	// of RegisteredRole.
	RegistrationKey = "rsm:registration"
	digestField     = "digest"
)

// RegisteredRole is a role as RegistrationKey has it.
type RegisteredRole struct {
	Kind Kind        `json:"kind"`
	Addr schema.Addr `json:"addr"`
	// Digest names its settings: the file of a role of rsm, the managed directives
	// of a redis-server.
	Digest string `json:"digest,omitempty"`
}

// Published is what a cluster's Redis holds for the roles of rsm around it.
type Published struct {
	// Operations and Roles are the two hashes.
	Operations map[string]string `json:"operations,omitempty"`
	Roles      map[string]string `json:"roles,omitempty"`
	// Backlog is how many tasks are left in queues that the spec no longer has.
	Backlog map[string]int64 `json:"backlog,omitempty"`
	// Firing is how many alerts fire.
	Firing int64 `json:"firing,omitempty"`
	// Why says what keeps rsm from reading it, empty when nothing does.
	Why string `json:"why,omitempty"`
}

func (p *Published) clone() *Published {
	if p == nil {
		return nil
	}
	c := *p
	c.Operations, c.Roles, c.Backlog = maps.Clone(p.Operations), maps.Clone(p.Roles), maps.Clone(p.Backlog)
	return &c
}

// HasOperations reports whether the cluster's Redis is used by roles of rsm; if
// not, nothing is written to it.
func HasOperations(c *schema.Cluster) bool {
	return len(c.Agents)+len(c.Dispatchers)+len(c.Workers) > 0 || len(c.Operations.Items()) > 0
}

// toPublish is what the two hashes should hold.
func toPublish(c *schema.Cluster) (operations, roles map[string]string) {
	operations, roles = c.Operations.Items(), map[string]string{}
	if !HasOperations(c) {
		return operations, roles
	}
	operations[digestField] = digestOf(operations)
	register := func(name string, r RegisteredRole) {
		text, _ := json.Marshal(r) // strings only
		roles[name] = string(text)
	}
	for _, n := range c.Redis.Nodes {
		config, _ := json.Marshal(ManagedConfig(n))
		register(n.Name, RegisteredRole{KindRedis, n.Addr, schema.DigestOf(config)})
	}
	for _, n := range c.Sentinel.Nodes {
		register(n.Name, RegisteredRole{Kind: KindSentinel, Addr: n.Addr})
	}
	for _, r := range DeclaredRoles(c) {
		register(r.Name, RegisteredRole{r.Kind, r.Addr, r.Digest()})
	}
	return operations, roles
}

// diffPublished compares what Redis holds with the spec: of each queue, handler and
// rule the settings that differ.
func diffPublished(c *schema.Cluster, s *State) []Drift {
	if s.Published == nil || s.Published.Why != "" {
		return nil // unknown is not absent
	}
	operations, roles := toPublish(c)
	drifts := diffItems(s.Published.Operations, operations)
	if len(drifts) == 0 && s.Published.Operations[digestField] != operations[digestField] {
		drifts = append(drifts, Drift{subjectOperations, digestField, brief(s.Published.Operations[digestField]), brief(operations[digestField]), Differs})
	}
	if len(roles) > 0 || len(s.Published.Roles) > 0 {
		changed := changedKeys(s.Published.Roles, roles)
		if len(changed) > 0 {
			drifts = append(drifts, Drift{subjectOperations, fieldRegistration, "others", "roles " + strings.Join(changed, " "), Differs})
		}
	}
	return drifts
}

// brief is a digest for people.
func brief(digest string) string { return digest[:min(len(digest), 12)] }

// subjectOperations is the subject of what is published as a whole.
const subjectOperations = "operations"

func diffItems(have, want map[string]string) []Drift {
	var drifts []Drift
	for _, item := range changedKeys(have, want) {
		kind, _, ok := strings.Cut(item, "/")
		switch {
		case !ok:
		case have[item] == "":
			drifts = append(drifts, Drift{item, kind, "", "that of the spec", Missing})
		case want[item] == "":
			drifts = append(drifts, Drift{item, kind, "published", "", Surplus})
		default:
			drifts = append(drifts, diffSettings(item, itemSettings(item, have[item]), itemSettings(item, want[item]))...)
		}
	}
	return drifts
}

// itemSettings flattens one published queue, handler or rule. Others may have written
// it, so that what no terminal should get is quoted.
func itemSettings(item, text string) map[string]string {
	list := map[string]string{}
	o, err := schema.OperationsOf(map[string]string{item: text})
	switch {
	case err != nil: // of another version of rsm, or not its own
		list["content"] = text
	case len(o.Queues) > 0:
		flattenInto(list, "", o.Queues[0])
	case len(o.Handlers) > 0:
		flattenInto(list, "", o.Handlers[0])
	case len(o.Rules) > 0:
		flattenInto(list, "", o.Rules[0])
	}
	for key, value := range list {
		if strings.ContainsFunc(value, unicode.IsControl) {
			list[key] = strconv.Quote(value)
		}
	}
	return list
}

func changedKeys(have, want map[string]string) []string {
	var changed []string
	for _, key := range slices.Compact(slices.Sorted(slices.Values(append(names(have), names(want)...)))) {
		if have[key] != want[key] {
			changed = append(changed, key)
		}
	}
	return changed
}

// operations publishes what differs, all at once. A queue that has left the spec
// stays as long as it has tasks.
func (d *decision) operations() {
	master := d.target.node
	if d.s.Published == nil || master == nil {
		return
	}
	if d.s.Published.Why != "" {
		if HasOperations(d.c) {
			d.hold(Held{Subject: subjectOperations, Reason: d.s.Published.Why})
		}
		return
	}
	causes := diffPublished(d.c, d.s)
	if len(causes) == 0 {
		return
	}
	operations, roles := toPublish(d.c)
	for _, item := range names(d.s.Published.Backlog) {
		n := d.s.Published.Backlog[item]
		text, published := d.s.Published.Operations["queue/"+item]
		if _, declared := operations["queue/"+item]; n == 0 || declared || !published {
			continue
		}
		operations["queue/"+item] = text
		is := func(x Drift) bool { return x.Subject == "queue/"+item }
		d.hold(Held{Subject: "queue/" + item, Causes: slices.DeleteFunc(slices.Clone(causes), func(x Drift) bool { return !is(x) }), Reason: fmt.Sprintf(
			"it has left the spec with %s in it: have them done (a worker must serve it), or remove them with rsm task delete", count(int(n), "task"))})
		causes = slices.DeleteFunc(causes, is)
	}
	if len(operations) > 0 {
		operations[digestField] = digestOf(operations)
	}
	action := newPublishOperations(master.Addr, d.s.Published, operations, roles)
	if !action.Done(d.s) {
		d.add(action, causes...)
	}
}

// OperationsDigest names the queues, handlers and rules of a cluster.
func OperationsDigest(c *schema.Cluster) string { return digestOf(c.Operations.Items()) }

// digestOf names published queues, handlers and rules.
func digestOf(items map[string]string) string {
	only := maps.Clone(items)
	delete(only, digestField)
	content, _ := json.Marshal(only) // strings, and sorted
	return schema.DigestOf(content)
}
