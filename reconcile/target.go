package reconcile

import (
	"fmt"
	"strings"
	"time"

	"rsm/schema"
)

// target is who should be master, and why rsm may say so. The evidence is asked
// in this order: what a majority of Sentinels says; who the replicas follow, when
// no Sentinel knows anything; the last published registration, when nothing is
// alive; the seed of the spec, when there is no data anywhere.
type target struct {
	node   *RedisState
	basis  string
	chosen bool   // by a person, with --allow promote
	first  Action // what must happen before anybody can say: mostly to wait for Sentinel
	held   *Held  // nobody may decide but a person
}

// settle is how long rsm watches a deployment that nobody leads before it
// promotes anyone: long enough for a restarted Sentinel to speak up.
func settle(c *schema.Cluster) time.Duration { return min(30*time.Second, 6*c.Sentinel.DownAfter) }

func chooseTarget(c *schema.Cluster, s *State, allow Allow) target {
	if s.sentinelsToStart() {
		return target{} // they may remember the master, so they start before anybody decides
	}
	if s.FailoverInProgress() {
		if named, ok := s.Named(); ok && s.sentinelFailover() && s.HasQuorum() && s.successor() != nil {
			return target{first: waitFailover(c, s, s.failingOver(named.Addr))}
		}
		text := "a failover is in progress"
		if !s.sentinelFailover() {
			text += " that Sentinel did not begin"
		}
		t := heldTarget("%s", text)
		t.held.Wait = true
		return t
	}
	if node := chosen(s, allow); node != nil {
		if named, ok := s.Named(); ok && named.Addr != node.Addr && s.countSentinels((*SentinelState).Knows) < len(s.Sentinels) {
			return heldTarget("%s can be made master only while every Sentinel answers: they name another one, and one that is "+
				"missing would undo it", node.Name)
		}
		return target{node: node, chosen: true, basis: "chosen by " + allowFlag(AllowPromote, node.Name)}
	}
	if named, ok := s.Named(); ok {
		return namedTarget(c, s, named)
	}
	for _, name := range names(s.Sentinels) {
		if r := s.Sentinels[name]; r.Reach != Up {
			return heldTarget("no majority of Sentinels names a master, and %s is %s: %s", name, r.Reach, r.Why)
		}
	}
	return unnamedTarget(c, s)
}

// chosen is the node of --allow promote=NODE. It counts only where Sentinel cannot
// help itself: whom it elected, and who lives, is never overruled, nor is an
// election that it can hold, nor a stranger that it follows.
func chosen(s *State, allow Allow) *RedisState {
	named, ok := s.Named()
	if s.Authority() != nil || ok && s.At(named.Addr) == nil || ok && s.HasQuorum() && s.successor() != nil {
		return nil
	}
	for _, name := range names(s.Redis) {
		if allow.Has(AllowPromote, name) {
			return s.Redis[name]
		}
	}
	return nil
}

func (s *State) sentinelsToStart() bool {
	return s.countSentinels(func(r *SentinelState) bool { return r.Reach == Down && r.Process.Local }) > 0
}

func heldTarget(format string, args ...any) target {
	return target{held: &Held{Subject: "authority", Reason: fmt.Sprintf(format, args...)}}
}

// failingOver is the master that a Sentinel is just replacing; the one that leads
// the failover is the last to switch.
func (s *State) failingOver(otherwise schema.Addr) schema.Addr {
	for _, name := range names(s.Sentinels) {
		if r := s.Sentinels[name]; r.Knows() && r.HasFlag("failover_in_progress") {
			return r.Master
		}
	}
	return otherwise
}

// tilted holds while too few Sentinels are out of TILT mode, in which they watch
// but do not act: for thirty seconds after the clock jumped or they were frozen.
func tilted(s *State) (target, bool) {
	awake := s.countSentinels(func(r *SentinelState) bool { return r.Knows() && !r.Tilt })
	if awake >= s.Majority() || awake == s.countSentinels((*SentinelState).Knows) {
		return target{}, false
	}
	t := heldTarget("the master does not answer, and the Sentinels are in TILT mode: they decide nothing for thirty seconds")
	t.held.Wait = true
	return t, true
}

// namedTarget handles a master that a majority of Sentinels names.
func namedTarget(c *schema.Cluster, s *State, named Named) target {
	node := s.At(named.Addr)
	switch {
	case node == nil:
		return strangerNamed(s, named.Addr)
	case node.Reach == Up && node.Role == Master && s.reborn(node) != nil:
		return rebornMaster(c, s, node)
	case node.Reach == Up && node.Role == Master:
		return target{node: node, basis: "named by a majority of Sentinels"}
	case node.Reach == Up:
		return replicaNamed(c, s, node)
	}
	if t, tilt := tilted(s); tilt {
		return t
	}
	if node.Reach == Unknown {
		return hungMaster(c, s, node)
	}
	return deadMaster(c, s, node)
}

// strangerNamed handles a named master that is no node of the spec.
func strangerNamed(s *State, addr schema.Addr) target {
	t := heldTarget("the Sentinels monitor %s, which is no node of this cluster: "+
		"another deployment may use the same master name; nothing is touched", addr)
	for _, name := range names(s.Redis) {
		if s.Redis[name].Process.Elsewhere == addr {
			return target{} // it is ours, and blocked already
		}
	}
	for _, r := range s.Surplus {
		if r.Addr == addr {
			t = heldTarget("the master %s (%s) is no longer in the spec: put it back, or make another node master first "+
				"(SENTINEL FAILOVER), then remove it", r.Name, addr)
		}
	}
	t.held.Block = true
	return t
}

// replicaNamed handles Sentinels that monitor a replica (scenario 7).
func replicaNamed(c *schema.Cluster, s *State, node *RedisState) target {
	var masters []*RedisState
	for _, name := range names(s.Redis) {
		r := s.Redis[name]
		if r.Reach != Up {
			return heldTarget("the Sentinels monitor %s, which is a replica, and %s is %s", node.Name, name, r.Reach)
		}
		if r.Role == Master {
			masters = append(masters, r)
		}
	}
	switch {
	case len(masters) == 0 && s.HasQuorum() && s.successor() != nil:
		return target{first: waitFailover(c, s, node.Addr)}
	case len(masters) == 0:
		return heldTarget("the Sentinels monitor %s, which is a replica, and there is no master at all", node.Name)
	case len(masters) > 1 || len(masters[0].Replicas) == 0:
		return heldTarget("the Sentinels monitor %s, which is a replica, and %s cannot be told to be the true master",
			node.Name, nodeList(masters))
	case s.countSentinels((*SentinelState).Knows) < len(s.Sentinels):
		return heldTarget("the Sentinels monitor %s, a replica of %s: all Sentinels must be reachable to correct it, "+
			"or the one that is missing undoes it", node.Name, masters[0].Name)
	}
	return target{node: masters[0], basis: "the only master, with replicas attached, while the Sentinels monitor a replica"}
}

// rebornWithin is how long after its start a master may count as one that came
// back without its data.
const rebornWithin = time.Minute

// reborn returns a replica that still has the data set of an elected master that
// came back empty, or nearly so, before it could drop it; nil when there is none
// (scenario 38).
func (s *State) reborn(master *RedisState) *RedisState {
	if master.Loading || master.Keys > 0 && master.Uptime > rebornWithin {
		return nil
	}
	for _, name := range names(s.Redis) {
		r := s.Redis[name]
		if r.Reach == Up && r.Role == Replica && r.Keys > 10*master.Keys && !r.LinkUp && drops(r, master) != "" {
			return r
		}
	}
	return nil
}

// rebornMaster stops a master that came back empty before its replicas copy the
// emptiness; Sentinel then promotes one that has the data.
func rebornMaster(c *schema.Cluster, s *State, node *RedisState) target {
	reason := fmt.Sprintf("it came back empty while %s still has %d keys", s.reborn(node).Name, s.reborn(node).Keys)
	if node.Keys > 0 {
		return heldTarget("the master %s came back with %d keys while %s still has %d, of another history, and is about to "+
			"drop them: if that is wrong, stop %s at once", node.Name, node.Keys, s.reborn(node).Name, s.reborn(node).Keys, node.Name)
	}
	if !node.Process.Local || !node.Process.Running {
		return heldTarget("stop the master %s at once: %s; rsm cannot stop it from here", node.Name, reason)
	}
	return target{first: StopRole{Role: redisRef(c, node.Name), Reason: reason, Risk: ImpactFailover, NoSave: true}}
}

// hungMaster handles a named master that does not answer. Unknown is not absent:
// only Sentinel may call it down.
func hungMaster(c *schema.Cluster, s *State, node *RedisState) target {
	if down := s.countSentinels(func(r *SentinelState) bool { return r.HasFlag("s_down") || r.HasFlag("o_down") }); down > 0 &&
		s.HasQuorum() && s.successor() != nil {
		return target{first: waitFailover(c, s, node.Addr)}
	}
	t := heldTarget("the master %s cannot be reached from here (%s); Sentinel decides whether it is down", node.Name, node.Why)
	t.held.Wait = true
	return t
}

// deadMaster handles a named master that is proven absent (scenarios 6, 12, 37, 38).
func deadMaster(c *schema.Cluster, s *State, node *RedisState) target {
	alive := s.filter(func(r *RedisState) bool { return r.Reach == Up })
	hidden := s.filter(func(r *RedisState) bool { return r.Reach == Unknown })
	switch {
	case len(alive) == 0 && len(hidden) > 0:
		t := heldTarget("the master %s is down, and %s cannot be reached from here (%s): Sentinel may be about to promote it",
			node.Name, hidden[0].Name, hidden[0].Why)
		t.held.Wait = true
		return t
	case len(alive) == 0:
		return restartNamed(s, node)
	case !s.HasQuorum():
		return heldTarget("the master %s is down, and too few Sentinels are left to replace it", node.Name)
	case s.successor() == nil:
		return nobodyLeft(s, node, alive)
	}
	return target{first: waitFailover(c, s, node.Addr)}
}

// restartNamed handles a total outage in which the Sentinels remember the master:
// it starts as the master again, unless it lost its data and others did not.
func restartNamed(s *State, node *RedisState) target {
	if node.Process.Data != Yes {
		for _, name := range names(s.Redis) {
			if r := s.Redis[name]; r != node && r.Process.Data != No {
				t := heldTarget("%s is the elected master but has no data on disk, while %s has (%s): starting it would "+
					"empty the others", node.Name, name, r.Process.Data)
				t.held.Flag = allowFlag(AllowPromote, name)
				return t
			}
		}
	}
	return target{node: node, basis: "the last elected master; nothing is alive to replace it"}
}

// nobodyLeft is said when the master is down and Sentinel will never promote any of
// those that are alive. The dead master may lack what they have (its last save may
// be old), and they may lack what it has, so a person chooses.
func nobodyLeft(s *State, node *RedisState, alive []*RedisState) target {
	var why []string
	best := alive[0]
	for _, r := range alive {
		why = append(why, r.Name+" "+s.refusal(r))
		if r.Offset > best.Offset {
			best = r
		}
	}
	t := heldTarget("the master %s is down and Sentinel can promote nobody: %s", node.Name, strings.Join(why, "; "))
	t.held.Flag = allowFlag(AllowPromote, best.Name)
	if node.Process.Data == Yes {
		t.held.Reason += fmt.Sprintf("; %s still has its data on disk (%s)", node.Name, allowFlag(AllowPromote, node.Name))
	}
	return t
}

func waitFailover(c *schema.Cluster, s *State, lost schema.Addr) WaitFailover {
	wait := WaitFailover{Lost: lost, Timeout: c.Sentinel.DownAfter + 2*c.Sentinel.FailoverTimeout + 10*time.Second}
	if named, _ := s.Named(); named.Addr != lost && s.Authority() != nil {
		wait.Predicted = named.Addr // most have switched already
	} else if next := s.successor(); next != nil {
		wait.Predicted = next.Addr
	}
	return wait
}
