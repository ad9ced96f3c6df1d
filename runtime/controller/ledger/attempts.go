package ledger

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"rsm/reconcile"
	"rsm/schema"
)

// Kept is how many attempts are remembered.
const Kept = 500

// The results of an attempt.
const (
	Applied = "applied" // nothing is left to do
	Held    = "held"    // nothing is left that rsm may do unasked
	Failed  = "failed"  // a step failed, or a server refuses the spec
	Stopped = "stopped" // it ended early and goes on later
	Running = "running" // it is under way
)

// Attempt is one try to make a cluster what a commit declares.
type Attempt struct {
	ID      int    `json:"id"`
	Cluster string `json:"cluster"`
	Commit  string `json:"commit,omitempty"`
	Author  string `json:"author,omitempty"`
	Subject string `json:"subject,omitempty"`
	Signer  string `json:"signer,omitempty"`
	Tree    string `json:"tree,omitempty"`
	// Digest is that of the spec's files.
	Digest string `json:"digest,omitempty"`
	// Trigger is commit, drift, rollback or retry.
	Trigger string `json:"trigger"`
	// Tries is how often it was done; healing that fails is one attempt.
	Tries   int       `json:"tries,omitempty"`
	Started time.Time `json:"started"`
	// Result is applied, held, failed, stopped or running; Error is why.
	Result   string        `json:"result"`
	Error    string        `json:"error,omitempty"`
	Duration time.Duration `json:"nanoseconds"`
	// Plan is what was about to be done, Report what was.
	Plan   *reconcile.Plan   `json:"plan,omitempty"`
	Report *reconcile.Report `json:"report,omitempty"`
}

const attempts = "attempts"

func attemptFile(id int) string { return filepath.Join(attempts, fmt.Sprintf("%06d.json", id)) }

// Add writes an attempt, gives it the next number, and forgets the oldest ones.
func (l *Ledger) Add(a *Attempt) error {
	return l.locked(func() error {
		ids, err := l.ids()
		if err != nil {
			return err
		}
		a.ID = 1
		if len(ids) > 0 {
			a.ID = ids[len(ids)-1] + 1
		}
		if err := l.store(attemptFile(a.ID), a); err != nil {
			return err
		}
		for _, old := range ids[:max(0, len(ids)+1-Kept)] {
			if err := os.Remove(l.path(attemptFile(old))); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("forget attempt %d: %w", old, err)
			}
		}
		return nil
	})
}

// Save writes an attempt that was added again.
func (l *Ledger) Save(a *Attempt) error {
	return l.locked(func() error { return l.store(attemptFile(a.ID), a) })
}

// Interrupted marks the attempts that were under way when their service was
// killed. Call it before anything is tried.
func (l *Ledger) Interrupted() error {
	recent, err := l.Attempts("", 100)
	if err != nil {
		return err
	}
	for _, a := range recent {
		if a.Result != Running {
			continue
		}
		a.Result, a.Error = Stopped, "the service was killed"
		if err := l.Save(a); err != nil {
			return err
		}
	}
	return nil
}

// Attempt returns one; fs.ErrNotExist when there is none of that number.
func (l *Ledger) Attempt(id int) (*Attempt, error) {
	a := &Attempt{}
	return a, l.load(attemptFile(id), a)
}

// Attempts returns the newest attempts first, at most limit (0 means all), of one
// cluster or of all (""). One whose file is damaged is passed over.
func (l *Ledger) Attempts(cluster string, limit int) ([]*Attempt, error) {
	ids, err := l.ids()
	if err != nil {
		return nil, err
	}
	var found []*Attempt
	for _, id := range slices.Backward(ids) {
		a, err := l.Attempt(id)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errDamaged) {
			continue // forgotten meanwhile, or lost
		}
		if err != nil {
			return nil, err
		}
		if cluster == "" || a.Cluster == cluster {
			found = append(found, a)
		}
		if limit > 0 && len(found) == limit {
			break
		}
	}
	return found, nil
}

// ids returns the numbers of the attempts, in order.
func (l *Ledger) ids() ([]int, error) {
	entries, err := os.ReadDir(l.path(attempts))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read ledger: %w", err)
	}
	var ids []int
	for _, entry := range entries {
		name, ok := strings.CutSuffix(entry.Name(), ".json")
		if id, err := strconv.Atoi(name); ok && err == nil {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, cmp.Compare)
	return ids, nil
}

// SaveSpec keeps a spec by the hash of what it was read from. It has no secrets,
// only where they are. Prune forgets it unless it is named: call it in the Update
// that does so.
func (l *Ledger) SaveSpec(tree string, spec *schema.Spec) error {
	if _, err := os.Stat(l.path(specFile(tree))); err == nil {
		return nil
	}
	return l.store(specFile(tree), spec)
}

// Spec returns one that was kept; fs.ErrNotExist when there is none.
func (l *Ledger) Spec(tree string) (*schema.Spec, error) {
	spec := &schema.Spec{}
	if err := l.load(specFile(tree), spec); err != nil {
		return nil, err
	}
	return spec, nil
}

// Prune forgets the specs that no attempt and no cluster names.
func (l *Ledger) Prune() error {
	return l.locked(func() error {
		control, err := l.Read()
		if err != nil {
			return err
		}
		tried, err := l.Attempts("", 0)
		if err != nil {
			return err
		}
		named := map[string]bool{}
		for _, a := range tried {
			named[a.Tree] = true
		}
		for _, c := range control.Clusters {
			named[c.Tree] = true
			if c.Pin != nil {
				named[c.Pin.Tree] = true
			}
		}
		entries, err := os.ReadDir(l.path("specs"))
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read ledger: %w", err)
		}
		for _, entry := range entries {
			if tree, _ := strings.CutSuffix(entry.Name(), ".json"); !named[tree] {
				err = errors.Join(err, os.Remove(l.path("specs", entry.Name())))
			}
		}
		return err
	})
}

func specFile(tree string) string { return filepath.Join("specs", filepath.Base(tree)+".json") }
