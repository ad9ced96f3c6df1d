package reconcile

import (
	"cmp"
	"fmt"
	"slices"

	"rsm/schema"
)

// Plan is what rsm would do to one cluster, in order, and what it refuses to do.
type Plan struct {
	Cluster string `json:"cluster"`
	// Master is the authority that the plan was made under, empty for none, at
	// Epoch. Leader says in words who leads, or why nobody does.
	Master schema.Addr `json:"master,omitempty"`
	Epoch  uint64      `json:"epoch"`
	Leader string      `json:"leader"`
	// Fingerprint digests everything of the live state that the plan depends on.
	Fingerprint string `json:"fingerprint"`
	Steps       []Step `json:"steps"`
	// Held is the drift that rsm does not touch, with reasons.
	Held []Held `json:"held"`
	// Invalid are parts of the spec that only a live server could refuse.
	Invalid []Invalid `json:"invalid,omitempty"`
	// Drift is all that differs, whether acted upon or not.
	Drift []Drift `json:"drift"`
	// Destroy marks a plan that takes the cluster down on purpose: the guards that
	// keep it up do not apply.
	Destroy bool `json:"destroy,omitempty"`
	// Handover is the wish that the plan fulfils instead of the spec, nil for none.
	Handover *Wish `json:"handover,omitempty"`
}

// Step is one action at its place in a plan.
type Step struct {
	Phase  Phase   `json:"phase"`
	Action Action  `json:"-"`
	Causes []Drift `json:"causes,omitempty"`
	// Master and Epoch are those of the (simulated) state right before the step;
	// when the live ones differ, the plan is stale and made anew.
	Master schema.Addr `json:"master,omitempty"`
	Epoch  uint64      `json:"epoch"`
}

// Held is drift that rsm refuses to touch.
type Held struct {
	Subject string  `json:"subject"`
	Reason  string  `json:"reason"`
	Causes  []Drift `json:"causes,omitempty"`
	// Flag is what releases it, such as "--allow prune"; empty when nothing does.
	Flag string `json:"flag,omitempty"`
	// Wait means that it is expected to pass without anybody's help.
	Wait bool `json:"wait,omitempty"`
	// Block means that nothing in the cluster is touched while it lasts.
	Block bool `json:"block,omitempty"`
}

// Invalid is a part of the spec that a server refuses.
type Invalid struct {
	// Path is a key of Spec.Positions.
	Path    string `json:"path"`
	Message string `json:"message"`
}

// Phase is the part of a plan that a step belongs to, in order.
type Phase string

// The phases of a plan.
const (
	PhaseRescue    Phase = "rescue"    // a data set is about to be lost, or Sentinel is deciding
	PhaseStart     Phase = "start"     // start what is missing, redis-servers as replicas
	PhaseConfig    Phase = "config"    // live settings, replicas before the master
	PhaseReplicate Phase = "replicate" // point replicas at the authority
	PhaseSync      Phase = "sync"      // wait until they are in sync
	PhaseSentinel  Phase = "sentinel"  // Sentinels, one at a time
	PhaseHandover  Phase = "handover"  // the master hands over, see NewHandover
	PhaseProxy     Phase = "proxy"     // what clients connect to
	PhaseOperation Phase = "operation" // queues, handlers and rules
	PhaseRole      Phase = "role"      // agents, dispatchers and workers
	PhasePublish   Phase = "publish"   // registration
	PhasePrune     Phase = "prune"     // remove surplus, only when allowed
	PhaseDestroy   Phase = "destroy"   // take everything down, see NewDestroy
)

// maxRounds bounds the unfolding of a plan; a real one takes a handful.
const maxRounds = 40

// NewPlan makes the plan that turns the state into the spec. It unfolds one
// decision on a model of the cluster: what to do next, do it there, decide again,
// until there is nothing left to do. So a plan is by construction what a series
// of single decisions would do, and its simulated end has no drift but what is
// held.
func NewPlan(c *schema.Cluster, s *State, allow Allow) *Plan {
	plan := &Plan{
		Cluster: c.Name, Epoch: s.Epoch(), Fingerprint: Fingerprint(s),
		Steps: []Step{}, Held: []Held{}, Drift: []Drift{}, Invalid: invalid(c, s),
	}
	if authority := s.Authority(); authority != nil {
		plan.Master = authority.Addr
	}
	first := chooseTarget(c, s, allow)
	plan.Leader, plan.Drift = leader(s), append(plan.Drift, diff(c, s, first.node)...)
	if len(plan.Invalid) > 0 {
		return plan
	}
	plan.Held = append(plan.Held, blocked(c, s, first)...)
	if len(plan.Held) > 0 {
		return plan
	}
	model := s.Clone()
	for range maxRounds {
		d := decide(c, model, allow)
		plan.Held = append(plan.Held[:0], d.held...)
		if node := d.target.node; plan.Leader == noMaster && node != nil {
			plan.Leader = fmt.Sprintf("%s yet: it will be %s (%s)", noMaster, node.Name, d.target.basis)
		}
		if len(d.steps) == 0 {
			break
		}
		for _, step := range d.steps {
			step.Master, step.Epoch = masterOf(model), model.Epoch()
			step.Action.apply(model)
			plan.Steps = append(plan.Steps, step)
		}
	}
	return plan
}

func masterOf(s *State) schema.Addr {
	if authority := s.Authority(); authority != nil {
		return authority.Addr
	}
	return ""
}

const noMaster = "no master"

// leader says who leads, or what Sentinel says of a master that does not.
func leader(s *State) string {
	if authority := s.Authority(); authority != nil {
		return fmt.Sprintf("master %s %s, epoch %d", authority.Name, authority.Addr, s.Epoch())
	}
	named, ok := s.Named()
	node := s.At(named.Addr)
	switch {
	case ok && node == nil:
		return fmt.Sprintf("no master: Sentinel names %s, a stranger", named.Addr)
	case ok && node.Reach == Up:
		return fmt.Sprintf("no master: Sentinel names %s, which is a replica", node.Name)
	case ok:
		return fmt.Sprintf("no master: Sentinel names %s, which is %s", node.Name, node.Reach)
	}
	return noMaster
}

// Empty reports whether there is nothing to do and nothing held.
func (p *Plan) Empty() bool { return len(p.Steps) == 0 && len(p.Held) == 0 && len(p.Invalid) == 0 }

// Waiting reports whether everything that is held passes by itself.
func (p *Plan) Waiting() bool {
	return len(p.Held) > 0 && !slices.ContainsFunc(p.Held, func(h Held) bool { return !h.Wait })
}

// Impact is the heaviest impact of the plan's steps.
func (p *Plan) Impact() Impact {
	worst := ImpactNone
	for _, step := range p.Steps {
		worst = max(worst, step.Action.Impact())
	}
	return worst
}

// decide says what to do next: the steps of the first phase that has any. All of
// a plan's order is in this list.
func decide(c *schema.Cluster, s *State, allow Allow) *decision {
	d := &decision{c: c, s: s, allow: allow, target: chooseTarget(c, s, allow)}
	d.drifts = diff(c, s, d.target.node)
	phases := []struct {
		name  Phase
		steps func()
	}{
		{PhaseStart, d.startSentinels}, // they may remember the master, so before anything else
		{PhaseRescue, d.rescue},
		{PhaseStart, d.startRedis},
		{PhaseConfig, d.config},
		{PhaseReplicate, d.replicate},
		{PhaseSync, d.sync},
		{PhaseSentinel, d.sentinels},
		{PhaseProxy, d.proxies},
		{PhaseOperation, d.operations},
		{PhaseRole, d.roles},
		{PhasePublish, d.publish},
		{PhasePrune, d.prune},
	}
	for _, phase := range phases {
		d.phase = phase.name
		phase.steps()
		if len(d.steps) > 0 || d.stop {
			break
		}
	}
	d.report()
	return d
}

// decision collects the outcome of one round.
type decision struct {
	c      *schema.Cluster
	s      *State
	allow  Allow
	target target
	drifts []Drift

	phase Phase
	steps []Step
	held  []Held
	stop  bool // later phases must not run now
}

func (d *decision) add(action Action, causes ...Drift) {
	if err := Guard(d.s, action); err != nil {
		d.hold(Held{Subject: action.Subject(), Reason: err.Error(), Causes: causes})
		return
	}
	d.steps = append(d.steps, Step{Phase: d.phase, Action: action, Causes: causes})
}

func (d *decision) hold(h Held) { d.held = append(d.held, h) }

// with lists the drifts that have one of the fields.
func (d *decision) with(fields ...string) []Drift {
	is := hasField(fields...)
	var list []Drift
	for _, drift := range d.drifts {
		if is(drift) {
			list = append(list, drift)
		}
	}
	return list
}

// masterLast orders node names so that the master is touched after its replicas.
func (d *decision) masterLast(a, b string) int {
	weight := func(name string) int {
		if d.target.node != nil && d.target.node.Name == name {
			return 1
		}
		return 0
	}
	return cmp.Or(weight(a)-weight(b), cmp.Compare(a, b))
}
