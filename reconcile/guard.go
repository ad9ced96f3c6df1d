package reconcile

import "errors"

// The reasons why a guard refuses.
var (
	ErrFailover  = errors.New("a failover is in progress")
	ErrNoNode    = errors.New("there is no such node")
	ErrUnknown   = errors.New("it does not answer, and unknown is not absent")
	ErrHidden    = errors.New("another node is out of sight and may be the master")
	ErrTwoMaster = errors.New("there would be two masters")
	ErrAuthority = errors.New("it would act against the master that Sentinel elected")
	ErrMajority  = errors.New("the Sentinels would lose their majority")
	ErrData      = errors.New("a data set would be dropped without a copy")
	ErrEmpty     = errors.New("it is empty, and another node may have data")
	ErrNoMaster  = errors.New("the master is not reachable or is no master")
	ErrNotWhole  = errors.New("the cluster is not whole")
	ErrTilt      = errors.New("a Sentinel is in TILT mode: its clock jumped or it was frozen")
	ErrNotReady  = errors.New("cannot take over")
	ErrQuorum    = errors.New("too few Sentinels answer to elect a master")
	ErrClients   = errors.New("clients are connected to this writable replica")
	ErrMemory    = errors.New("it uses more memory than the new limit")
)

// Guard tells whether an action is safe on a state. It is asked for every step
// of a plan on the model, and again on the live state right before the real one.
func Guard(s *State, action Action) error {
	switch action.(type) {
	case WaitFailover, WaitSync, WaitGossip, WaitKnown, Publish:
		return nil // they change nothing in the cluster
	}
	if aboutRole(action) {
		return nil
	}
	if r, x := s.Redis[action.Subject()], s.Sentinels[action.Subject()]; r != nil && r.Reach == Unknown || x != nil && x.Reach == Unknown {
		return ErrUnknown
	}
	if _, copies := action.(Snapshot); copies {
		return nil // a failover does not mind
	}
	if s.FailoverInProgress() {
		return ErrFailover
	}
	switch a := action.(type) {
	case ConfigSet:
		return guardConfig(s.Redis[a.Node], a)
	case StartRole:
		return guardStart(s, a)
	case StopRole:
		return guardStop(s, a)
	case Promote:
		return guardMaster(s, s.Redis[a.Node], a.Chosen)
	case Handover:
		return guardHandover(s, a)
	case Replicate:
		return guardReplicate(s, a)
	case Monitor:
		return guardMonitor(s, a)
	case MonitorAll:
		for _, each := range a.Monitors {
			if err := guardMonitor(s, each); err != nil {
				return err
			}
		}
	case ResetSentinel:
		return guardReset(s, a)
	case PublishOperations:
		return guardOperations(s, a)
	}
	return nil
}

// guardConfig refuses what the clients or the data of a node did not forbid when the
// plan was made, and do now.
func guardConfig(r *RedisState, a ConfigSet) error {
	switch {
	case r == nil:
		return nil
	case r.cutsClients(a.Key, a.Value) && !a.Clients:
		return ErrClients
	case a.Key == "maxmemory" && r.evicts(a.Value) && a.Risk != ImpactDataLoss:
		return ErrMemory
	}
	return nil
}

func guardStart(s *State, a StartRole) error {
	if a.Role.Kind == KindSentinel {
		return nil
	}
	if a.Follow == "" {
		return guardMaster(s, s.Redis[a.Role.Name], a.Chosen)
	}
	if master := s.At(a.Follow); master == nil || master.Reach != Up || master.Role != Master {
		return ErrNoMaster
	}
	return nil
}

// guardMaster refuses a second master, and one that is not who Sentinel elected
// while that one is alive.
func guardMaster(s *State, node *RedisState, chosen bool) error {
	if node == nil {
		return ErrNoNode
	}
	for _, other := range s.Redis {
		if other == node {
			continue
		}
		if other.Reach == Unknown && !chosen {
			return ErrHidden
		}
		if other.Reach == Up && other.Role == Master && (other.mayHoldData() || len(other.Replicas) > 0) {
			return ErrTwoMaster
		}
		if node.Keys == 0 && node.Process.Data != Yes &&
			(other.mayHoldData() || other.Reach == Unknown || other.Reach == Down && other.Process.Data == Yes) {
			return ErrEmpty
		}
	}
	if named, ok := s.Named(); ok && node != nil && named.Addr != node.Addr {
		if elected := s.At(named.Addr); elected == nil || elected.Reach != Down {
			return ErrAuthority
		}
	}
	return nil
}

// guardStop lets a master of the spec go only when it came back empty and a replica
// still has the data, and a Sentinel only when a majority stays.
func guardStop(s *State, a StopRole) error {
	if r := s.Redis[a.Role.Name]; r != nil && r.Role == Master && (r.Keys > 0 || s.reborn(r) == nil) {
		return ErrAuthority
	}
	if r := s.Sentinels[a.Role.Name]; r != nil {
		up := s.countSentinels(func(x *SentinelState) bool { return x.Reach == Up && x != r })
		if up < s.Majority() {
			return ErrMajority
		}
	}
	return nil
}

func guardReplicate(s *State, a Replicate) error {
	node, master := s.Redis[a.Node], s.At(a.Master)
	switch {
	case node == nil || master == nil || master.Reach != Up || master.Role != Master || node == master:
		return ErrNoMaster
	case drops(node, master) != "" && !(node.Copied && a.Risk == ImpactDataLoss):
		return ErrData
	}
	if named, ok := s.Named(); ok && named.Addr == node.Addr && node.Role == Master {
		return ErrAuthority
	}
	return nil
}

func guardMonitor(s *State, a Monitor) error {
	if s.Sentinels[a.Sentinel] != nil && s.Sentinels[a.Sentinel].Tilt {
		return ErrTilt
	}
	if authority := s.Authority(); authority != nil && authority.Addr != a.Master {
		return ErrAuthority
	}
	if master := s.At(a.Master); master == nil || master.Reach != Up || master.Role != Master {
		return ErrNoMaster
	}
	return nil
}

// guardReset demands a whole cluster: a Sentinel that was reset knows no replica
// for some seconds, and if the master died then, nobody would be promoted.
func guardReset(s *State, a ResetSentinel) error {
	authority := s.Authority()
	if authority == nil || len(a.Replicas) == 0 && len(s.Redis) > 1 {
		return ErrNotWhole
	}
	if s.countSentinels(func(r *SentinelState) bool { return r.HasFlag("s_down") || r.HasFlag("o_down") }) > 0 {
		return ErrNotWhole
	}
	for _, r := range s.Redis {
		if r.Reach != Up || r != authority && !r.LinkUp {
			return ErrNotWhole
		}
	}
	for _, r := range s.Sentinels {
		switch {
		case r.Tilt:
			return ErrTilt
		case r.Reach != Up || r.Master != authority.Addr:
			return ErrNotWhole
		}
		replicas, peers := s.knowable(r)
		if !r.knowsAll(replicas, peers) && r.Name != a.Sentinel {
			return ErrNotWhole
		}
	}
	return nil
}
