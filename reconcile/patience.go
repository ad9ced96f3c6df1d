package reconcile

import "time"

// moved reports whether the master that a step relies on was lost while rsm
// waited for the step's effect. Steps that change who leads rely on nobody.
func moved(step Step, s *State) bool {
	switch step.Action.(type) {
	case WaitSync, WaitKnown, WaitGossip, Replicate, StartRole:
		return step.Master != "" && step.Master != masterOf(s)
	}
	return false
}

// progresses reports whether a long action is visibly under way: a full sync
// takes as long as the data set is large.
func progresses(action Action, s *State) bool {
	wait, ok := action.(WaitSync)
	if !ok {
		return false
	}
	r := s.Redis[wait.Node]
	return r != nil && (r.Syncing || r.Loading)
}

// patience is how long the effect of an action may take to show, from its start
// or from the last progress.
func patience(action Action) time.Duration {
	switch a := action.(type) {
	case WaitFailover:
		return a.Timeout
	case Handover:
		return a.Timeout + 15*time.Second
	case WaitSync:
		return brokenAfter
	case WaitKnown, ResetSentinel:
		return 40 * time.Second // Sentinel asks its master every ten seconds (INFO period, sentinel.c)
	case StartRole:
		return 30 * time.Second
	}
	return 10 * time.Second
}

// cleansUp tells actions that may be interrupted in the middle: they end with
// nothing half done by themselves.
func cleansUp(action Action) bool {
	_, ok := action.(Handover)
	return ok
}

// hopeful tells actions that may come to nothing without harm.
func hopeful(action Action) bool {
	switch a := action.(type) {
	case WaitGossip:
		return true
	case Snapshot:
		return a.Spare
	}
	return false
}
