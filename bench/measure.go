package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// What is measured; the names stand in the report.
const (
	rsmPlan      = "rsm plan"
	rsmApply     = "rsm apply"
	ansibleCheck = "ansible-playbook --check"
)

// result is what many runs of one command took.
type result struct {
	What     string // one of the names above
	Clusters int
	Fake     bool
	Times    []time.Duration // sorted
	CPU      time.Duration   // user and system, the mean of all runs
	PeakRSS  int64           // bytes, the highest of all runs
}

func (r result) median() time.Duration { return r.Times[len(r.Times)/2] }
func (r result) min() time.Duration    { return r.Times[0] }
func (r result) max() time.Duration    { return r.Times[len(r.Times)-1] }

// measure runs a command once to warm caches and then runs times, one after the
// other. Every run must exit 0.
func measure(ctx context.Context, what string, runs int, argv []string) (result, error) {
	r := result{What: what}
	for i := range runs + 1 {
		used, err := once(ctx, argv)
		if err != nil {
			return result{}, err
		}
		if i == 0 {
			continue
		}
		r.Times, r.PeakRSS = append(r.Times, used.wall), max(r.PeakRSS, used.rss)
		r.CPU += used.cpu / time.Duration(runs)
	}
	slices.Sort(r.Times)
	return r, nil
}

// usage is what one run took; rss is in bytes.
type usage struct {
	wall, cpu time.Duration
	rss       int64
}

// once runs a command and measures it. Memory is that of the largest of a
// process and its ended children, and on Linux never less than what the process
// that forked it had: this program stays small for that reason.
func once(ctx context.Context, argv []string) (usage, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	start := time.Now()
	err := cmd.Run()
	took := time.Since(start)
	if err != nil {
		return usage{}, fmt.Errorf("run %s: %w\n%s", strings.Join(argv, " "), err, tail(output.String(), 30))
	}
	kernel, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return usage{}, fmt.Errorf("run %s: no resource usage", argv[0])
	}
	cpu := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return usage{wall: took, cpu: cpu, rss: kernel.Maxrss << 10}, nil
}

// tail is the end of a long output.
func tail(text string, lines int) string {
	all := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// rsmArgs is a command line of rsm on one deployment.
func rsmArgs(o options, dir, command string, flags ...string) []string {
	return append([]string{o.rsm, command, "--state-dir", dir + "/state", dir + "/spec.cue"}, flags...)
}

// measurePlanApply measures both commands where nothing is to be done.
func measurePlanApply(ctx context.Context, o options, dir string) ([]result, error) {
	plan, err := measure(ctx, rsmPlan, o.runs, rsmArgs(o, dir, "plan", "--detailed-exitcode"))
	if err != nil {
		return nil, err
	}
	apply, err := measure(ctx, rsmApply, o.runs, rsmArgs(o, dir, "apply", "--auto-approve"))
	if err != nil {
		return nil, err
	}
	return []result{plan, apply}, nil
}

// settle waits until a plan finds nothing to do.
func settle(ctx context.Context, o options, dir string, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		_, err := once(ctx, rsmArgs(o, dir, "plan", "--detailed-exitcode"))
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for an empty plan: %w", err)
		case <-time.After(500 * time.Millisecond):
		}
	}
}
