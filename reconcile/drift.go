package reconcile

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"rsm/schema"
)

// Drift is one difference between the spec and what was seen.
type Drift struct {
	Subject string    `json:"subject"`
	Field   string    `json:"field"`
	Have    string    `json:"have"`
	Want    string    `json:"want"`
	Kind    DriftKind `json:"kind"`
}

// DriftKind tells missing from surplus from different.
type DriftKind string

// The kinds of drift.
const (
	Missing DriftKind = "missing"
	Surplus DriftKind = "surplus"
	Differs DriftKind = "differs"
)

// The fields of drift that the planner acts upon. Configuration drift has the
// field "config." and the directive, settings of a Sentinel their SENTINEL SET name.
const (
	fieldProcess      = "process"
	fieldReach        = "reach"
	fieldPort         = "port"
	fieldPassword     = "password"
	fieldVersion      = "version"
	fieldMaster       = "master"
	fieldLink         = "link"
	fieldMonitor      = "monitor"
	fieldMyID         = "myid"
	fieldReplicas     = "replicas"
	fieldPeers        = "peers"
	fieldRegistration = "registration"
	fieldRole         = "role"
	configPrefix      = "config."
)

// String reads "r2 config.maxmemory: have 100mb, want 200mb".
func (d Drift) String() string {
	switch d.Kind {
	case Missing:
		return fmt.Sprintf("%s %s: %s, want %s", d.Subject, d.Field, orNone(d.Have), d.Want)
	case Surplus:
		if d.Want != "" {
			return fmt.Sprintf("%s %s: %q is not in the spec any more, the default is %q", d.Subject, d.Field, d.Have, d.Want)
		}
		return fmt.Sprintf("%s %s: %s is not in the spec", d.Subject, d.Field, d.Have)
	}
	if strings.HasPrefix(d.Field, configPrefix) {
		return fmt.Sprintf("%s %s: have %q, want %q", d.Subject, d.Field, d.Have, d.Want)
	}
	return fmt.Sprintf("%s %s: have %s, want %s", d.Subject, d.Field, orNone(d.Have), d.Want)
}

func orNone(text string) string {
	if text == "" {
		return "nothing"
	}
	return text
}

// Diff lists every difference, in a fixed order. It decides nothing but who
// should be master, since a replica's master can only be compared with that.
func Diff(c *schema.Cluster, s *State) []Drift {
	return diff(c, s, chooseTarget(c, s, nil).node)
}

func diff(c *schema.Cluster, s *State, master *RedisState) []Drift {
	var drifts []Drift
	for _, n := range c.Redis.Nodes {
		drifts = append(drifts, diffRedis(c, n, s.Redis[n.Name], master)...)
	}
	for _, n := range c.Sentinel.Nodes {
		drifts = append(drifts, diffSentinel(c, s, s.Sentinels[n.Name], master)...)
	}
	drifts = append(drifts, diffPublished(c, s)...)
	drifts = append(drifts, diffRoles(c, s)...)
	for _, r := range s.Surplus {
		if !r.Running {
			continue // its data stays where it is, which is no difference
		}
		drifts = append(drifts, Drift{r.Name, fieldRole, string(r.Kind) + " " + place(r.Addr), "", Surplus})
	}
	return append(drifts, diffRegistration(c, s, master)...)
}

func diffRedis(c *schema.Cluster, n schema.RedisNode, r, master *RedisState) []Drift {
	drifts := diffProcess(n.Name, r.Reach, r.Why, r.Process)
	if r.Reach != Up {
		return drifts
	}
	if !allowsVersion(c, r.Version) {
		drifts = append(drifts, Drift{n.Name, fieldVersion, r.Version, c.Redis.Version, Differs})
	}
	drifts = append(drifts, diffPassword(n.Name, r.Open)...)
	managed := ManagedConfig(n)
	for _, key := range names(managed) {
		have, known := r.Config[key]
		_, declared := n.Config[key]
		if !known && !declared {
			continue // a directive that this version does not have yet
		}
		if !SameValue(key, have, managed[key]) {
			drifts = append(drifts, Drift{n.Name, configPrefix + key, readable(have, managed[key]), managed[key], Differs})
		}
	}
	for _, key := range names(r.Defaults) {
		if have, known := r.Config[key]; known && !SameValue(key, have, r.Defaults[key]) {
			drifts = append(drifts, Drift{n.Name, configPrefix + key, have, r.Defaults[key], Surplus})
		}
	}
	return append(drifts, diffReplication(r, master)...)
}

func diffPassword(name string, open bool) []Drift {
	if !open {
		return nil
	}
	return []Drift{{name, fieldPassword, "none", "that of the spec", Differs}}
}

func diffReplication(r, master *RedisState) []Drift {
	switch {
	case master == nil:
		return nil
	case r.Name == master.Name && r.Role != Master:
		return []Drift{{r.Name, fieldMaster, "replica of " + string(r.Master), "master", Differs}}
	case r.Name == master.Name:
		return nil
	case r.Role == Master:
		return []Drift{{r.Name, fieldMaster, "master", "replica of " + string(master.Addr), Differs}}
	case r.Master != master.Addr:
		return []Drift{{r.Name, fieldMaster, "replica of " + string(r.Master), "replica of " + string(master.Addr), Differs}}
	case r.Loading:
		return []Drift{{r.Name, fieldLink, "loading its data set", "up", Differs}}
	case r.Syncing:
		return []Drift{{r.Name, fieldLink, "full sync under way", "up", Differs}}
	case !r.LinkUp:
		return []Drift{{r.Name, fieldLink, "down", "up", Differs}}
	}
	return nil
}

func diffProcess(name string, reach Reach, why string, p Process) []Drift {
	switch {
	case p.Elsewhere != "":
		return []Drift{{name, fieldPort, "running on " + string(p.Elsewhere), "the address of the spec", Differs}}
	case p.Foreign != "":
		return []Drift{{name, fieldPort, "held by " + p.Foreign, "free", Differs}}
	case reach == Down:
		return []Drift{{name, fieldProcess, "down", "running", Missing}}
	case reach == Unknown:
		return []Drift{{name, fieldReach, "unknown: " + why, "reachable", Differs}}
	}
	return nil
}

func diffSentinel(c *schema.Cluster, s *State, r *SentinelState, master *RedisState) []Drift {
	drifts := diffProcess(r.Name, r.Reach, r.Why, r.Process)
	if r.Reach != Up {
		return drifts
	}
	drifts = append(drifts, diffPassword(r.Name, r.Open)...)
	if twin := s.twin(r); twin != "" {
		drifts = append(drifts, Drift{r.Name, fieldMyID, r.MyID + ", like " + twin, "an id of its own", Differs})
	}
	switch {
	case r.Master == "" && master == nil:
		return append(drifts, Drift{r.Name, fieldMonitor, "nothing", "the master", Missing})
	case r.Master == "":
		return append(drifts, Drift{r.Name, fieldMonitor, "nothing", string(master.Addr), Missing})
	case master != nil && r.Master != master.Addr:
		drifts = append(drifts, Drift{r.Name, fieldMonitor, string(r.Master), string(master.Addr), Differs})
	}
	for _, want := range settings(c) {
		if have := r.option(want.option); have != want.value {
			drifts = append(drifts, Drift{r.Name, want.option, have, want.value, Differs})
		}
	}
	return append(drifts, diffKnown(c, s, r, master)...)
}

type setting struct{ option, value string }

func settings(c *schema.Cluster) []setting {
	return []setting{
		{optQuorum, strconv.Itoa(c.Sentinel.Quorum)},
		{optDownAfter, millis(c.Sentinel.DownAfter)},
		{optFailoverTimeout, millis(c.Sentinel.FailoverTimeout)},
		{optParallelSyncs, strconv.Itoa(c.Sentinel.ParallelSyncs)},
	}
}

// diffKnown compares what a Sentinel has discovered with the spec, by address,
// never by count.
func diffKnown(c *schema.Cluster, s *State, r *SentinelState, master *RedisState) []Drift {
	var drifts []Drift
	for _, known := range r.Replicas {
		if _, ok := c.Redis.At(known.Addr); !ok {
			drifts = append(drifts, Drift{r.Name, fieldReplicas, flagged(known.Addr, known.Flags), "", Surplus})
		}
	}
	for _, known := range r.Peers {
		if _, ok := c.Sentinel.At(known.Addr); !ok {
			drifts = append(drifts, Drift{r.Name, fieldPeers, flagged(known.Addr, known.Flags), "", Surplus})
		}
	}
	if master == nil || r.Master != master.Addr {
		return drifts
	}
	replicas, peers := s.knowable(r)
	unknown := slices.DeleteFunc(replicas, r.knowsReplica)
	unheard := slices.DeleteFunc(peers, r.knowsPeer)
	if len(unknown) > 0 {
		drifts = append(drifts, Drift{r.Name, fieldReplicas, "not all known", joinAddrs(unknown), Missing})
	}
	if len(unheard) > 0 {
		drifts = append(drifts, Drift{r.Name, fieldPeers, "not all known", joinAddrs(unheard), Missing})
	}
	return drifts
}

func joinAddrs(addrs []schema.Addr) string {
	text := ""
	for _, addr := range addrs {
		text += sep(text) + string(addr)
	}
	return text
}

func flagged(addr schema.Addr, flags []string) string {
	return string(addr) + " (" + strings.Join(flags, ",") + ")"
}

// twin names another Sentinel with the same id: peers then count both as one.
func (s *State) twin(r *SentinelState) string {
	for _, name := range names(s.Sentinels) {
		if other := s.Sentinels[name]; other != r && other.Reach == Up && r.MyID != "" && other.MyID == r.MyID {
			return name
		}
	}
	return ""
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func uintText(n uint64) string { return strconv.FormatUint(n, 10) }

func hasField(fields ...string) func(Drift) bool {
	return func(d Drift) bool { return slices.Contains(fields, d.Field) }
}
