package reconcile

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"rsm/schema"
)

// Wish is who should lead, said by a person. It is no part of the spec: the next
// failover may undo it.
type Wish struct {
	// From is the node that led when the wish was made. It is to lead no longer.
	From string `json:"from"`
	// To is the node that is to lead; empty leaves the choice to Sentinel.
	To string `json:"to,omitempty"`
}

// fulfilled reports whether there is nothing left to wish for.
func (w Wish) fulfilled(leader *RedisState) bool {
	return w.To != "" && leader.Name == w.To || w.To == "" && leader.Name != w.From
}

// NewHandover makes the plan that fulfils the wish: one Handover, and the
// registration of the new master. Nothing else that differs is touched. What
// forbids it is held.
func NewHandover(c *schema.Cluster, s *State, wish Wish) *Plan {
	plan := &Plan{Cluster: c.Name, Master: masterOf(s), Epoch: s.Epoch(), Leader: leader(s), Fingerprint: Fingerprint(s),
		Steps: []Step{}, Held: []Held{}, Drift: []Drift{}, Handover: &wish}
	authority := s.Authority()
	if authority == nil {
		plan.Held = append(plan.Held, Held{Subject: "authority", Wait: s.FailoverInProgress(), Reason: leaderless(s)})
		return plan
	}
	model := s.Clone()
	add := func(phase Phase, action Action, causes ...Drift) {
		plan.Steps = append(plan.Steps, Step{Phase: phase, Action: action, Causes: causes, Master: masterOf(model), Epoch: model.Epoch()})
		action.apply(model)
	}
	if !wish.fulfilled(authority) {
		action, err := handover(c, s, wish.To)
		if err == nil {
			err = Guard(s, action)
		}
		if err != nil {
			plan.Held = append(plan.Held, Held{Subject: authority.Name, Reason: err.Error()})
			return plan
		}
		add(PhaseHandover, action)
	}
	leader := model.Authority()
	if reg, ok := registration(c, model, leader); ok {
		for _, drift := range diffRegistration(c, model, leader) {
			add(PhasePublish, Publish{Registration: reg}, drift)
		}
	}
	return plan
}

// leaderless says why nobody can hand over.
func leaderless(s *State) string {
	if !s.HasQuorum() {
		return ErrQuorum.Error() + ": start them with rsm apply"
	}
	return "there is nobody who could hand over (" + leader(s) + "): rsm plan says what to do"
}

// handover chooses who takes over, and which Sentinel is asked.
func handover(c *schema.Cluster, s *State, to string) (Handover, error) {
	from := s.Authority()
	node, err := heir(s, from, to)
	if err != nil {
		return Handover{}, err
	}
	a := Handover{
		Cluster: c.Name, From: redisRef(c, from.Name), To: redisRef(c, node.Name), Exact: to != "",
		Pause: pauseLimit(s), Timeout: c.Sentinel.FailoverTimeout,
	}
	rivals := s.rivals(from, node)
	for _, r := range rivals {
		a.Exact = a.Exact || s.unready(r, from) != "" // Sentinel might choose it nonetheless
	}
	for _, r := range rivals {
		a.Rivals = append(a.Rivals, Rival{Name: r.Name, Addr: r.Addr, Priority: r.Priority,
			HeldBack: a.Exact && (r.Priority <= node.Priority || s.unready(r, from) != "")})
	}
	for _, name := range names(s.Sentinels) {
		if s.Sentinels[name].canPromote(node.Addr) {
			a.Sentinel = sentinelRef(c, name)
			return a, nil
		}
	}
	return a, fmt.Errorf("%s %w: no Sentinel knows it as a healthy replica", node.Name, ErrNotReady)
}

// heir is the node of that name, or whom Sentinel would choose of those that are
// ready.
func heir(s *State, from *RedisState, to string) (*RedisState, error) {
	if to != "" {
		r := s.Redis[to]
		if r == nil {
			return nil, fmt.Errorf("%w: %s", ErrNoNode, to)
		}
		return r, s.fit(r, from)
	}
	var best *RedisState
	var why []string
	for _, name := range names(s.Redis) {
		r := s.Redis[name]
		if r == from {
			continue
		}
		if reason := s.unready(r, from); reason != "" {
			why = append(why, r.Name+" "+reason)
		} else if best == nil || outranks(r, best) {
			best = r
		}
	}
	switch {
	case best == nil && len(why) == 0:
		return nil, fmt.Errorf("others %w: there is no other redis-server", ErrNotReady)
	case best == nil:
		return nil, fmt.Errorf("the replicas %w: %s", ErrNotReady, strings.Join(why, "; "))
	}
	return best, nil
}

// rivals are the other live replicas that Sentinel may promote. One with a worse
// priority is promoted when Sentinel has just lost its connection to the node.
func (s *State) rivals(from, node *RedisState) []*RedisState {
	return s.filter(func(r *RedisState) bool { return r != from && r != node && r.Reach == Up && r.Priority != 0 })
}

// pauseLimit leaves a fifth of down-after to Sentinel's own delays.
func pauseLimit(s *State) time.Duration {
	limit := 5 * time.Second
	for _, r := range s.Sentinels {
		if r.Knows() && r.DownAfter > 0 {
			limit = min(limit, r.DownAfter*4/5)
		}
	}
	return limit
}

// maxBehind is how many bytes a replica may lack before writes are paused for it:
// what a network brings within the pause.
const maxBehind = 10 << 20

// unready tells why a node cannot take over from the master now, "" when it can.
func (s *State) unready(r, master *RedisState) string {
	switch behind := master.Offset - r.Offset; {
	case r.Reach != Up:
		return "is " + string(r.Reach)
	case r.Role != Replica || r.Master != master.Addr:
		return "is no replica of " + master.Name + ": run rsm apply"
	case r.Loading || r.Syncing:
		return "is not in sync yet: wait for it"
	case !r.LinkUp:
		return "has no link to " + master.Name + ": see its log"
	case r.Priority == 0:
		return "has replica-priority 0, which means that Sentinel never promotes it: give it another priority in the spec"
	case behind > maxBehind:
		return fmt.Sprintf("is %d bytes behind: wait until it has caught up", behind)
	}
	return ""
}

func (s *State) fit(r, master *RedisState) error {
	if why := s.unready(r, master); why != "" {
		return fmt.Errorf("%s %w: it %s", r.Name, ErrNotReady, why)
	}
	return nil
}

// canPromote reports whether the Sentinel is fit to be asked to promote the node.
func (r *SentinelState) canPromote(addr schema.Addr) bool {
	return r.Knows() && !r.Tilt && slices.ContainsFunc(r.Replicas, func(k KnownReplica) bool { return k.Addr == addr && !k.gone() })
}

// gone reports whether the Sentinel counts the replica as dead, and so would never
// promote it.
func (k KnownReplica) gone() bool {
	return slices.Contains(k.Flags, "s_down") || slices.Contains(k.Flags, "disconnected")
}

// guardHandover demands a cluster in which nobody but the replicas that are ready
// can be promoted, and whose Sentinels all say the same.
func guardHandover(s *State, a Handover) error {
	from, to, asked := s.Authority(), s.Redis[a.To.Name], s.Sentinels[a.Sentinel.Name]
	switch {
	case from == nil:
		return ErrNoMaster
	case from.Name != a.From.Name:
		return ErrAuthority
	case to == nil || asked == nil:
		return ErrNoNode
	case !s.HasQuorum():
		return fmt.Errorf("%w: start them with rsm apply", ErrQuorum)
	case !canPause(from.Version):
		return fmt.Errorf("replicas of %s %w: Redis %s has no CLIENT PAUSE WRITE, 6.2 and later have", from.Name, ErrNotReady, from.Version)
	}
	if err := s.fit(to, from); err != nil {
		return err
	}
	if !asked.canPromote(to.Addr) {
		return fmt.Errorf("%s %w: %s does not know it as a healthy replica", to.Name, ErrNotReady, asked.Name)
	}
	if err := s.agree(from); err != nil {
		return err
	}
	return guardRivals(s, a, asked)
}

// canPause tells whether a server of the version has CLIENT PAUSE WRITE and CLIENT
// UNPAUSE, which came with Redis 6.2.
func canPause(version string) bool {
	since, err := schema.ParseVersions(">=6.2")
	return err == nil && (version == "" || since.Allows(version))
}

// agree is an error unless every Sentinel that answers names the master and sees
// it alive.
func (s *State) agree(master *RedisState) error {
	for _, name := range names(s.Sentinels) {
		switch r := s.Sentinels[name]; {
		case r.Reach != Up:
		case r.Tilt:
			return ErrTilt
		case r.Master != master.Addr:
			return fmt.Errorf("%w: %s does not name %s as the master: run rsm apply", ErrNotWhole, name, master.Name)
		case r.HasFlag("s_down") || r.HasFlag("o_down"):
			return fmt.Errorf("%w: %s sees the master down", ErrNotWhole, name)
		}
	}
	return nil
}

// guardRivals refuses when Sentinel could promote somebody that nobody watches.
func guardRivals(s *State, a Handover, asked *SentinelState) error {
	from, to := s.Redis[a.From.Name], s.Redis[a.To.Name]
	for _, rival := range a.Rivals { // each is held back, or waited for
		if r := s.At(rival.Addr); r != nil && r.Reach != Up {
			return fmt.Errorf("%w: %s is %s", ErrNotWhole, r.Name, r.Reach)
		}
	}
	for _, known := range asked.Replicas {
		switch r := s.At(known.Addr); {
		case known.gone():
		case r == nil:
			return fmt.Errorf("%w: %s could promote %s, which is not in the spec: stop that, then rsm apply --allow prune", ErrNotWhole, asked.Name, known.Addr)
		case r.Reach == Unknown:
			return fmt.Errorf("%w: %s does not answer (%s), and Sentinel could promote it: wait until Sentinel sees it down", ErrNotWhole, r.Name, r.Why)
		}
	}
	for _, name := range names(s.Redis) {
		if r := s.Redis[name]; r != from && r.Reach == Up && (r.Role != Replica || r.Master != from.Addr) {
			return fmt.Errorf("%w: %s is no replica of %s: run rsm apply", ErrNotWhole, name, from.Name)
		}
	}
	for _, r := range s.rivals(from, to) {
		safe := slices.ContainsFunc(a.Rivals, func(x Rival) bool {
			return x.Addr == r.Addr && (x.HeldBack || s.unready(r, from) == "" && (!a.Exact || r.Priority > to.Priority))
		})
		if !safe {
			return fmt.Errorf("%w: Sentinel could promote %s", ErrNotWhole, r.Name)
		}
	}
	return nil
}
