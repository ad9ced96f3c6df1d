// Package reconcile turns what a spec declares and what was seen of a deployment
// into what to do. It decides; it does no I/O and reads no clock of its own.
//
//	spec, state ─► Diff ─► []Drift ─► NewPlan ─► Plan ─► Applier ─► Report
//
// State is what an Observer saw. Diff compares it with the spec. NewPlan unfolds
// one decision (decide, in plan.go, with all of a plan's order in one list) on a
// model of the cluster until nothing is left to do: so the plan's simulated end has
// no drift but what is held, and the preview is what would happen. Actions are
// plain values: they print, marshal, compare, and tell the exact commands that
// will be sent. Applier performs a plan step by step and looks before and after
// each; plan and apply are one path.
//
// Who is master is never declared. It is the node that a majority of Sentinels
// names at the highest epoch and that says so itself (State.Authority). Where
// there is no such node, chooseTarget asks weaker evidence, or refuses and says
// why. Guard holds every action, planned or real, against what must never happen:
// two masters, a demoted elected master, Sentinels without majority, a data set
// dropped unasked.
package reconcile
