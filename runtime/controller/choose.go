package controller

import (
	"fmt"
	"time"

	"rsm/runtime/controller/ledger"
)

// view is all that decides which commit a cluster follows.
type view struct {
	now time.Time
	// head is the newest commit that may be applied, tree what its spec is read
	// from; empty while none is known.
	head, tree string
	// newest is the branch's commit when that is refused, for the reason given.
	newest, refused string
	control         ledger.Cluster
	// waits says which cluster must be done first, "" for none.
	waits string
	// closed says that no maintenance window is open, "" when one is.
	closed string
}

// choice is the commit that a cluster follows now.
type choice struct {
	commit, tree string // empty: nothing is known, so nothing is done
	// trigger is why something may have to be done: commit, rollback or drift.
	trigger string
	// why tells what keeps a newer commit from being applied; "" when nothing does.
	why string
	// look means that nothing is done, whatever differs.
	look bool
	// unpin means that the branch has moved on from a rollback.
	unpin bool
}

// The triggers of an attempt.
const (
	triggerCommit   = "commit"
	triggerRollback = "rollback"
	triggerDrift    = "drift"
)

// choose decides. What is in force stays so until something better is sure: a
// source that is away, a commit that is refused or that failed change nothing,
// and drift is healed meanwhile.
func choose(v view) choice {
	c := v.control
	inForce := choice{commit: c.Applied, tree: c.Tree, trigger: triggerDrift}
	because := func(format string, args ...any) choice {
		inForce.why = fmt.Sprintf(format, args...)
		return inForce
	}
	if c.Suspended.Active(v.now) {
		inForce.look = true
		return because("suspended: %s", c.Suspended.Reason)
	}
	if c.Pin != nil {
		if v.head == "" || c.Pin.Head == v.head {
			return pinned(v)
		}
		inForce.unpin = true
	}
	next := choice{commit: v.head, tree: v.tree, trigger: triggerCommit, unpin: inForce.unpin}
	switch {
	case v.head == "":
		return because("%s", v.refused)
	case v.tree == c.Tree:
		next.trigger, next.why = triggerDrift, v.refused
		return next
	case failed(c, v.head):
		return because("commit %s failed: %s", Short(v.head), c.Failed.Why)
	case v.waits != "":
		return because("%s", v.waits)
	case v.closed != "":
		return because("%s", v.closed)
	}
	next.why = v.refused
	return next
}

// pinned follows a rollback.
func pinned(v view) choice {
	c := v.control
	at := choice{commit: c.Pin.Commit, tree: c.Pin.Tree, trigger: triggerRollback, why: "rolled back to " + Short(c.Pin.Commit) + " until the branch moves on"}
	switch {
	case c.Pin.Tree == c.Tree:
		at.trigger = triggerDrift
	case failed(c, c.Pin.Commit):
		at.commit, at.tree, at.trigger = c.Applied, c.Tree, triggerDrift
		at.why = fmt.Sprintf("the rollback to %s failed: %s", Short(c.Pin.Commit), c.Failed.Why)
	}
	return at
}

func failed(c ledger.Cluster, commit string) bool {
	return c.Failed != nil && c.Failed.Commit == commit
}

// Short is the part of a commit that people read.
func Short(commit string) string { return commit[:min(len(commit), 10)] }
