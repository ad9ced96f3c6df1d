package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"rsm/internal/resp"
)

// pid is the process that serves a node: a foreign one, else what rsm recorded.
func (l *lab) pid(name string) (int, error) {
	if l.foreign[name] != nil {
		return l.foreign[name].Pid, nil
	}
	files, err := filepath.Glob(filepath.Join(l.work, "state", "clusters", "*", name, "role.json"))
	if err != nil || len(files) != 1 {
		return 0, fmt.Errorf("%s has %d records", name, len(files))
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		return 0, err
	}
	var role struct {
		Process struct {
			PID int `json:"pid"`
		} `json:"process"`
	}
	if err := json.Unmarshal(text, &role); err != nil {
		return 0, err
	}
	if !l.owns(role.Process.PID) {
		return 0, fmt.Errorf("%s: pid %d is no process of this script", name, role.Process.PID)
	}
	return role.Process.PID, nil
}

// owns reports whether a process works inside the script's directory, which is
// true of everything that a script starts and of nothing else.
func (l *lab) owns(pid int) bool {
	dir, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
	return err == nil && strings.HasPrefix(dir, l.work+"/") || err == nil && dir == l.work
}

// clean ends all that is left of a script.
func (l *lab) clean() {
	procs, _ := filepath.Glob("/proc/[0-9]*")
	for _, proc := range procs {
		if pid, err := strconv.Atoi(filepath.Base(proc)); err == nil && l.owns(pid) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	for _, j := range l.jobs {
		_ = j.cmd.Wait()
	}
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline) && l.anybody(); {
		time.Sleep(10 * time.Millisecond)
	}
}

func (l *lab) anybody() bool {
	procs, _ := filepath.Glob("/proc/[0-9]*")
	for _, proc := range procs {
		if pid, err := strconv.Atoi(filepath.Base(proc)); err == nil && l.owns(pid) && state(pid) != "Z" {
			return true
		}
	}
	return false
}

// gone reports whether nothing of a process is left but its exit status. Its
// first thread may have ended before the others, which still hold the port.
func gone(pid int) bool {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	return len(threads) <= 1 && strings.Contains("Z", state(pid))
}

// state is the letter of /proc/PID/stat (proc_pid_stat(5)), empty when the
// process is gone.
func state(pid int) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	return rest[:min(1, len(rest))]
}

func signals(sig syscall.Signal) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, nodes []string) {
		args(ts, neg, len(nodes) > 0, "crash|freeze|thaw NODE...")
		l := labOf(ts)
		var pids []int
		for _, node := range nodes {
			pid, err := l.pid(node)
			if j := l.jobs[node]; j != nil {
				pid, err = j.cmd.Process.Pid, nil
			}
			ts.Check(err)
			ts.Check(syscall.Kill(pid, sig))
			pids = append(pids, pid)
		}
		for _, pid := range pids {
			until(ts, func() error { return settled(pid, sig) })
		}
		for _, node := range nodes {
			if sig == syscall.SIGKILL {
				delete(l.foreign, node)
			}
		}
	}
}

// settled reports whether a signal has done its work.
func settled(pid int, sig syscall.Signal) error {
	now := state(pid)
	switch {
	case sig == syscall.SIGKILL && !gone(pid),
		sig == syscall.SIGSTOP && now != "T",
		sig == syscall.SIGCONT && now == "T":
		return fmt.Errorf("process %d is in state %s after %s", pid, now, sig)
	}
	return nil
}

func (l *lab) addr(ts *testscript.TestScript, node string) string {
	port, ok := l.ports[node]
	if !ok {
		ts.Fatalf("unknown node %q: one of %v", node, roleNames)
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

func cmdForeign(ts *testscript.TestScript, neg bool, words []string) {
	args(ts, neg, len(words) > 0, "foreign NODE ARGS...")
	l, node := labOf(ts), words[0]
	dir := filepath.Join(l.work, "foreign-"+node)
	ts.Check(os.MkdirAll(dir, 0o700))
	argv := append([]string{"--port", strconv.Itoa(l.ports[node]), "--bind", "127.0.0.1", "--dir", dir, "--logfile", "log",
		"--save", "", "--repl-diskless-sync-delay", "0"}, words[1:]...)
	cmd := exec.Command(lookup(ts, "redis-server"), argv...)
	cmd.Dir = dir
	ts.Check(cmd.Start())
	go func() { _ = cmd.Wait() }()
	l.foreign[node] = cmd.Process
	until(ts, func() error { _, err := l.send(ts, node, "PING"); return err })
}

// cmdListen takes a port with a program that is no Redis.
func cmdListen(ts *testscript.TestScript, neg bool, words []string) {
	args(ts, neg, len(words) == 1, "listen NODE")
	l := labOf(ts)
	cmd := exec.Command("python3", "-m", "http.server", strconv.Itoa(l.ports[words[0]]), "--bind", "127.0.0.1")
	cmd.Dir = l.work
	ts.Check(cmd.Start())
	go func() { _ = cmd.Wait() }()
	until(ts, func() error {
		if !listening(l.addr(ts, words[0])) {
			return errors.New("python3 does not listen yet")
		}
		return nil
	})
}

// cmdReborn does what a supervisor does that restarts whatever dies.
func cmdReborn(ts *testscript.TestScript, neg bool, words []string) {
	args(ts, neg, len(words) == 1, "reborn NODE")
	l, node := labOf(ts), words[0]
	dir := filepath.Join(l.work, "state", "clusters", clusterName, node)
	cmd := exec.Command(lookup(ts, "redis-server"), filepath.Join(dir, "redis.conf"))
	cmd.Dir = dir
	output, err := os.Create(filepath.Join(l.work, "reborn-"+node+".log"))
	ts.Check(err)
	cmd.Stdout, cmd.Stderr = output, output
	ts.Check(cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait(); _ = output.Close() }()
	until(ts, func() error {
		_, err := l.send(ts, node, "PING")
		select {
		case cause := <-ended:
			ts.Fatalf("%s ended: %v\n%s", node, cause, ts.ReadFile(output.Name()))
		default:
		}
		return err
	})
}

// cmdClient connects as an application does and stays.
func cmdClient(ts *testscript.TestScript, neg bool, words []string) {
	args(ts, neg, len(words) == 1, "client NODE")
	conn, err := resp.Dial(context.Background(), labOf(ts).addr(ts, words[0]))
	ts.Check(err)
	ts.Defer(func() { _ = conn.Close() })
	_, err = conn.Do(context.Background(), "PING")
	ts.Check(err)
	labOf(ts).clients[words[0]] = conn
}

func cmdConnected(ts *testscript.TestScript, neg bool, words []string) {
	args(ts, neg, len(words) == 1, "connected NODE")
	conn := labOf(ts).clients[words[0]]
	if conn == nil {
		ts.Fatalf("there is no client of %s", words[0])
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, err := conn.Do(ctx, "PING")
	ts.Check(err)
}

func listening(addr string) bool {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

func cmdRunning(ts *testscript.TestScript, neg bool, nodes []string) {
	args(ts, neg, len(nodes) > 0, "running NODE...")
	for _, node := range nodes {
		if !listening(labOf(ts).addr(ts, node)) {
			ts.Fatalf("nothing listens on %s", node)
		}
	}
}

func cmdPids(ts *testscript.TestScript, neg bool, nodes []string) {
	args(ts, neg, len(nodes) > 0, "pids NODE...")
	for _, node := range nodes {
		pid, err := labOf(ts).pid(node)
		ts.Check(err)
		fmt.Fprintln(ts.Stdout(), node, pid)
	}
}

func cmdStopped(ts *testscript.TestScript, neg bool, nodes []string) {
	args(ts, neg, len(nodes) > 0, "stopped NODE...")
	for _, node := range nodes {
		if listening(labOf(ts).addr(ts, node)) {
			ts.Fatalf("something listens on %s", node)
		}
	}
}

// cmdNoSecret looks where a password must never be. The configuration files of
// the servers are where it has to be.
func cmdNoSecret(ts *testscript.TestScript, neg bool, words []string) {
	args(ts, neg, len(words) == 1, "nosecret TEXT")
	l, secret := labOf(ts), words[0]
	if strings.Contains(l.out.String(), secret) {
		ts.Fatalf("rsm printed the password")
	}
	seen := 0
	ts.Check(filepath.WalkDir(l.work, func(path string, entry os.DirEntry, err error) error {
		name := filepath.Base(path)
		if err != nil || !entry.Type().IsRegular() || name == "redis.conf" || name == "sentinel.conf" || strings.HasSuffix(name, ".secret") {
			return err
		}
		seen++
		if text, err := os.ReadFile(path); err == nil && strings.Contains(string(text), secret) {
			ts.Fatalf("%s has the password", path)
		}
		return nil
	}))
	procs, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, proc := range procs {
		if text, err := os.ReadFile(proc); err == nil && strings.Contains(string(text), secret) {
			ts.Fatalf("%s has the password", proc)
		}
	}
	if seen < 10 || len(procs) < 2 {
		ts.Fatalf("looked at %d files and %d processes only", seen, len(procs))
	}
}
