package controller

import (
	"testing"
	"time"

	"rsm/runtime/controller/ledger"
)

func TestChoose(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	applied := ledger.Cluster{Applied: "a", Tree: "ta"}
	with := func(change func(*ledger.Cluster)) ledger.Cluster {
		c := applied
		change(&c)
		return c
	}
	pin := func(head string) func(*ledger.Cluster) {
		return func(c *ledger.Cluster) { c.Pin = &ledger.Pin{Commit: "old", Tree: "told", Head: head} }
	}
	stay := choice{commit: "a", tree: "ta", trigger: triggerDrift}
	reason := func(c choice, why string) choice { c.why = why; return c }
	for name, test := range map[string]struct {
		view view
		want choice
	}{
		"nothing is known":             {view{}, choice{trigger: triggerDrift}},
		"the first commit":             {view{head: "b", tree: "tb"}, choice{commit: "b", tree: "tb", trigger: triggerCommit}},
		"a new commit":                 {view{head: "b", tree: "tb", control: applied}, choice{commit: "b", tree: "tb", trigger: triggerCommit}},
		"a commit with the same spec":  {view{head: "b", tree: "ta", control: applied}, choice{commit: "b", tree: "ta", trigger: triggerDrift}},
		"the source is away":           {view{control: applied}, stay},
		"the newest is refused":        {view{head: "a", tree: "ta", newest: "b", refused: "no", control: applied}, reason(stay, "no")},
		"refused before any was known": {view{newest: "b", refused: "no", control: applied}, reason(stay, "no")},
		"refused, and one to apply": {view{head: "b", tree: "tb", newest: "c", refused: "no", control: applied},
			choice{commit: "b", tree: "tb", trigger: triggerCommit, why: "no"}},
		"it failed": {view{head: "b", tree: "tb", control: with(func(c *ledger.Cluster) { c.Failed = &ledger.Failure{Commit: "b", Why: "bang"} })},
			reason(stay, "commit b failed: bang")},
		"another one failed": {view{head: "c", tree: "tc", control: with(func(c *ledger.Cluster) { c.Failed = &ledger.Failure{Commit: "b"} })},
			choice{commit: "c", tree: "tc", trigger: triggerCommit}},
		"a dependency":                {view{head: "b", tree: "tb", control: applied, waits: "wait for x"}, reason(stay, "wait for x")},
		"the window is closed":        {view{head: "b", tree: "tb", control: applied, closed: "opens at 2"}, reason(stay, "opens at 2")},
		"drift in a closed window":    {view{head: "a", tree: "ta", control: applied, closed: "opens at 2"}, stay},
		"first commit, window closed": {view{head: "b", tree: "tb", closed: "opens at 2"}, choice{trigger: triggerDrift, why: "opens at 2"}},
		"suspended": {view{now: now, head: "b", tree: "tb", control: with(func(c *ledger.Cluster) { c.Suspended = &ledger.Suspension{Reason: "holiday"} })},
			choice{commit: "a", tree: "ta", trigger: triggerDrift, look: true, why: "suspended: holiday"}},
		"a suspension that has ended": {view{now: now, head: "b", tree: "tb", control: with(func(c *ledger.Cluster) { c.Suspended = &ledger.Suspension{Until: now} })},
			choice{commit: "b", tree: "tb", trigger: triggerCommit}},
		"rolled back": {view{head: "b", tree: "tb", control: with(pin("b"))},
			choice{commit: "old", tree: "told", trigger: triggerRollback, why: "rolled back to old until the branch moves on"}},
		"rolled back, done": {view{head: "b", tree: "tb", control: with(func(c *ledger.Cluster) { pin("b")(c); c.Tree = "told" })},
			choice{commit: "old", tree: "told", trigger: triggerDrift, why: "rolled back to old until the branch moves on"}},
		"rolled back while the source is away": {view{control: with(pin("b"))},
			choice{commit: "old", tree: "told", trigger: triggerRollback, why: "rolled back to old until the branch moves on"}},
		"a rollback that failed": {view{head: "b", tree: "tb", control: with(func(c *ledger.Cluster) { pin("b")(c); c.Failed = &ledger.Failure{Commit: "old", Why: "bang"} })},
			reason(stay, "the rollback to old failed: bang")},
		"the branch moved on": {view{head: "c", tree: "tc", control: with(pin("b"))},
			choice{commit: "c", tree: "tc", trigger: triggerCommit, unpin: true}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := choose(test.view); got != test.want {
				t.Errorf("it chooses %+v, want %+v", got, test.want)
			}
		})
	}
}
