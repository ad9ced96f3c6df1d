// Package ledger is what the service remembers: which commit each cluster
// follows and why, every attempt, and what was told.
//
// It is a directory, so that commands of the same machine read and change it
// without asking the service, also while that does not run:
//
//	control.json         what is in force, held, suspended and pinned, see Control
//	attempts/000042.json every attempt with its plan and its report
//	specs/<tree>.json    the specs that were applied, without secrets
//	events.jsonl         what happened; events.1.jsonl is the part before
//	serve.json           the service that runs, see ServeRecord
//	lock                 held while one of them is written
//
// Files are 0600 and replaced as a whole: a reader never sees half of one.
package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"rsm/internal/atomicfile"
	"rsm/internal/supervise"
	"rsm/schema"
)

// Ledger is the directory. It is safe for concurrent use, by processes too.
type Ledger struct {
	dir string
	now func() time.Time
}

// lockTime is how long a writer waits for another one.
const lockTime = 10 * time.Second

// Open returns the ledger of a directory, which is made when something is
// written. now is the clock; nil means time.Now.
func Open(dir string, now func() time.Time) *Ledger {
	if now == nil {
		now = time.Now
	}
	return &Ledger{dir: dir, now: now}
}

// Dir is where it is.
func (l *Ledger) Dir() string { return l.dir }

// Control is what a person or the service has decided.
type Control struct {
	Source   Source              `json:"source"`
	Clusters map[string]*Cluster `json:"clusters"`
}

// Source is what is known of where commits come from.
type Source struct {
	// Name is the URL and the branch, without secrets.
	Name string `json:"name,omitempty"`
	// Git is how to reach it, with references instead of secrets.
	Git *schema.GitSource `json:"git,omitempty"`
	// Head is the newest commit that was fetched, accepted or not.
	Head    string `json:"head,omitempty"`
	Subject string `json:"subject,omitempty"`
	Author  string `json:"author,omitempty"`
	// Accepted is the newest commit that may be applied: verified, valid, and a
	// descendant of the one before where that is asked for.
	Accepted string `json:"accepted,omitempty"`
	// Refused is why Head is not accepted.
	Refused string `json:"refused,omitempty"`
	// Reached is when the source answered last; Error is why it does not.
	Reached time.Time `json:"reached,omitzero"`
	Error   string    `json:"error,omitempty"`
}

// Cluster is what is known of one cluster.
type Cluster struct {
	// Applied is the commit that is in force: the last that was applied. Drift is
	// healed to its spec, which is in specs/<Tree>.json.
	Applied string    `json:"applied,omitempty"`
	Tree    string    `json:"tree,omitempty"`
	At      time.Time `json:"at,omitzero"`
	Attempt int       `json:"attempt,omitempty"`
	// Failed is the commit that was tried and failed; it is not tried again
	// before there is another one, or somebody asks for it.
	Failed *Failure `json:"failed,omitempty"`
	// Suspended is set while rsm only looks.
	Suspended *Suspension `json:"suspended,omitempty"`
	// Pin is set while another commit than the branch's is wanted.
	Pin *Pin `json:"pin,omitempty"`
	// Waiting is why the accepted commit is not applied yet.
	Waiting string `json:"waiting,omitempty"`
	// Left is when the branch was found to declare the cluster no more; zero while
	// it does.
	Left time.Time `json:"left,omitzero"`
}

// Failure is a commit that cannot be applied.
type Failure struct {
	Commit  string    `json:"commit"`
	Why     string    `json:"why"`
	At      time.Time `json:"at"`
	Attempt int       `json:"attempt,omitempty"`
}

// Suspension is a pause that a person asked for.
type Suspension struct {
	Reason string    `json:"reason"`
	By     string    `json:"by,omitempty"`
	Since  time.Time `json:"since"`
	// Until is when it ends by itself; zero means never.
	Until time.Time `json:"until,omitzero"`
}

// Active reports whether it has not ended.
func (s *Suspension) Active(now time.Time) bool {
	return s != nil && (s.Until.IsZero() || now.Before(s.Until))
}

// ParseUntil reads when a suspension ends: a duration such as 2h, a time as in
// RFC 3339, or nothing, which is never.
func ParseUntil(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(text); err == nil && d > 0 {
		return now.Add(d).UTC(), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil || !at.After(now) {
		return time.Time{}, fmt.Errorf("until %q: a duration such as 2h or a time to come such as %s is wanted", text, now.Add(time.Hour).UTC().Format(time.RFC3339))
	}
	return at.UTC(), nil
}

// Pin is a rollback: a commit that is in force until the branch moves on.
type Pin struct {
	Commit string `json:"commit"`
	Tree   string `json:"tree"`
	// Head is what the branch had when it was pinned.
	Head  string    `json:"head"`
	By    string    `json:"by,omitempty"`
	Since time.Time `json:"since"`
}

// Cluster returns what is known of a cluster, never nil.
func (c *Control) Cluster(name string) *Cluster {
	if c.Clusters == nil {
		c.Clusters = map[string]*Cluster{}
	}
	if c.Clusters[name] == nil {
		c.Clusters[name] = &Cluster{}
	}
	return c.Clusters[name]
}

// Read returns what was written last; the zero value when nothing was.
func (l *Ledger) Read() (*Control, error) {
	control := &Control{}
	err := l.load("control.json", control)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = nil
	case errors.Is(err, errDamaged):
		err = fmt.Errorf("%w; move the file away to begin anew: suspensions and rollbacks are forgotten then, and the branch's commit is applied", err)
	}
	return control, err
}

// Update changes the control while nobody else does. With an error of change
// nothing is written.
func (l *Ledger) Update(change func(*Control) error) error {
	return l.locked(func() error {
		control, err := l.Read()
		if err != nil {
			return err
		}
		if err := change(control); err != nil {
			return err
		}
		return l.store("control.json", control)
	})
}

func (l *Ledger) locked(do func() error) error {
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return fmt.Errorf("create ledger: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), lockTime)
	defer cancel()
	lock, err := supervise.Acquire(ctx, l.path("lock"), "rsm", l.now())
	if err != nil {
		return fmt.Errorf("lock ledger: %w", err)
	}
	return errors.Join(do(), lock.Release())
}

func (l *Ledger) path(names ...string) string {
	return filepath.Join(append([]string{l.dir}, names...)...)
}

// errDamaged is for a file that is no JSON.
var errDamaged = errors.New("read ledger")

func (l *Ledger) load(name string, into any) error {
	text, err := os.ReadFile(l.path(name))
	if err != nil {
		return fmt.Errorf("read ledger: %w", err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%w %s: %w", errDamaged, l.path(name), err)
	}
	return nil
}

// store replaces a file as a whole, so that it survives a crash at any moment.
func (l *Ledger) store(name string, content any) error {
	text, err := json.MarshalIndent(content, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", name, err)
	}
	target := l.path(name)
	if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
		return fmt.Errorf("create ledger: %w", err)
	}
	if err := atomicfile.Write(target, append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("write ledger: %w", err)
	}
	return nil
}
