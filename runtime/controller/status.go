package controller

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"rsm/reconcile"
)

// ClusterStatus is what the controller knows of one cluster.
type ClusterStatus struct {
	Name string `json:"name"`
	// Health is in sync, drifted, held, no master, invalid or unknown.
	Health string `json:"health"`
	Leader string `json:"leader,omitempty"`
	// Commit is the one that is followed; Why tells why it is not the newest.
	Commit string `json:"commit,omitempty"`
	Why    string `json:"why,omitempty"`
	// Looks is set while nothing is done, whatever differs.
	Looks bool `json:"looks,omitempty"`
	// Leased is set while this service may touch the cluster.
	Leased bool `json:"leased"`
	// Doing is the step under way.
	Doing string          `json:"doing,omitempty"`
	Error string          `json:"error,omitempty"`
	Seen  time.Time       `json:"seen,omitzero"`
	Plan  *reconcile.Plan `json:"plan,omitempty"`
}

// Status returns all clusters, by name.
func (c *Controller) Status() []ClusterStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []ClusterStatus
	for _, w := range c.workers {
		w.mu.Lock()
		all = append(all, w.status)
		w.mu.Unlock()
	}
	slices.SortFunc(all, func(a, b ClusterStatus) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

func (w *worker) set(change func(*ClusterStatus)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(&w.status)
}

// progress follows an apply.
func (w *worker) progress(e reconcile.Event) {
	if e.Step.Action == nil {
		return
	}
	text := fmt.Sprintf("[%d/%d] %s: %s", e.Index, e.Total, e.Step.Action.Subject(), e.Step.Action)
	switch e.Type {
	case "start", "waiting":
		w.set(func(s *ClusterStatus) { s.Doing = text })
	case "done", "skipped":
		w.Log.Info(text, "cluster", w.name, "step", e.Type, "took", e.Elapsed)
	case "failed":
		w.Log.Error(text, "cluster", w.name, "step", e.Type, "error", e.Err)
	}
}

// healths are the words for it.
var healths = []string{"in sync", "drifted", "held", "no master", "invalid", "unknown"}

// health is one word for what a plan says.
func health(plan *reconcile.Plan) string {
	switch {
	case len(plan.Invalid) > 0:
		return "invalid"
	case plan.Master == "":
		return "no master"
	case len(plan.Steps) > 0:
		return "drifted"
	case len(plan.Held) > 0:
		return "held"
	}
	return "in sync"
}

// remainder is a plan in one line.
func remainder(plan *reconcile.Plan) string {
	text := ""
	add := func(format string, args ...any) {
		if text != "" {
			text += "; "
		}
		text += fmt.Sprintf(format, args...)
	}
	said := map[string]bool{} // the nodes of a cluster mostly share what is wrong
	for _, bad := range plan.Invalid {
		if !said[bad.Message] {
			add("%s: %s", bad.Path, bad.Message)
		}
		said[bad.Message] = true
	}
	for _, h := range plan.Held {
		add("held %s: %s", h.Subject, h.Reason)
	}
	if len(plan.Steps) > 0 {
		add("%s to do", steps(len(plan.Steps)))
	}
	return text
}

func steps(n int) string {
	if n == 1 {
		return "1 step"
	}
	return fmt.Sprintf("%d steps", n)
}
