// Package alert turns events into alerts by the rules of a spec, and alerts into
// notifications. It is pure: no I/O, no clock, no randomness. Whoever uses it keeps
// the states, which are plain JSON, and tells the time.
//
//	rules, err := alert.Compile(operations.Rules)
//	for _, v := range rules.Verdicts(event) {          // an event comes
//		next, changed := rules.Advance(stored[v.Fingerprint], v, event, now)
//	}
//	next, changed := rules.Due(stored, now)            // at stored.Wake
//	out := rules.Notify(group, alertsOfGroup, env)     // when one of them changed its status, and at out.Wake
//	budget, sent := budget.Pass(handler.Rate, out.Notifications, now)
//
// An event is judged by each rule of its type: a Verdict. Verdicts and time move an
// Alert:
//
//	          expr true            for is over             cleared, keepFor over
//	(nothing) ────────▶ pending ───────────────▶ firing ──────────────────────▶ resolved
//	                      │ expr false              ▲                              │
//	                      ▼                         └───── expr true again ◀───────┤
//	                  (nothing)                                                    ▼ all told
//	                                                                           (nothing)
//
// Alerts of one rule with equal values of GroupBy are a Group: it remembers what
// each receiver was told, and so decides what each is told next. A receiver that
// heard "firing" of an alert hears "resolved" of it once, whatever happened between.
//
// # Storing
//
// Alert, Group, Silence and Budget have a Version that grows by one whenever the
// state changes, starting from 0 for what is not stored. Whoever stores a state
// whose Version is v does so only when v-1 is stored (or nothing, when v is 1), in
// one step with the tasks of the notifications; when another was faster, it reads
// again and asks again. Nothing here is lost or doubled by that: what is returned
// depends on the arguments only.
//
// A nil next state with changed set means that the stored one is deleted, on the
// same condition.
//
// Time of events (TS) decides in which order they count and whether For and KeepFor
// were over between two of them; the time that is told as now decides when nothing
// comes: Alert.Wake, Outcome.Wake.
package alert
