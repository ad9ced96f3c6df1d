package handler

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"rsm/internal/redistest"
	"rsm/schema"
)

func runExec(t *testing.T, ctx context.Context, spool string, argv ...string) (Outcome, *Failure) {
	t.Helper()
	env := Env{Spool: spool, Secret: func(schema.Secret) (string, error) { return "s3cret", nil }}
	x := &schema.Exec{Argv: argv, Env: map[string]string{"COLOUR": "red"}, Secrets: map[string]schema.Secret{"TOKEN": {Env: "x"}}}
	out, err := Run(ctx, schema.Handler{Name: "script", Exec: x}, eventTask(`{"a":1}`), env)
	var f *Failure
	if err != nil && !errors.As(err, &f) {
		t.Fatalf("%v is no Failure", err)
	}
	return out, f
}

func TestExecGetsTheTask(t *testing.T) {
	t.Parallel()
	spool := t.TempDir()
	out, f := runExec(t, t.Context(), spool, "sh", "-c", `cat; pwd; env | cut -d= -f1 | sort | tr '\n' ' '; echo $COLOUR $TOKEN $RSM_TASK "$1"`, "sh", "$(id); x")
	if f != nil {
		t.Fatal(f)
	}
	said := out.Delivery.Response
	for _, want := range []string{string(eventTask(`{"a":1}`).Payload), spool, "red <secret> 01J9Z0:mail $(id); x"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q lacks %q", said, want)
		}
	}
	for _, name := range strings.Fields("GOPATH GOCACHE RSM_TEST_REPORT PPID_ USER LOGNAME SHELL") {
		if strings.Contains(said, " "+name+" ") {
			t.Errorf("it gets %s", name)
		}
	}
}

func TestExecEnds(t *testing.T) {
	t.Parallel()
	spool := t.TempDir()
	plain, script := filepath.Join(spool, "plain"), filepath.Join(spool, "script")
	write(t, plain, []byte("x"))
	write(t, script, []byte("#!/nonexistent/interpreter\n"))
	if err := os.Chmod(script, 0o755); err != nil { //nolint:gosec // it is to be run
		t.Fatal(err)
	}
	for _, c := range []struct {
		argv  []string
		final bool
		want  string
	}{
		{[]string{"sh", "-c", "echo no such s3cret >&2; exit 1"}, false, "exit status 1: no such <secret>"},
		{[]string{"sh", "-c", "exit 75"}, false, "asks to be run again"},
		{[]string{"sh", "-c", "exit 126"}, true, "126"},
		{[]string{"sh", "-c", "exit 127"}, true, "127"},
		{[]string{"rsm-no-such-command"}, true, "not found"},
		{[]string{"/nonexistent/x"}, true, "no such file"},
		{[]string{plain}, true, "permission denied"},
		{[]string{script}, true, "no such file"},
		{[]string{"sh", "-c", "kill -9 $$"}, false, "signal: killed"},
		{nil, true, "no command"},
	} {
		if _, f := runExec(t, t.Context(), spool, c.argv...); f == nil || f.Permanent() != c.final || !strings.Contains(f.Error(), c.want) {
			t.Errorf("%v: %v, want %q", c.argv, f, c.want)
		}
	}
}

// The end of the time ends a command and what it has started, also what ignores
// SIGTERM.
func TestExecIsStopped(t *testing.T) {
	t.Parallel()
	spool := t.TempDir()
	for name, command := range map[string]string{
		"waits":            `echo $$ > waits; sleep 300 & echo $! >> waits; wait`,
		"ignores a signal": `trap "" TERM; echo $$ > "ignores a signal"; while :; do sleep 1; done`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			file := filepath.Join(spool, name)
			go func() {
				for {
					if content, _ := os.ReadFile(file); strings.Count(string(content), "\n") > strings.Count(command, ">>") {
						cancel()
						return
					}
					time.Sleep(5 * time.Millisecond)
				}
			}()
			_, f := runExec(t, ctx, spool, "sh", "-c", command)
			if f == nil || f.Permanent() || !errors.Is(f, context.Canceled) || !strings.Contains(f.Error(), "stopped") {
				t.Errorf("it ends with %v", f)
			}
			content, _ := os.ReadFile(file)
			for _, line := range strings.Fields(string(content)) {
				pid, _ := strconv.Atoi(line)
				redistest.Wait(t, 5*time.Second, func() error {
					if state, _ := os.ReadFile("/proc/" + line + "/stat"); len(state) > 0 && !strings.Contains(string(state), ") Z ") && syscall.Kill(pid, 0) == nil {
						return errors.New("process " + line + " lives")
					}
					return nil
				})
			}
		})
	}
}

// What a command leaves behind, holding its output open, does not hold the worker.
func TestExecLeavesSomethingBehind(t *testing.T) {
	t.Parallel()
	started := time.Now()
	out, f := runExec(t, t.Context(), t.TempDir(), "sh", "-c", "sleep 300 & echo done $!")
	if f != nil || time.Since(started) > 10*time.Second || !strings.HasPrefix(out.Delivery.Response, "done ") {
		t.Fatalf("after %v: %+v, %v", time.Since(started), out, f)
	}
	pid := strings.TrimPrefix(out.Delivery.Response, "done ")
	redistest.Wait(t, 5*time.Second, func() error {
		if state, _ := os.ReadFile("/proc/" + pid + "/stat"); len(state) > 0 && !strings.Contains(string(state), ") Z ") {
			return errors.New("it lives")
		}
		return nil
	})
}

func TestExecOutputIsBounded(t *testing.T) {
	t.Parallel()
	output, err := Exec(t.Context(), schema.Exec{Argv: []string{"sh", "-c", "yes 'a line' | head -c 3000000; echo the end"}}, Task{}, nil, Env{Spool: t.TempDir()})
	if err != nil || len(output) > maxOutput+10 || !strings.HasSuffix(output, "the end") || !strings.HasPrefix(output, "…") {
		t.Errorf("%d bytes, %v", len(output), err)
	}
	if _, err := Exec(t.Context(), schema.Exec{Argv: []string{"true"}}, Task{}, make([]byte, 1<<20), Env{Spool: t.TempDir()}); err != nil {
		t.Errorf("a command that does not read its input: %v", err)
	}
}
