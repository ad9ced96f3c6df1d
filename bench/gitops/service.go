package gitops

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"rsm/bench/ports"
)

const patience = time.Minute

// repo is a bare repository with a clone.
type repo struct{ bare, clone string }

func newRepo(ctx context.Context, dir string) (repo, error) {
	r := repo{filepath.Join(dir, "repo.git"), filepath.Join(dir, "clone")}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return r, err
	}
	for _, words := range [][]string{
		{"init", "-q", "--bare", "-b", "main", r.bare}, {"init", "-q", "-b", "main", r.clone}, {"-C", r.clone, "remote", "add", "origin", r.bare},
	} {
		if err := git(ctx, words...); err != nil {
			return r, err
		}
	}
	return r, nil
}

// commit writes the spec and commits it.
func (r repo) commit(ctx context.Context, spec string) error {
	if err := os.WriteFile(filepath.Join(r.clone, "spec.cue"), []byte(spec), 0o600); err != nil {
		return err
	}
	if err := git(ctx, "-C", r.clone, "add", "-A"); err != nil {
		return err
	}
	return git(ctx, "-C", r.clone, "-c", "user.name=bench", "-c", "user.email=bench@localhost", "commit", "-q", "-m", "change")
}

func (r repo) push(ctx context.Context) error {
	return git(ctx, "-C", r.clone, "push", "-q", "origin", "main")
}

func git(ctx context.Context, words ...string) error {
	if out, err := exec.CommandContext(ctx, "git", words...).CombinedOutput(); err != nil {
		return fmt.Errorf("git %s: %w: %s", strings.Join(words, " "), err, out)
	}
	return nil
}

// service measures a live one: pushes, then rest.
func (o options) service(ctx context.Context, dir string, progress io.Writer) (rows [][]string, err error) {
	r, err := newRepo(ctx, dir)
	if err != nil {
		return nil, err
	}
	base, err := ports.Block(7)
	if err != nil {
		return nil, err
	}
	secret, state := filepath.Join(dir, "secret"), filepath.Join(dir, "state")
	if err := os.WriteFile(secret, []byte("a secret of a benchmark"), 0o600); err != nil {
		return nil, err
	}
	if err := r.commit(ctx, spec(1, base, 64)); err != nil {
		return nil, err
	}
	if err := r.push(ctx); err != nil {
		return nil, err
	}
	hook := fmt.Sprintf("127.0.0.1:%d", base+6)
	if out, err := exec.CommandContext(ctx, o.rsm, "hook", "install", r.bare, "--url", "http://"+hook+"/hook", "--secret-file", secret).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("install hook: %w: %s", err, out)
	}
	cmd := exec.CommandContext(ctx, o.rsm, "reconcile", "--watch", "--interval", "1s", "--git", r.bare, "--state-dir", state,
		"--webhook", hook, "--webhook-secret-file", secret)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start service: %w", err)
	}
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		out, end := exec.Command(o.rsm, "destroy", "--auto-approve", "--purge", "--state-dir", state, r.clone).CombinedOutput()
		if end != nil && err == nil {
			err = fmt.Errorf("destroy: %w: %s", end, out)
		}
	}()
	if err := applied(ctx, state); err != nil {
		return nil, err
	}
	fmt.Fprintf(progress, "bench: %d pushes\n", o.pushes)
	rows, err = o.pushed(ctx, r, base)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(progress, "bench: %s of rest\n", o.idle)
	row, err := o.rest(ctx, cmd.Process.Pid)
	return append(rows, row), err
}

// pushed measures from push to the last server.
func (o options) pushed(ctx context.Context, r repo, base int) ([][]string, error) {
	var whole, after []time.Duration
	for i := range o.pushes {
		megabytes := 32 + i
		if err := r.commit(ctx, spec(1, base, megabytes)); err != nil {
			return nil, err
		}
		began := time.Now()
		if err := r.push(ctx); err != nil {
			return nil, err
		}
		pushed := time.Now()
		if err := o.await(ctx, base, megabytes); err != nil {
			return nil, err
		}
		whole, after = append(whole, time.Since(began)), append(after, time.Since(pushed))
		select { // at another moment of the interval each time
		case <-time.After(time.Duration(700+37*i%300) * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return [][]string{
		row("from `git push` to all three servers, by webhook", whole, met(slices.Max(whole), pushGoal)),
		row("of that, after `git push` has returned", after, ""),
	}, nil
}

func row(what string, took []time.Duration, goal string) []string {
	slices.Sort(took)
	return []string{what, millis(took[len(took)/2]), millis(took[len(took)-1]), strconv.Itoa(len(took)), goal}
}

func millis(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }

// await waits until all servers have the limit.
func (o options) await(ctx context.Context, base, megabytes int) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	want := strconv.Itoa(megabytes << 20)
	for node := range 3 {
		for got := ""; got != want; got, _ = maxmemory(base + node) {
			select {
			case <-time.After(time.Millisecond):
			case <-ctx.Done():
				return fmt.Errorf("wait for server %d: %w", node, ctx.Err())
			}
		}
	}
	return nil
}

// applied waits until the first commit is in force.
func applied(ctx context.Context, state string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		text, _ := os.ReadFile(filepath.Join(state, "control", "control.json"))
		if strings.Contains(string(text), `"applied"`) {
			return nil
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("wait for the first commit: %w", ctx.Err())
		}
	}
}

// maxmemory asks one server.
func maxmemory(port int) (string, error) {
	conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := io.WriteString(conn, "CONFIG GET maxmemory\r\n"); err != nil {
		return "", err
	}
	lines := bufio.NewScanner(conn)
	for range 5 { // *2, $9, maxmemory, $n, value
		if !lines.Scan() {
			return "", lines.Err()
		}
	}
	return lines.Text(), nil
}

// rest measures a service that polls every second and has nothing to do.
func (o options) rest(ctx context.Context, pid int) ([]string, error) {
	before, err := cpu(pid)
	if err != nil {
		return nil, err
	}
	select {
	case <-time.After(o.idle):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	after, err := cpu(pid)
	if err != nil {
		return nil, err
	}
	share := float64(after-before) / float64(o.idle) * 100
	return []string{"idle, looking at repository and servers every second", fmt.Sprintf("%.1f %% of a core, %s", share, resident(pid)), "", "1", ""}, nil
}

// cpu is the processor time of a process so far.
func cpu(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond, nil
}

// resident is the memory of a process.
func resident(pid int) string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kilobytes, _ := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(rest), " kB"))
			return fmt.Sprintf("%d MiB", kilobytes>>10)
		}
	}
	return "? MiB"
}
