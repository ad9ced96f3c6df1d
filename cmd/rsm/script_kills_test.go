package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdKillMasters kills the master again and again while something else heals.
// Before each kill it waits until there is no drift, writes ten keys, and looks
// into the master's slow log for commands that nobody but Sentinel may send to
// an elected master. Usage: kill-masters N SPEC. The spec has the slow log keep
// every command; MONITOR would not show administrative ones.
func cmdKillMasters(ts *testscript.TestScript, neg bool, words []string) {
	args(ts, neg, len(words) == 2, "kill-masters N SPEC")
	n, err := strconv.Atoi(words[0])
	ts.Check(err)
	l := labOf(ts)
	for i := range n {
		cmdUntil(ts, false, []string{"0", "plan", "--detailed-exitcode", words[1]})
		until(ts, func() error { return l.synced(ts, defaultNodes) })
		cmdWrite(ts, false, []string{"10", fmt.Sprint("kill", i)})
		until(ts, func() error { return l.synced(ts, defaultNodes) })
		master, err := l.leader(ts)
		ts.Check(err)
		ts.Check(l.unharmed(ts, master))
		signals(9)(ts, false, []string{master})
		until(ts, func() error {
			next, err := l.leader(ts)
			if err == nil && next == master {
				err = fmt.Errorf("%s was killed and is still named", master)
			}
			return err
		})
		ts.Logf("kill %d: %s", i+1, master)
	}
	cmdUntil(ts, false, []string{"0", "plan", "--detailed-exitcode", words[1]})
	master, err := l.leader(ts)
	ts.Check(err)
	ts.Check(l.unharmed(ts, master))
	for _, node := range []string{"r1", "r2", "r3"} {
		cmdKeys(ts, false, []string{node, strconv.Itoa(10 * n)})
	}
}

// harm are commands that change who leads, or how a master works.
var harm = []string{"REPLICAOF", "SLAVEOF", "CONFIG SET", "CONFIG REWRITE", "SHUTDOWN", "FAILOVER", "FLUSHALL", "FLUSHDB", "DEBUG", "CLIENT KILL"}

// unharmed fails when the slow log of a master shows a harmful command since it
// was promoted, from anybody but Sentinel (whose connections have its name,
// sentinel.c, sentinelReconnectInstance).
func (l *lab) unharmed(ts *testscript.TestScript, master string) error {
	reply, err := l.send(ts, master, "SLOWLOG", "GET", "-1")
	if err != nil {
		return err
	}
	entries, _ := reply.([]any)
	slices.Reverse(entries) // the oldest first
	since, looked := 0, 0
	for i, entry := range entries {
		if strings.HasPrefix(strings.ToUpper(command(entry)), "SLAVEOF NO ONE") {
			since = i
		}
	}
	for _, entry := range entries[since:] {
		client, text := show(entry.([]any)[5]), command(entry)
		if strings.HasPrefix(client, "sentinel-") {
			continue
		}
		looked++
		for _, bad := range harm {
			if strings.HasPrefix(strings.ToUpper(text), bad) {
				return fmt.Errorf("%s is the elected master and got %q from %q", master, text, client)
			}
		}
	}
	if looked < 10 {
		return fmt.Errorf("the slow log of %s has %d commands only: it shows nothing", master, looked)
	}
	return nil
}

// command is the text of a slow log entry: id, time, duration, arguments,
// client address, client name (redis.io, SLOWLOG GET).
func command(entry any) string {
	return strings.ReplaceAll(show(entry.([]any)[3]), "\n", " ")
}
