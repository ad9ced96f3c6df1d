package reconcile

import "rsm/schema"

// NewDestroy makes the plan that stops everything that rsm started for a
// cluster: the roles of rsm first, so that clients of proxies stop writing, the Sentinels, so
// that they do not fail over, then the replicas, the master last, which has all
// the data to save. Nothing on disk is removed.
func NewDestroy(c *schema.Cluster, s *State) *Plan {
	plan := &Plan{Cluster: c.Name, Epoch: s.Epoch(), Fingerprint: Fingerprint(s), Master: masterOf(s),
		Leader: leader(s), Steps: []Step{}, Held: []Held{}, Drift: []Drift{}, Destroy: true}
	stop := func(ref RoleRef) {
		plan.Steps = append(plan.Steps, Step{Phase: PhaseDestroy, Action: StopRole{Role: ref, Reason: "destroy", Risk: ImpactRestart}})
	}
	for _, name := range names(s.Roles) {
		if r := s.Roles[name]; r.Process.Running {
			stop(RoleRef{Cluster: c.Name, Name: name, Kind: r.Kind, Addr: r.Addr})
		}
	}
	for _, name := range names(s.Sentinels) {
		if s.Sentinels[name].Process.Running {
			stop(sentinelRef(c, name))
		}
	}
	for _, role := range []Role{Replica, "", Master} {
		for _, name := range names(s.Redis) {
			if r := s.Redis[name]; r.Process.Running && r.Role == role {
				stop(redisRef(c, name))
			}
		}
	}
	for _, r := range s.Surplus {
		if r.Running {
			stop(RoleRef{Cluster: c.Name, Name: r.Name, Kind: r.Kind, Addr: r.Addr})
		}
	}
	return plan
}
