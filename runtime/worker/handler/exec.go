package handler

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"rsm/schema"
)

// passedOn are the variables that commands get of the worker's own.
var passedOn = []string{"PATH", "HOME", "LANG", "TZ"}

const (
	// exitTemporary is EX_TEMPFAIL of sysexits.h: try again.
	exitTemporary = 75
	// stopTime is how long a command has to end after SIGTERM.
	stopTime = 2 * time.Second
	// maxOutput is how much of what a command writes is kept, from its end.
	maxOutput = 16 << 10
)

// command runs x with the payload on its standard input.
func (r *run) command(ctx context.Context, x *schema.Exec) (string, error) {
	return r.execute(ctx, *x, r.message.payload)
}

// Exec runs a command without a shell: input on its standard input, in a process
// group of its own that does not outlive it. It returns what the command wrote to
// its standard output, the end when that is long, without secrets. The error is a
// *Failure, with the standard error, or the output when that is empty: permanent when the command is not there or cannot be run (also by its own exit code 126 or
// 127), else one to try again.
//
// Its environment is PATH, HOME, LANG and TZ of the worker, what x declares, and
// RSM_TASK, RSM_ATTEMPT and RSM_HANDLER.
func Exec(ctx context.Context, x schema.Exec, task Task, input []byte, env Env) (output string, err error) {
	r := newRun(schema.Handler{}, task, env)
	output, err = r.execute(ctx, x, input)
	if err != nil {
		err = failure(err, r.secrets.redact)
	}
	return r.secrets.redact(output), err
}

func (r *run) execute(ctx context.Context, x schema.Exec, input []byte) (string, error) {
	cmd, err := r.prepare(ctx, x, input)
	if err != nil {
		return "", err
	}
	var out, complaints tail
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Start(); err != nil {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.ENOEXEC) {
			return "", permanent("run %s: %w", x.Argv[0], err)
		}
		return "", fmt.Errorf("run %s: %w", x.Argv[0], err)
	}
	err = cmd.Wait()
	// What it started ends with it; the group is named after it.
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	if errors.Is(err, exec.ErrWaitDelay) && cmd.ProcessState.Success() && ctx.Err() == nil {
		err = nil // only a process that it left behind held its output open
	}
	if err == nil {
		return out.String(), nil
	}
	return out.String(), r.exitVerdict(ctx, x.Argv[0], err, cmp.Or(complaints.String(), out.String()))
}

// prepare finds the command and sets what it gets.
func (r *run) prepare(ctx context.Context, x schema.Exec, input []byte) (*exec.Cmd, error) {
	if len(x.Argv) == 0 || x.Argv[0] == "" {
		return nil, permanent("run: no command is named")
	}
	path, err := r.LookPath(x.Argv[0])
	if err != nil {
		return nil, permanent("run %s: %w", x.Argv[0], err)
	}
	environ, err := r.environ(x)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, path, x.Argv[1:]...)
	cmd.Args[0] = x.Argv[0]
	cmd.Env, cmd.Dir, cmd.Stdin = environ, x.Dir, strings.NewReader(string(input))
	if cmd.Dir == "" {
		cmd.Dir = r.Spool
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = stopTime
	return cmd, nil
}

func (r *run) environ(x schema.Exec) ([]string, error) {
	var environ []string
	for _, name := range passedOn {
		if value, ok := os.LookupEnv(name); ok {
			environ = append(environ, name+"="+value)
		}
	}
	environ = append(environ, "RSM_TASK="+r.task.ID, fmt.Sprintf("RSM_ATTEMPT=%d", r.task.Attempt), "RSM_HANDLER="+r.handler.Name)
	for _, name := range slices.Sorted(maps.Keys(x.Env)) {
		environ = append(environ, name+"="+x.Env[name])
	}
	for _, name := range slices.Sorted(maps.Keys(x.Secrets)) {
		from := x.Secrets[name]
		value, err := r.secrets.get(&from)
		if err != nil {
			return nil, err
		}
		environ = append(environ, name+"="+value)
	}
	return environ, nil
}

// exitVerdict says how a command ended.
func (r *run) exitVerdict(ctx context.Context, name string, err error, said string) error {
	if ctx.Err() != nil {
		err = fmt.Errorf("it was stopped: %w", ctx.Err())
	}
	detail := ""
	if said != "" {
		detail = ": " + said
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		switch exit.ExitCode() {
		case 126, 127:
			return permanent("run %s: %w%s", name, err, detail)
		case exitTemporary:
			return fmt.Errorf("run %s: %w (asks to be run again)%s", name, err, detail)
		}
	}
	return fmt.Errorf("run %s: %w%s", name, err, detail)
}

// tail keeps the end of what is written to it.
type tail struct {
	kept []byte
	cut  bool
}

// Write never fails, so that a command is not stopped by what it writes.
func (t *tail) Write(p []byte) (int, error) {
	t.kept = append(t.kept, p...)
	if over := len(t.kept) - maxOutput; over > maxOutput { // so that it is moved rarely
		t.kept, t.cut = append(t.kept[:0], t.kept[over:]...), true
	}
	return len(p), nil
}

// String is what is kept.
func (t *tail) String() string {
	kept, cut := t.kept, t.cut
	if over := len(kept) - maxOutput; over > 0 {
		kept, cut = kept[over:], true
	}
	if cut { // a part of a secret would not be recognised
		kept = kept[bytes.IndexAny(kept, " \n")+1:]
	}
	text := strings.TrimSpace(strings.ToValidUTF8(string(kept), "�"))
	if cut {
		return "…" + text
	}
	return text
}
