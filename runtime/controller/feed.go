package controller

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"rsm/reconcile/source"
	"rsm/runtime/controller/ledger"
	"rsm/schema"
)

// Source is where commits come from.
type Source interface {
	// Poll asks for the newest commit, cheaply.
	Poll(ctx context.Context) (commit string, err error)
	// Fetch brings it here and checks it; last is the one that was accepted last.
	// With an error about the commit itself it returns the revision, too.
	Fetch(ctx context.Context, last string) (source.Revision, error)
	// Revision and Tree read what was fetched.
	Revision(commit string) (source.Revision, error)
	Tree(commit string) (schema.Tree, error)
}

// candidate is a commit with its spec.
type candidate struct {
	rev  source.Revision
	spec *schema.Spec
}

// feed knows which commit may be applied.
type feed struct {
	*Controller

	mu sync.Mutex
	// accepted is the newest that may be, nil while none is known.
	accepted *candidate
	// last is the commit that was accepted last, even if it can be read no more.
	last string
	// newest is the branch's commit, refused why it is not the accepted one.
	newest, refused string
	judged          time.Time // when it was refused last
	looked          time.Time // when the source was asked last
	told            time.Time // when the ledger heard last that it answers

	gone error // why the source is away, of those that are told apart
}

// ledgerTime is how often the ledger hears that nothing is new.
const ledgerTime = time.Minute

// judgeTime is how often a commit that is refused is checked again: the reason may
// have been a full machine, or a file of keys.
const judgeTime = 5 * time.Minute

// restore takes up what was accepted before the service ended.
func (f *feed) restore(ctx context.Context, known ledger.Source) {
	if known.Accepted == "" || known.Name != f.Name {
		return
	}
	f.last = known.Accepted
	rev, err := f.Source.Revision(known.Accepted)
	if err != nil {
		f.Log.Warn("restore the last accepted commit", "commit", known.Accepted, "error", err)
		return
	}
	spec, why := f.evaluate(ctx, rev)
	if why != "" {
		f.Log.Warn("restore the last accepted commit", "commit", known.Accepted, "error", why)
		return
	}
	f.accepted, f.newest = &candidate{rev, spec}, rev.Commit
}

// refresh asks the source, and fetches and checks what is new there. again has it
// check a commit that was refused once more. It reports whether anything changed
// for the clusters.
func (f *feed) refresh(ctx context.Context, again bool) bool {
	commit, err := f.Source.Poll(ctx)
	if ctx.Err() != nil {
		return false
	}
	f.mu.Lock()
	f.looked = f.Now()
	known := commit == f.newest && (f.refused == "" || !again && f.Now().Sub(f.judged) < judgeTime)
	last := f.last
	f.mu.Unlock()
	switch {
	case err != nil:
		f.away(err)
		return false
	case known:
		f.reached(nil)
		return false
	}
	rev, err := f.Source.Fetch(ctx, last)
	if rev.Commit == "" {
		if ctx.Err() == nil {
			f.away(err)
		}
		return false
	}
	if err != nil {
		return f.refuse(rev, err.Error(), refusal(err))
	}
	return f.accept(ctx, rev)
}

// refusal is the type of event for what is wrong with a commit.
func refusal(err error) string {
	if errors.Is(err, source.ErrUnverified) {
		return "commit.unverified"
	}
	return "commit.refused"
}

// accept takes a commit whose spec is valid.
func (f *feed) accept(ctx context.Context, rev source.Revision) bool {
	f.mu.Lock()
	before := f.accepted
	f.mu.Unlock()
	next := &candidate{rev: rev}
	if before != nil && before.rev.Tree == rev.Tree {
		next.spec = before.spec
	} else {
		spec, why := f.evaluate(ctx, rev)
		if ctx.Err() != nil {
			return false
		}
		if why != "" {
			return f.refuse(rev, why, "commit.refused")
		}
		next.spec = spec
	}
	f.mu.Lock()
	f.accepted, f.last, f.newest, f.refused = next, rev.Commit, rev.Commit, ""
	f.mu.Unlock()
	f.reached(func(s *ledger.Source) {
		s.Head, s.Subject, s.Author, s.Accepted, s.Refused = rev.Commit, rev.Subject, rev.Author, rev.Commit, ""
	})
	f.tell(ledger.Event{Type: "commit.new", Commit: rev.Commit, Message: fmt.Sprintf("%s by %s", rev.Subject, rev.Author)})
	return true
}

// refuse leaves in force what is in force.
func (f *feed) refuse(rev source.Revision, why, event string) bool {
	why = fmt.Sprintf("commit %s is not applied: %s", Short(rev.Commit), why)
	f.mu.Lock()
	again := f.newest == rev.Commit && f.refused == why
	f.newest, f.refused, f.judged = rev.Commit, why, f.Now()
	f.mu.Unlock()
	told := false // before the service started last, maybe
	f.reached(func(s *ledger.Source) {
		told = s.Head == rev.Commit && s.Refused == why
		s.Head, s.Subject, s.Author, s.Refused = rev.Commit, rev.Subject, rev.Author, why
	})
	if !told {
		f.tell(ledger.Event{Level: "error", Type: event, Commit: rev.Commit, Message: why})
	}
	return !again
}

// evaluate returns the spec of a commit, or why there is none.
func (f *feed) evaluate(ctx context.Context, rev source.Revision) (*schema.Spec, string) {
	tree, err := f.Source.Tree(rev.Commit)
	if err != nil {
		return nil, err.Error()
	}
	spec, problems := f.Evaluate(ctx, tree)
	if err := problems.Err(); err != nil {
		return nil, err.Error()
	}
	if len(spec.Clusters) == 0 {
		return nil, "it declares no cluster; if that is meant, run rsm destroy"
	}
	return spec, ""
}

// away is for a source that cannot be read. What is in force stays so.
func (f *feed) away(err error) {
	var e ledger.Event
	kind := absence(err)
	told := f.gone == nil || f.gone == kind
	f.gone = kind
	f.record(func(s *ledger.Source) bool {
		told = told && s.Error != "" // before the service started last, maybe
		if s.Error == err.Error() {
			return false
		}
		since := "never reached before"
		if !s.Reached.IsZero() {
			since = "reached last at " + s.Reached.UTC().Format(time.RFC3339)
		}
		s.Error = err.Error()
		e = ledger.Event{Level: "warning", Type: "source.stale", Message: fmt.Sprintf("%v (%s); what was applied last stays in force", err, since)}
		return true
	})
	if e.Type != "" && !told {
		f.tell(e)
	}
}

// absence is what is told apart about a source that is away. The rest comes in
// turns, with ports and addresses that are others each time.
func absence(err error) error {
	for _, kind := range []error{source.ErrNoBranch, source.ErrNotFound, source.ErrAuth} {
		if errors.Is(err, kind) {
			return kind
		}
	}
	return errUnreachable
}

var errUnreachable = errors.New("unreachable")

// reached is for a source that answered; change is what that brought, or nil.
func (f *feed) reached(change func(*ledger.Source)) {
	back := false
	f.gone = nil
	f.record(func(s *ledger.Source) bool {
		back = s.Error != ""
		if change == nil && !back && f.Now().Sub(f.told) < ledgerTime {
			return false
		}
		f.told = f.Now()
		s.Name, s.Git, s.Reached, s.Error = f.Name, f.Git, f.told, ""
		if change != nil {
			change(s)
		}
		return true
	})
	if back {
		f.tell(ledger.Event{Type: "source.back", Message: "the source answers again"})
	}
}

// record changes the source in the ledger, if change says so.
func (f *feed) record(change func(*ledger.Source) bool) {
	same := errors.New("nothing to write")
	err := f.Ledger.Update(func(c *ledger.Control) error {
		if !change(&c.Source) {
			return same
		}
		return nil
	})
	if err != nil && !errors.Is(err, same) {
		f.Log.Error("write ledger", "error", err)
	}
}

// state returns what clusters have to know.
func (f *feed) state() (accepted *candidate, newest, refused string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.accepted, f.newest, f.refused
}
