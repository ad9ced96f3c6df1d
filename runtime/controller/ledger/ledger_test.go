package ledger

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"rsm/schema"
)

func open(t *testing.T) *Ledger {
	t.Helper()
	return Open(filepath.Join(t.TempDir(), "control"), nil)
}

func TestUpdateByMany(t *testing.T) {
	t.Parallel()
	l := open(t)
	if control, err := l.Read(); err != nil || len(control.Clusters) != 0 {
		t.Fatalf("a new ledger has %+v, %v", control, err)
	}
	var writers sync.WaitGroup
	for i := range 8 {
		writers.Go(func() {
			other := Open(l.Dir(), nil) // as another process has it
			if err := other.Update(func(c *Control) error { c.Cluster(fmt.Sprint("c", i)).Applied = "abc"; return nil }); err != nil {
				t.Error(err)
			}
		})
	}
	writers.Wait()
	if control, err := l.Read(); err != nil || len(control.Clusters) != 8 {
		t.Errorf("after 8 writers it has %+v, %v", control, err)
	}
}

func TestUpdateThatFails(t *testing.T) {
	t.Parallel()
	l, no := open(t), errors.New("no")
	if err := l.Update(func(c *Control) error { c.Source.Head = "x"; return no }); !errors.Is(err, no) {
		t.Errorf("the error is %v", err)
	}
	if control, err := l.Read(); err != nil || control.Source.Head != "" {
		t.Errorf("it was written: %+v, %v", control, err)
	}
}

func TestDamagedControl(t *testing.T) {
	t.Parallel()
	l := open(t)
	if err := l.Update(func(*Control) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(l.Dir(), "control.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Read(); err == nil || !strings.Contains(err.Error(), "control.json") || !strings.Contains(err.Error(), "move the file away") {
		t.Errorf("a damaged file is %v", err)
	}
}

func TestAttempts(t *testing.T) {
	t.Parallel()
	l := open(t)
	for i := range Kept + 3 {
		a := &Attempt{Cluster: []string{"a", "b"}[i%2], Tree: fmt.Sprint("tree", i)}
		if err := l.Add(a); err != nil || a.ID != i+1 {
			t.Fatalf("attempt %d has number %d, %v", i+1, a.ID, err)
		}
	}
	all, err := l.Attempts("", 0)
	if err != nil || len(all) != Kept || all[0].ID != Kept+3 || all[Kept-1].ID != 4 {
		t.Errorf("%d attempts, %v", len(all), err)
	}
	some, err := l.Attempts("a", 2)
	if err != nil || len(some) != 2 || some[0].ID != Kept+3 || some[1].ID != Kept+1 {
		t.Errorf("of a: %+v, %v", some, err)
	}
	if _, err := l.Attempt(1); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the oldest one: %v", err)
	}
}

func TestSpecsArePruned(t *testing.T) {
	t.Parallel()
	l := open(t)
	if err := l.Prune(); err != nil {
		t.Errorf("before there is any: %v", err)
	}
	spec := &schema.Spec{Clusters: []*schema.Cluster{{Name: "lain"}}, Digest: "d"}
	for _, tree := range []string{"applied", "pinned", "tried", "old", "../evil"} {
		if err := l.SaveSpec(tree, spec); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(filepath.Join(l.Dir(), "evil.json")); err == nil {
		t.Error("a tree leads out of the directory")
	}
	if err := l.Add(&Attempt{Tree: "tried"}); err != nil {
		t.Fatal(err)
	}
	err := l.Update(func(c *Control) error {
		c.Cluster("lain").Tree, c.Cluster("lain").Pin = "applied", &Pin{Tree: "pinned"}
		return nil
	})
	if err := errors.Join(err, l.Prune()); err != nil {
		t.Fatal(err)
	}
	for tree, kept := range map[string]bool{"applied": true, "pinned": true, "tried": true, "old": false} {
		got, err := l.Spec(tree)
		if kept && (err != nil || got.Clusters[0].Name != "lain") || !kept && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %+v, %v", tree, got, err)
		}
	}
}

func TestEventsAreBounded(t *testing.T) {
	t.Parallel()
	l := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	heard := make(chan Event, 1000)
	ended := make(chan error, 1)
	if err := l.Tell(Event{Message: "before"}); err != nil {
		t.Fatal(err)
	}
	go func() { ended <- l.Follow(ctx, func(e Event) error { heard <- e; return nil }) }()
	for len(heard) == 0 { // until it follows
		if err := l.Tell(Event{Message: "hello"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
	long := strings.Repeat("x", maxEvents/10)
	told := 0
	for range 30 { // more than two files
		told++
		if err := l.Tell(Event{Type: "drift", Attempt: told, Message: long}); err != nil {
			t.Fatal(err)
		}
		if told == 1 || told%5 == 0 { // a reader that is not slower than a file
			for e := range heard {
				if e.Message == "before" {
					t.Error("it hears of what was before")
				}
				if e.Attempt == told {
					break
				}
			}
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	count, last := 0, 0
	if err := l.Events(func(e Event) error { count++; last = e.Attempt; return nil }); err != nil {
		t.Fatal(err)
	}
	if last != told || count >= told || count < 10 {
		t.Errorf("%d events are kept, the last one is %d", count, last)
	}
}

func TestEventsAfterCrash(t *testing.T) {
	t.Parallel()
	l := open(t)
	if err := l.Tell(Event{Message: "one"}); err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(filepath.Join(l.Dir(), eventsNow), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteString(`{"message":"ha`); err != nil {
		t.Fatal(err)
	}
	_ = file.Close()
	if err := l.Tell(Event{Message: "two"}); err != nil {
		t.Fatal(err)
	}
	if err := l.Tell(Event{Message: "three"}); err != nil {
		t.Fatal(err)
	}
	var got []string
	_ = l.Events(func(e Event) error { got = append(got, e.Message); return nil })
	if strings.Join(got, " ") != "one two three" {
		t.Errorf("it reads %q", got)
	}
}

// A file that cannot be read, from a disk that was full or broken, costs its own
// attempt and no other.
func TestDamagedAttempt(t *testing.T) {
	t.Parallel()
	l := open(t)
	for range 3 {
		if err := l.Add(&Attempt{Cluster: "lain", Result: Running}); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(l.path(attemptFile(2)), []byte(`{"id": 2, "cl`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(l.Interrupted(), l.Prune()); err != nil {
		t.Error(err)
	}
	if all, err := l.Attempts("lain", 0); err != nil || len(all) != 2 || all[0].ID != 3 || all[0].Result != Stopped || all[1].ID != 1 {
		t.Errorf("%d attempts, %v", len(all), err)
	}
	if _, err := l.Attempt(2); err == nil {
		t.Error("what is damaged is read")
	}
}
