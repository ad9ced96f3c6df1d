package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"
)

// The fleet is measured by three processes. This program starts itself in a new
// network namespace (insideFlag); there it starts itself once more as the
// servers (serveCommand), and then rsm. The servers are a process of their own so
// that their memory does not count as rsm's, see once.
const (
	insideFlag   = "inside-fleet"
	serveCommand = "serve-fleet"
)

// measureFleet measures plan and apply on o.fake clusters of fake servers.
func measureFleet(ctx context.Context, o options, dir string, progress io.Writer) ([]result, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := os.WriteFile(dir+"/spec.cue", []byte(fleetSpec(o.fake)), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "/proc/self/exe", "-rsm", o.rsm, "-runs", strconv.Itoa(o.runs),
		"-fake", strconv.Itoa(o.fake), "-"+insideFlag, dir)
	cmd.SysProcAttr = isolated()
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, progress
	if err := cmd.Run(); errors.Is(err, syscall.EPERM) {
		return nil, fmt.Errorf("create a network namespace: %w: run as root, or allow user namespaces", err)
	} else if err != nil {
		return nil, err
	}
	var results []result
	if err := json.Unmarshal(out.Bytes(), &results); err != nil {
		return nil, fmt.Errorf("read results: %w", err)
	}
	return results, nil
}

// isolated asks for a network namespace; who is not root also needs a user
// namespace in which he is.
func isolated() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if uid := os.Getuid(); uid != 0 {
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	return attr
}

// measureInside is what happens in the namespace.
func measureInside(ctx context.Context, o options, dir string, out io.Writer) error {
	if err := loopback(); err != nil {
		return err
	}
	stop, err := startFleet(o.fake)
	if err != nil {
		return err
	}
	defer stop()
	// The first apply only writes down who leads each cluster: on machines other
	// than its own, rsm starts nothing.
	if _, err := once(ctx, rsmArgs(o, dir, "apply", "--auto-approve")); err != nil {
		return err
	}
	if err := settle(ctx, o, dir, time.Minute); err != nil {
		return err
	}
	results, err := measurePlanApply(ctx, o, dir)
	if err != nil {
		return err
	}
	for i := range results {
		results[i].Clusters, results[i].Fake = o.fake, true
	}
	return json.NewEncoder(out).Encode(results)
}

// startFleet starts the servers and waits until they listen.
func startFleet(clusters int) (stop func(), err error) {
	cmd := exec.Command("/proc/self/exe", serveCommand, strconv.Itoa(clusters))
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	ready, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start fleet: %w", err)
	}
	stop = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	if _, err := bufio.NewReader(ready).ReadString('\n'); err != nil {
		stop()
		return nil, fmt.Errorf("start fleet: %w", err)
	}
	return stop, nil
}
