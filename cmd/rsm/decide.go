package main

import (
	"fmt"
	"maps"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/urfave/cli/v2"

	"rsm/runtime/controller/ledger"
)

// What the commands share that read and change what rsm serve remembers.

// openLedger finds the ledger of the state directory.
func openLedger(c *cli.Context) (*ledger.Ledger, error) {
	dir, err := stateDir(c.String("state-dir"))
	if err != nil {
		return nil, err
	}
	return ledger.Open(ledgerDir(dir), nil), nil
}

// ledgerDir is where the ledger of a state directory is.
func ledgerDir(stateDir string) string { return filepath.Join(stateDir, "control") }

// change decides something about a cluster, and returns what is so then, in
// words, and the event of it: nil when it was so before, one without a type when
// the service will tell.
type change func(*ledger.Control, *ledger.Cluster) (said string, told *ledger.Event)

// decide writes down what a person decides about a cluster, says what is so, and
// has the service look at once.
func decide(con *console, l *ledger.Ledger, name string, change change) error {
	var said string
	var told *ledger.Event
	err := l.Update(func(control *ledger.Control) error {
		if err := known(l, control, name); err != nil {
			return err
		}
		said, told = change(control, control.Cluster(name))
		return nil
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(con.out, "%s: %s\n", name, said)
	if told == nil {
		return nil
	}
	told.Time, told.Cluster = time.Now().UTC(), name
	if told.Type != "" {
		if err := l.Tell(*told); err != nil {
			return err
		}
	}
	return nudge(con, l)
}

// known is an error that names the clusters that there are.
func known(l *ledger.Ledger, control *ledger.Control, name string) error {
	if control.Clusters[name] != nil {
		return nil
	}
	if len(control.Clusters) == 0 {
		return usage("there is no cluster %q: no rsm serve has worked with %s yet", name, l.Dir())
	}
	return usage("there is no cluster %q; known are %s", name, strings.Join(slices.Sorted(maps.Keys(control.Clusters)), ", "))
}

// nudge makes the service look at once, and says whether there is one.
func nudge(con *console, l *ledger.Ledger) error {
	service, err := l.Nudge()
	if err != nil {
		return fmt.Errorf("it is written down, but the service was not told: %w", err)
	}
	if service == nil {
		fmt.Fprintln(con.out, "No rsm serve works with this state directory now: it counts when one starts.")
		return nil
	}
	fmt.Fprintf(con.out, "The service (pid %d) was told.\n", service.PID)
	return nil
}

// oneCluster returns the only argument of a command.
func oneCluster(c *cli.Context) (string, error) {
	if c.NArg() != 1 {
		return "", usage("%s needs the name of a CLUSTER, and nothing else", c.Command.Name)
	}
	return c.Args().First(), nil
}

// whoami is who decides something: user@host.
func whoami() string {
	name := fmt.Sprint("uid ", os.Getuid())
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	return name + "@" + host
}

// short is the part of a commit that people read.
func short(commit string) string { return orDash(commit[:min(len(commit), 10)]) }

// plain makes text that somebody else wrote fit for one line of a terminal: a
// commit's subject could hold escape sequences.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.TrimSpace(text))
}

// cut is the first n runes of a text, with a sign when there are more.
func cut(text string, n int) string {
	runes := []rune(text)
	if len(runes) <= n {
		return text
	}
	return string(runes[:n-1]) + "…"
}

// local is a time for people.
func local(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format(time.DateTime)
}

// moment reads a time, or how long it is from now: ahead with sign 1, back with -1.
func moment(flag, text string, now time.Time, sign time.Duration) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(text); err == nil && d > 0 {
		return now.Add(sign * d), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, usage("--%s %q is neither a duration such as 2h nor a time such as %s", flag, text, now.Format(time.RFC3339))
	}
	return t, nil
}
