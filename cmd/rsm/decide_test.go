package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"rsm/reconcile"
	"rsm/runtime/controller/ledger"
	"rsm/schema"
)

// The commits of the prepared ledger, in the order of the branch.
const (
	commitA = "aaaaaaaaaa000000000000000000000000000001"
	commitB = "bbbbbbbbbb000000000000000000000000000002"
	commitC = "cccccccccc000000000000000000000000000003"
	commitD = "dddddddddd000000000000000000000000000004"
)

// prepared is a ledger in which lain had A, then B, could not have C, and D is
// refused; mei waits.
func prepared(t *testing.T) (state string, l *ledger.Ledger) {
	t.Helper()
	state = t.TempDir()
	l = ledger.Open(ledgerDir(state), nil)
	step := reconcile.Step{Phase: reconcile.PhaseConfig, Action: reconcile.ConfigSet{Node: "r1", Addr: "127.0.0.1:1", Key: "maxmemory", Value: "1gb"}}
	wait := reconcile.Step{Phase: reconcile.PhaseSync, Action: reconcile.WaitSync{Node: "r2"}}
	plan := &reconcile.Plan{Cluster: "lain", Leader: "master r1 127.0.0.1:1, epoch 3", Steps: []reconcile.Step{step, wait}}
	results := func(first, second string) *reconcile.Report {
		return &reconcile.Report{Cluster: "lain", Steps: []reconcile.Result{{Step: step, Status: first, Error: "no such key", Duration: time.Millisecond}, {Step: wait, Status: second}}}
	}
	at := time.Now().Add(-time.Hour)
	for _, a := range []*ledger.Attempt{
		{Commit: commitA, Tree: "ta", Result: ledger.Applied, Report: results("done", "skipped"), Subject: "first \x1b[31mred", Author: "Mika <mika@example.org>"},
		{Commit: commitB, Tree: "tb", Result: ledger.Applied, Report: results("done", "done"), Subject: "second"},
		{Commit: commitC, Tree: "tc", Result: ledger.Failed, Error: "no such key", Report: results("failed", "not started"), Subject: "third"},
	} {
		a.Cluster, a.Trigger, a.Started, a.Duration, a.Plan = "lain", "commit", at, 1200*time.Millisecond, plan
		check(t, l.Add(a))
	}
	for _, tree := range []string{"ta", "tb"} {
		check(t, l.SaveSpec(tree, &schema.Spec{Clusters: []*schema.Cluster{{Name: "lain"}}}))
	}
	check(t, l.Update(func(c *ledger.Control) error {
		c.Source = ledger.Source{Head: commitD, Accepted: commitC, Refused: "it is invalid"}
		lain := c.Cluster("lain")
		lain.Applied, lain.Tree, lain.Attempt = commitB, "tb", 2
		lain.Failed = &ledger.Failure{Commit: commitC, Why: "no such key", At: at}
		c.Cluster("mei").Waiting = "waits for cluster lain"
		return nil
	}))
	check(t, l.Tell(ledger.Event{Time: at, Level: "error", Type: "apply.failed", Cluster: "lain", Commit: commitC, Attempt: 3, Message: "no such key"}))
	check(t, l.Tell(ledger.Event{Time: at.Add(time.Minute), Level: "info", Type: "source.back", Message: "it answers"}))
	return state, l
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// oneRun guards the help flag, of which cli has one for all apps.
var oneRun sync.Mutex

// rsm runs a command in this process, without a terminal.
func rsm(state, line string) (code int, out string) {
	args := strings.Split("rsm "+line, " ")
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "_", " ")
	}
	var text bytes.Buffer
	args = append(args, "--state-dir", state)
	oneRun.Lock()
	defer oneRun.Unlock()
	return run(args, strings.NewReader(""), &text, &text), text.String()
}

func TestDecisions(t *testing.T) {
	t.Parallel()
	const nobody = "No rsm serve works"
	for _, tt := range []struct {
		name  string
		lines []string // the last one is looked at
		code  int
		want  string // a pattern of what it prints
		so    func(*ledger.Cluster) bool
		told  string // the types of the events
	}{
		{"suspend", []string{"suspend lain --reason new_disks"}, 0, `^lain: suspended by \S+@\S+ since .*: new disks\n` + nobody,
			func(c *ledger.Cluster) bool {
				return c.Suspended.Active(time.Now().Add(1000*time.Hour)) && c.Suspended.Reason == "new disks"
			}, "suspended"},
		{"suspend again", []string{"suspend lain --reason disks", "suspend lain --reason disks"}, 0, `^lain: suspended .*, as before\n$`, nil, "suspended"},
		{"suspend for another reason", []string{"suspend lain --reason disks", "suspend lain --reason fans --until 2h"}, 0, `suspended until .*: fans\n`,
			func(c *ledger.Cluster) bool {
				return c.Suspended.Active(time.Now().Add(119*time.Minute)) && !c.Suspended.Active(time.Now().Add(121*time.Minute))
			}, "suspended suspended"},
		{"suspend until a time", []string{"suspend lain --reason x --until 2999-01-02T03:04:05Z"}, 0, `until 2999`, nil, "suspended"},
		{"suspend without reason", []string{"suspend lain"}, 64, `needs a --reason`, nil, ""},
		{"suspend with a blank reason", []string{"suspend lain --reason _"}, 64, `needs a --reason`, nil, ""},
		{"suspend until yesterday", []string{"suspend lain --reason x --until 2001-01-02T03:04:05Z"}, 64, `has passed`, nil, ""},
		{"suspend until nonsense", []string{"suspend lain --reason x --until soon"}, 64, `neither a duration .* nor a time`, nil, ""},
		{"suspend a stranger", []string{"suspend other --reason x"}, 64, `there is no cluster "other"; known are lain, mei`, nil, ""},
		{"suspend nobody", []string{"suspend --reason x"}, 64, `needs the name of a CLUSTER`, nil, ""},
		{"resume", []string{"suspend lain --reason x", "resume lain"}, 0, `^lain: no longer suspended .*: x\n`,
			func(c *ledger.Cluster) bool { return c.Suspended == nil }, "suspended resumed"},
		{"resume what goes on", []string{"resume lain"}, 0, `^lain: not suspended\n$`, nil, ""},
		{"resume a stranger", []string{"resume other"}, 64, `known are lain, mei`, nil, ""},
		{"retry", []string{"retry lain"}, 0, `^lain: commit cccccccccc is tried again; it failed .*no such key\n` + nobody,
			func(c *ledger.Cluster) bool { return c.Failed == nil }, ""},
		{"retry nothing", []string{"retry mei"}, 0, `^mei: nothing has failed\n$`, nil, ""},
		{"rollback", []string{"rollback 1 --auto-approve"}, 0,
			`(?s)back to commit aaaaaaaaaa  first.*by Mika, .*\(attempt 1\).*in force now: commit bbbbbbbbbb.*until the branch moves on from cccccccccc.*git revert --no-edit aaaaaaaaaa\.\.dddddddddd`,
			func(c *ledger.Cluster) bool {
				return c.Pin.Commit == commitA && c.Pin.Tree == "ta" && c.Pin.Head == commitC && c.Pin.By == whoami()
			}, "pinned"},
		{"rollback again", []string{"rollback 1 --auto-approve", "rollback 1"}, 0, `^lain: pinned to commit aaaaaaaaaa by .*, as before\n$`, nil, "pinned"},
		{"rollback further", []string{"rollback 2 --auto-approve", "rollback 1 --auto-approve"}, 0, `pinned to commit aaaaaaaaaa`,
			func(c *ledger.Cluster) bool { return c.Pin.Commit == commitA }, "pinned pinned"},
		{"rollback while suspended", []string{"suspend lain --reason x", "rollback 1 --auto-approve"}, 0, `nothing is done yet: it is suspended`, nil, "suspended pinned"},
		{"rollback unasked", []string{"rollback 1"}, 4, `nobody can be asked: use --auto-approve`, func(c *ledger.Cluster) bool { return c.Pin == nil }, ""},
		{"rollback to a failure", []string{"rollback 3 --auto-approve"}, 4, `attempt 3 is failed: its commit was never in force`, nil, ""},
		{"rollback to no attempt", []string{"rollback 9 --auto-approve"}, 64, `there is no attempt 9`, nil, ""},
		{"rollback to no number", []string{"rollback lain"}, 64, `needs the number N`, nil, ""},
		{"rollback of a cluster that it had not", []string{"rollback 1 --cluster mei --auto-approve"}, 4, `declares no cluster mei`, nil, ""},
		{"rollback of a stranger", []string{"rollback 1 --cluster other --auto-approve"}, 64, `known are lain, mei`, nil, ""},
		{"rollback --off", []string{"rollback 1 --auto-approve", "rollback --off lain"}, 0, `no longer pinned to commit aaaaaaaaaa; it follows the branch, which has cccccccccc`,
			func(c *ledger.Cluster) bool { return c.Pin == nil }, "pinned unpinned"},
		{"rollback --off of nothing", []string{"rollback --off lain"}, 0, `^lain: not pinned\n$`, nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			state, l := prepared(t)
			for _, line := range tt.lines[:len(tt.lines)-1] {
				if code, out := rsm(state, line); code != 0 {
					t.Fatalf("%s: exit %d\n%s", line, code, out)
				}
			}
			code, out := rsm(state, tt.lines[len(tt.lines)-1])
			if code != tt.code || !regexp.MustCompile(tt.want).MatchString(out) {
				t.Errorf("exit %d, want %d and %q:\n%s", code, tt.code, tt.want, out)
			}
			control, err := l.Read()
			check(t, err)
			if tt.so != nil && !tt.so(control.Clusters["lain"]) {
				t.Errorf("lain is %+v", control.Clusters["lain"])
			}
			var told []string
			check(t, l.Events(func(e ledger.Event) error {
				if e.Type != "apply.failed" && e.Type != "source.back" {
					told = append(told, e.Type)
				}
				return nil
			}))
			if strings.Join(told, " ") != tt.told {
				t.Errorf("it told %v, want %q", told, tt.told)
			}
		})
	}
}

// A commit that failed later is tried again when somebody goes back to it.
func TestRollbackForgetsFailure(t *testing.T) {
	t.Parallel()
	state, l := prepared(t)
	check(t, l.Update(func(c *ledger.Control) error { c.Cluster("lain").Failed.Commit = commitA; return nil }))
	if code, out := rsm(state, "rollback 1 --auto-approve"); code != 0 {
		t.Fatal(out)
	}
	if control, err := l.Read(); err != nil || control.Clusters["lain"].Failed != nil {
		t.Errorf("%+v, %v", control, err)
	}
}

func TestRollbackNeedsTheSpec(t *testing.T) {
	t.Parallel()
	state, l := prepared(t)
	check(t, os.Remove(filepath.Join(l.Dir(), "specs", "ta.json")))
	if code, out := rsm(state, "rollback 1 --auto-approve"); code != 4 || !strings.Contains(out, "the spec of attempt 1 is kept no more") {
		t.Errorf("exit %d: %s", code, out)
	}
	check(t, l.Update(func(c *ledger.Control) error { c.Source.Accepted = commitB; return nil }))
	if code, out := rsm(state, "rollback 2 --auto-approve"); code != 4 || !strings.Contains(out, "nothing to go back from") {
		t.Errorf("exit %d: %s", code, out)
	}
}

func TestEmptyLedger(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]int{"history": 0, "events": 0, "history lain": 64, "show 1": 64, "suspend lain --reason x": 64, "resume lain": 64, "retry lain": 64, "rollback 1": 64, "rollback --off lain": 64} {
		state := t.TempDir()
		if code, out := rsm(state, line); code != want || want != 0 && !strings.Contains(out, ledgerDir(state)) {
			t.Errorf("%s: exit %d, want %d: %s", line, code, want, out)
		}
	}
}

// It must not be parallel: it hears every SIGHUP of the process.
func TestServiceIsTold(t *testing.T) {
	state, l := prepared(t)
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	check(t, l.Serving(ledger.ServeRecord{}))
	if code, out := rsm(state, "suspend lain --reason x"); code != 0 || !regexp.MustCompile(`The service \(pid \d+\) was told`).MatchString(out) {
		t.Fatalf("exit %d: %s", code, out)
	}
	select {
	case <-hangups:
	case <-time.After(10 * time.Second):
		t.Fatal("no SIGHUP came")
	}
}

func TestHistory(t *testing.T) {
	t.Parallel()
	state, _ := prepared(t)
	_, out := rsm(state, "history lain")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	for i, want := range []string{`^N +WHEN`, `^3 .* lain +cccccccccc +third +- +commit +failed +0/2 +1.2s`, `^2 `, `^1 .* aaaaaaaaaa +first +\[31mred +Mika +commit +applied +2/2`} {
		if i >= len(lines) || !regexp.MustCompile(want).MatchString(lines[i]) {
			t.Fatalf("line %d is not %q in\n%q", i, want, out)
		}
	}
	if strings.Contains(out, "\x1b") {
		t.Error("a subject reaches the terminal as it is")
	}
	if _, out := rsm(state, "history --limit 1"); strings.Count(out, "\n") != 2 {
		t.Errorf("with a limit: %s", out)
	}
	if code, out := rsm(state, "history mei"); code != 0 || !strings.Contains(out, "Nothing has been tried yet") {
		t.Errorf("of mei: %d, %s", code, out)
	}
	if code, _ := rsm(state, "history --limit -1"); code != 64 {
		t.Errorf("of less than none: exit %d", code)
	}
	_, out = rsm(state, "history --json")
	var doc struct {
		Attempts []struct {
			Plan  any
			Done  int `json:"steps_done"`
			Total int `json:"steps_total"`
		}
	}
	if err := json.Unmarshal([]byte(out), &doc); err != nil || len(doc.Attempts) != 3 || doc.Attempts[2].Done != 2 || doc.Attempts[2].Total != 2 || doc.Attempts[0].Plan != nil {
		t.Errorf("%+v, %v: %s", doc, err, out)
	}
}

func TestShow(t *testing.T) {
	t.Parallel()
	state, _ := prepared(t)
	_, out := rsm(state, "show 3")
	for _, want := range []string{"attempt 3  failed", "commit " + commitC + "  third", "failed: no such key", "cluster lain  master r1", "  config:", "[1/2] ~ r1: ", "failed: no such key", "[2/2] . r2: ", "(not started)"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	if strings.Contains(out, "CONFIG SET") {
		t.Error("commands are only for -v")
	}
	if _, out := rsm(state, "show 3 -v"); !strings.Contains(out, "CONFIG SET maxmemory") {
		t.Errorf("with -v:\n%s", out)
	}
	var doc struct{ Attempt ledger.Attempt }
	_, out = rsm(state, "show 1 --json")
	if err := json.Unmarshal([]byte(out), &doc); err != nil || doc.Attempt.Commit != commitA || len(doc.Attempt.Plan.Steps) != 2 {
		t.Errorf("%v: %s", err, out)
	}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	state, _ := prepared(t)
	for line, want := range map[string]string{
		"events":                      `^{"ts":.*"apply.failed".*}\n{.*"source.back".*}\n$`,
		"events lain":                 `^{.*"apply.failed".*}\n$`,
		"events --type source.*":      `^{.*"source.back".*}\n$`,
		"events --type a,source.back": `^{.*"source.back".*}\n$`,
		"events --since 1h":           `^{.*"source.back".*}\n$`,
		"events --since 1m":           `^$`,
		"events --format text":        `^\d{4}-.*  apply.failed +lain  cccccccccc  attempt 3  no such key\n.*  source.back +-  it answers\n$`,
		"events --format xml":         `--format is json or text`,
		"events --type [":             `is no pattern`,
		"events --since yesterday":    `neither a duration`,
	} {
		if _, out := rsm(state, line); !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("%s is not %q:\n%s", line, want, out)
		}
	}
}
