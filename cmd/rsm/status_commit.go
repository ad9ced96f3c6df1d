package main

import (
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"rsm/reconcile"
	"rsm/runtime/controller/ledger"
	"rsm/schema"
)

// commitStatus is what rsm serve has to do with a cluster.
type commitStatus struct {
	// Applied is the commit that is in force, since At, by Attempt.
	Applied string    `json:"applied,omitempty"`
	At      time.Time `json:"at,omitzero"`
	Attempt int       `json:"attempt,omitempty"`
	// Newest is the branch's commit; Why tells why it is not in force.
	Newest    string             `json:"newest,omitempty"`
	Why       string             `json:"why,omitempty"`
	Failed    *ledger.Failure    `json:"failed,omitempty"`
	Suspended *ledger.Suspension `json:"suspended,omitempty"`
	Pin       *ledger.Pin        `json:"pin,omitempty"`
	// Source names the repository; Reached is when it answered last, and Error why
	// it does not answer now.
	Source  string    `json:"source,omitempty"`
	Reached time.Time `json:"reached,omitzero"`
	Error   string    `json:"error,omitempty"`
}

// newCommitStatus returns nil for a cluster that no service works with.
func newCommitStatus(control *ledger.Control, cluster string, now time.Time) *commitStatus {
	known := control.Clusters[cluster]
	if known == nil {
		return nil
	}
	s := &commitStatus{Applied: known.Applied, At: known.At, Attempt: known.Attempt, Newest: control.Source.Head, Why: known.Waiting,
		Failed: known.Failed, Pin: known.Pin, Source: control.Source.Name, Reached: control.Source.Reached, Error: control.Source.Error}
	if known.Suspended.Active(now) {
		s.Suspended = known.Suspended
	}
	if s.Why == "" && s.Newest != s.Applied {
		s.Why = control.Source.Refused
	}
	return s
}

func writeCommit(w io.Writer, paint func(reconcile.Style, string) string, s *commitStatus, now time.Time) {
	if s == nil {
		return
	}
	fmt.Fprintf(w, "  commit %s of %s", short(s.Applied), orDash(plain(s.Source)))
	if !s.At.IsZero() {
		fmt.Fprintf(w, ", applied %s", ago(s.At, now))
	}
	if s.Attempt != 0 {
		fmt.Fprintf(w, " (attempt %d)", s.Attempt)
	}
	fmt.Fprintln(w)
	if s.Newest != "" && s.Newest != s.Applied && s.Why != "" {
		fmt.Fprintf(w, "  %s newest commit %s: %s\n", paint(reconcile.StyleHeld, "!"), short(s.Newest), plain(s.Why))
	} else if s.Why != "" {
		fmt.Fprintf(w, "  %s %s\n", paint(reconcile.StyleHeld, "!"), plain(s.Why))
	}
	if s.Error != "" {
		since := "never"
		if !s.Reached.IsZero() {
			since = ago(s.Reached, now)
		}
		fmt.Fprintf(w, "  %s the source does not answer, the last time was %s: %s\n", paint(reconcile.StyleHeld, "!"), since, plain(s.Error))
	}
}

// ago tells a time from now in one unit.
func ago(at, now time.Time) string {
	switch d := now.Sub(at); {
	case d < time.Minute:
		return fmt.Sprintf("%d s ago", max(0, int(d.Seconds())))
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h ago", int(d.Hours()))
	}
	return at.Local().Format(time.DateOnly)
}

// inForce reports whether rsm status is to show what rsm serve keeps up: no PATH
// was given, and the current directory has no spec.
func inForce(args int, control *ledger.Control) bool {
	here, _ := filepath.Glob("*.cue")
	return args == 0 && len(here) == 0 && len(control.Clusters) > 0
}

// tellPending names the clusters that have no commit in force yet.
func tellPending(w io.Writer, control *ledger.Control) {
	for _, name := range slices.Sorted(maps.Keys(control.Clusters)) {
		known := control.Cluster(name)
		why := known.Waiting
		switch {
		case known.Tree != "":
			continue
		case known.Failed != nil:
			why = "commit " + short(known.Failed.Commit) + " failed: " + known.Failed.Why
		case why == "":
			why = "rsm history tells what was tried"
		}
		fmt.Fprintf(w, "%s: no commit is in force yet: %s\n", name, plain(why))
	}
}

// specInForce gathers the clusters, each as the commit declares it that is in
// force for it.
func specInForce(book *ledger.Ledger, control *ledger.Control) (*schema.Spec, error) {
	spec := &schema.Spec{Positions: map[string]string{}}
	for name, known := range control.Clusters {
		if known.Tree == "" {
			continue
		}
		of, err := book.Spec(known.Tree)
		if err != nil {
			return nil, fmt.Errorf("read the spec in force of %s: %w", name, err)
		}
		if c := of.Cluster(name); c != nil {
			spec.Clusters = append(spec.Clusters, c)
		}
	}
	return spec, nil
}
