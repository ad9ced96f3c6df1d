package supervise

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// ErrRunning is returned when a process did not end in time.
var ErrRunning = errors.New("still running")

// How often a process that is not our child is looked at; the kernel tells its
// end only to its parent.
const pollInterval = 10 * time.Millisecond

// Command says what Start starts.
type Command struct {
	// Path is the binary, Args its arguments without the name.
	Path string
	Args []string
	// Dir is the working directory.
	Dir string
	// Env is the whole environment; nil means an empty one, so that secrets in
	// the starter's environment stay there.
	Env []string
	// Log is the file that gets stdout and stderr, appended, mode 0600.
	Log string
}

// Start starts a process in a session of its own: no terminal, no signal meant
// for the starter and not the starter's end reaches it. It inherits no file but
// its log. The channel gets one value when the process ends while the starter
// still runs: nil for exit status 0; the process is reaped then in any case.
func Start(c Command) (Record, <-chan error, error) {
	log, err := os.OpenFile(c.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return Record{}, nil, fmt.Errorf("open log: %w", err)
	}
	defer log.Close()
	cmd := exec.Command(c.Path, c.Args...)
	cmd.Dir, cmd.Env = c.Dir, append([]string{}, c.Env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return Record{}, nil, fmt.Errorf("start process: %w", err)
	}
	// Before Wait the pid cannot be recycled, even if the process has ended.
	record, err := newborn(cmd.Process.Pid, cmd.Args)
	if err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return Record{}, nil, err
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	return record, exited, nil
}

// newborn is Find for our own child, which may be a zombie already.
func newborn(pid int, argv []string) (Record, error) {
	stat, err := readStat(pid)
	if err != nil {
		return Record{}, err
	}
	boot, err := bootID()
	if err != nil {
		return Record{}, err
	}
	return Record{PID: pid, Start: stat.start, Boot: boot, Argv: argv}, nil
}

// Stop sends SIGTERM and waits up to grace until the process is gone. It
// returns nil when it is or already was, ErrRunning when it is not, ctx's error
// when ctx ends first. A recycled pid is not signalled.
func Stop(ctx context.Context, r Record, grace time.Duration) error {
	return end(ctx, r, syscall.SIGTERM, grace)
}

// Kill is Stop with SIGKILL. It waits as long as ctx allows, at most 10 s: a
// process that hangs in the kernel does not end at once.
func Kill(ctx context.Context, r Record) error {
	return end(ctx, r, syscall.SIGKILL, 10*time.Second)
}

func end(ctx context.Context, r Record, sig os.Signal, grace time.Duration) error {
	if err := signal(r, sig); err != nil {
		return fmt.Errorf("stop process %d: %w", r.PID, err)
	}
	timeout := time.NewTimer(grace)
	defer timeout.Stop()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for Alive(r) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("stop process %d: %w", r.PID, ctx.Err())
		case <-timeout.C:
			return fmt.Errorf("stop process %d: %w after %s", r.PID, ErrRunning, grace)
		case <-tick.C:
		}
	}
	return nil
}

// Signal sends the signal; a process that has ended is no error.
func Signal(r Record, sig os.Signal) error {
	if err := signal(r, sig); err != nil {
		return fmt.Errorf("signal process %d: %w", r.PID, err)
	}
	return nil
}

// signal signals the process and no other. os.FindProcess opens a pidfd, which
// keeps naming the process that had the pid at that moment; once the start time
// is verified behind it, a pid that is recycled later cannot be hit. Kernels
// before 5.4 have no pidfd and leave a gap of microseconds.
func signal(r Record, sig os.Signal) error {
	process, err := os.FindProcess(r.PID)
	if err != nil {
		return err
	}
	defer func() { _ = process.Release() }()
	if !Alive(r) {
		return nil
	}
	if err := process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}
