package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// process is a program that was started here and is stopped here.
type process struct {
	pid  pid
	log  string // the file with its output
	cmd  *exec.Cmd
	done chan struct{}
}

// start runs a program in the background; it dies with this one. cpu pins it to
// one processor, -1 leaves it to the kernel. What it prints goes to name.log.
func start(dir, name string, cpu int, argv ...string) (*process, error) {
	argv = pinned(cpu, argv)
	log, err := os.Create(filepath.Join(dir, name+".log"))
	if err != nil {
		return nil, fmt.Errorf("create log of %s: %w", name, err)
	}
	defer log.Close() // the child has its own
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p := &process{pid: pid(cmd.Process.Pid), log: log.Name(), cmd: cmd, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		_ = cmd.Wait() // how it ended is of interest to nobody
	}()
	return p, nil
}

// pinned is the command line that runs argv on one processor. taskset becomes
// the program, so the pid stays.
func pinned(cpu int, argv []string) []string {
	if cpu < 0 {
		return argv
	}
	return append([]string{"taskset", "-c", fmt.Sprint(cpu)}, argv...)
}

// stop asks the process to end and kills it when it does not.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(3 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// await waits until a Redis answers PING at the address. The error has what the
// process printed last.
func (p *process) await(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	for {
		err := ping(addr)
		if err == nil {
			return nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
			continue
		case <-p.done:
			err = errors.New("it has ended")
		case <-ctx.Done():
		}
		return fmt.Errorf("wait for %s at %s: %w\n%s", strings.TrimSuffix(filepath.Base(p.log), ".log"), addr, err, p.output())
	}
}

// output is the end of what the process printed.
func (p *process) output() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-15):], []byte("\n")))
}

func ping(addr string) error {
	c, err := dial(addr, time.Second)
	if err != nil {
		return err
	}
	defer c.close()
	_, err = c.do("PING")
	return err
}
