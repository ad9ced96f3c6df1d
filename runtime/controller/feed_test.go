package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"rsm/reconcile/source"
	"rsm/runtime/controller/ledger"
	"rsm/schema"
)

// remote is a repository in memory. The text of a spec is what its tree says.
type remote struct {
	commits []source.Revision // the last one is the branch's
	away    error
	bad     map[string]error // by commit
	fetches []string         // what was accepted before each fetch
}

func (r *remote) head() source.Revision { return r.commits[len(r.commits)-1] }

func (r *remote) Poll(context.Context) (string, error) {
	if r.away != nil {
		return "", r.away
	}
	return r.head().Commit, nil
}

func (r *remote) Fetch(_ context.Context, last string) (source.Revision, error) {
	r.fetches = append(r.fetches, last)
	return r.head(), r.bad[r.head().Commit]
}

func (r *remote) Revision(commit string) (source.Revision, error) {
	for _, rev := range r.commits {
		if rev.Commit == commit {
			return rev, nil
		}
	}
	return source.Revision{}, errors.New("no such commit")
}

func (r *remote) Tree(commit string) (schema.Tree, error) {
	rev, err := r.Revision(commit)
	return schema.Tree{Files: map[string][]byte{"": []byte(rev.Tree)}}, err
}

func (r *remote) push(commit, tree string) {
	r.commits = append(r.commits, source.Revision{Commit: commit, Tree: tree, Subject: "subject of " + commit, Author: "somebody"})
}

// bench is a controller over such a repository, with a clock of its own.
type bench struct {
	*Controller
	remote *remote
	now    time.Time
	events []string
	loads  int
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{remote: &remote{bad: map[string]error{}}, now: time.Unix(1e9, 0)}
	clock := func() time.Time { return b.now }
	b.Controller = New(Config{
		Name: "repo main", Source: b.remote, Now: clock, Poll: time.Second, Interval: time.Second,
		Ledger: ledger.Open(filepath.Join(t.TempDir(), "control"), clock), Log: slog.New(slog.DiscardHandler),
		Tell: func(e ledger.Event) { b.events = append(b.events, strings.TrimSpace(e.Type+" "+e.Commit)) },
		Evaluate: func(_ context.Context, tree schema.Tree) (*schema.Spec, schema.Problems) {
			b.loads++
			spec := &schema.Spec{}
			for _, name := range strings.Fields(string(tree.Files[""])) {
				if name == "invalid" {
					return nil, schema.Problems{{Severity: schema.SeverityError, Message: "bad spec"}}
				}
				spec.Clusters = append(spec.Clusters, &schema.Cluster{Name: name})
			}
			return spec, nil
		},
	})
	return b
}

// told returns the events since the last call.
func (b *bench) told() string {
	text := strings.Join(b.events, ", ")
	b.events = nil
	return text
}

func (b *bench) expect(t *testing.T, changed bool, accepted, refused, events string) {
	t.Helper()
	if got := b.feed.refresh(t.Context(), false); got != changed {
		t.Errorf("changed is %v", got)
	}
	have, _, why := b.feed.state()
	commit := ""
	if have != nil {
		commit = have.rev.Commit
	}
	if commit != accepted || !strings.Contains(why, refused) || (refused == "") != (why == "") {
		t.Errorf("accepted is %q, refused because of %q; want %q, %q", commit, why, accepted, refused)
	}
	if got := b.told(); got != events {
		t.Errorf("it tells %q, want %q", got, events)
	}
	control, err := b.Ledger.Read()
	if err != nil || control.Source.Accepted != accepted {
		t.Errorf("the ledger has %+v, %v", control.Source, err)
	}
}

func TestFeedAcceptsAndRefuses(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.remote.push("c1", "lain")
	b.expect(t, true, "c1", "", "commit.new c1")
	b.expect(t, false, "c1", "", "")
	b.remote.push("c2", "lain") // another commit, the same spec
	b.expect(t, true, "c2", "", "commit.new c2")
	if b.loads != 1 {
		t.Errorf("the same spec was evaluated %d times", b.loads)
	}
	b.remote.push("c3", "invalid")
	b.expect(t, true, "c2", "bad spec", "commit.refused c3")
	b.expect(t, false, "c2", "bad spec", "")
	b.remote.push("c4", "")
	b.expect(t, true, "c2", "it declares no cluster", "commit.refused c4")
	b.remote.push("c5", "lain other")
	b.remote.bad["c5"] = fmt.Errorf("c5: %w", source.ErrUnverified)
	b.expect(t, true, "c2", "not verified", "commit.unverified c5")
	b.remote.push("c6", "lain other")
	b.expect(t, true, "c6", "", "commit.new c6")
	if want := []string{"", "c1", "c2", "c2", "c2", "c2"}; !slices.Equal(b.remote.fetches, want) {
		t.Errorf("it fetched since %q, want %q", b.remote.fetches, want)
	}
}

func TestFeedWhileTheSourceIsAway(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.remote.push("c1", "lain")
	b.expect(t, true, "c1", "", "commit.new c1")
	b.remote.away = errors.New("no route")
	b.expect(t, false, "c1", "", "source.stale")
	b.expect(t, false, "c1", "", "")
	b.remote.away = source.ErrNoBranch
	b.expect(t, false, "c1", "", "source.stale")
	b.now = b.now.Add(time.Hour)
	if control, err := b.Ledger.Read(); err != nil || control.Source.Error == "" || b.now.Sub(control.Source.Reached) < time.Hour {
		t.Errorf("how stale it is: %+v, %v", control.Source, err)
	}
	b.remote.away = nil
	b.expect(t, false, "c1", "", "source.back")
	if control, err := b.Ledger.Read(); err != nil || control.Source.Error != "" || !control.Source.Reached.Equal(b.now) {
		t.Errorf("after it came back: %+v, %v", control.Source, err)
	}
}

// What was accepted before the service ended counts again, also while the source
// is away; what was refused can be checked again.
func TestFeedAfterRestart(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.remote.push("c1", "lain")
	b.expect(t, true, "c1", "", "commit.new c1")
	b.remote.push("c2", "lain")
	b.remote.bad["c2"] = source.ErrUnverified
	b.expect(t, true, "c1", "not verified", "commit.unverified c2")

	next := New(b.Config)
	control, err := next.Ledger.Read()
	if err != nil {
		t.Fatal(err)
	}
	b.remote.away = errors.New("no route")
	next.feed.restore(t.Context(), control.Source)
	next.feed.refresh(t.Context(), false)
	if have, _, _ := next.feed.state(); have == nil || have.rev.Commit != "c1" || have.spec.Cluster("lain") == nil {
		t.Fatalf("it restores %+v", have)
	}
	if names, err := next.wanted(); err != nil || !slices.Equal(names, []string{"lain"}) {
		t.Errorf("it works on %q, %v", names, err)
	}
	b.remote.away, b.remote.bad["c2"] = nil, nil // the key is trusted now
	b.Controller = next
	b.told()
	b.expect(t, true, "c2", "", "source.back, commit.new c2")
}

// Keys that expire are told once a day.
func TestCheckKeys(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.checkKeys()
	b.Expiring = func(_ time.Time, within time.Duration) ([]string, error) {
		return []string{"within " + within.String()}, nil
	}
	for range 3 {
		b.checkKeys()
		b.now = b.now.Add(keyTime / 2)
	}
	if got := b.told(); got != "key.expiring, key.expiring" {
		t.Errorf("it tells %q", got)
	}
	b.now, b.Expiring = b.now.Add(keyTime), func(time.Time, time.Duration) ([]string, error) { return nil, errors.New("no such file") }
	b.checkKeys()
	if got := b.told(); got != "" {
		t.Errorf("without keys it tells %q", got)
	}
}

// What a commit leads on from is known even when the cache has lost it.
func TestFeedAfterTheCacheWasLost(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.remote.push("c1", "lain")
	b.expect(t, true, "c1", "", "commit.new c1")
	next := New(b.Config)
	control, err := next.Ledger.Read()
	if err != nil {
		t.Fatal(err)
	}
	b.remote.commits = nil
	b.remote.push("c2", "lain")
	next.feed.restore(t.Context(), control.Source)
	b.remote.fetches = nil
	if !next.feed.refresh(t.Context(), false) || !slices.Equal(b.remote.fetches, []string{"c1"}) {
		t.Errorf("it fetched since %q", b.remote.fetches)
	}
}

func TestFeedChecksAgainWhenAsked(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.remote.push("c1", "lain")
	b.remote.bad["c1"] = source.ErrUnverified
	b.expect(t, true, "", "not verified", "commit.unverified c1")
	b.remote.bad["c1"] = nil
	b.expect(t, false, "", "not verified", "")
	if !b.feed.refresh(t.Context(), true) {
		t.Error("it does not look at what was refused again")
	}
	if have, _, _ := b.feed.state(); have == nil {
		t.Error("it still refuses what is verified now")
	}
}

// Without the repository and its cache the ledger says what to keep up.
func TestWantedFromTheLedger(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	err := b.Ledger.Update(func(c *ledger.Control) error {
		c.Cluster("lain").Tree, c.Cluster("never").Waiting = "t", "waits"
		return nil
	})
	if names, wrong := b.wanted(); err != nil || wrong != nil || !slices.Equal(names, []string{"lain"}) {
		t.Errorf("it works on %q, %v, %v", names, err, wrong)
	}
}

// loadsOne is an Evaluate for which every tree declares one cluster.
func loadsOne(context.Context, schema.Tree) (*schema.Spec, schema.Problems) {
	return &schema.Spec{Clusters: []*schema.Cluster{{Name: "lain"}}}, nil
}
