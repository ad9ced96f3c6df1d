// Command bench measures rsm as whole processes, the way a person or a timer
// starts it: on real clusters that it starts itself, on a fleet of fake servers
// in a network namespace of its own, and beside ansible-playbook on the same
// cluster. It prints a table and rewrites the report between its markers.
// "bench proxy" measures the proxy instead: see package proxy.
//
// Linux only, like the deployments that rsm starts.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"rsm/bench/agent"
	"rsm/bench/fanin"
	"rsm/bench/gitops"
	"rsm/bench/proxy"
	"rsm/bench/queue"
)

// proxyCommand as the first argument measures the proxy instead; package proxy
// has the rest.
const proxyCommand = "proxy"

// gitopsCommand measures the service: see package gitops.
const gitopsCommand = "gitops"

// queueCommand measures workers and tasks: see package queue.
const queueCommand = "queue"

// agentCommand measures an agent: see package agent.
const agentCommand = "agent"

// faninCommand measures dispatchers: see package fanin.
const faninCommand = "fanin"

// options are the flags.
type options struct {
	rsm, ansible, report    string
	real                    string
	fake, runs, ansibleRuns int
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == serveCommand {
		exit(serve(os.Args[2], os.Stdout))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) > 1 && os.Args[1] == proxyCommand {
		exit(proxy.Run(ctx, os.Args[2:], os.Stdout, os.Stderr))
	}
	if len(os.Args) > 1 && os.Args[1] == gitopsCommand {
		exit(gitops.Run(ctx, os.Args[2:], os.Stdout, os.Stderr))
	}
	if len(os.Args) > 1 && os.Args[1] == queueCommand {
		exit(queue.Run(ctx, os.Args[2:], os.Stdout, os.Stderr))
	}
	if len(os.Args) == 3 && os.Args[1] == queue.Worker {
		exit(queue.Sleep(ctx, os.Args[2]))
	}
	if len(os.Args) > 1 && os.Args[1] == agentCommand {
		exit(agent.Run(ctx, os.Args[2:], os.Stdout, os.Stderr))
	}
	if len(os.Args) > 1 && os.Args[1] == faninCommand {
		exit(fanin.Run(ctx, os.Args[2:], os.Stdout, os.Stderr))
	}
	var o options
	flag.StringVar(&o.rsm, "rsm", "bin/rsm", "the rsm `binary`")
	flag.StringVar(&o.ansible, "ansible", "", "the `folder` of the playbook; empty leaves ansible out")
	flag.StringVar(&o.report, "report", "", "the Markdown `file` to rewrite; empty writes none")
	flag.StringVar(&o.real, "real", "1,10,50", "`numbers` of real clusters to measure, each 6 processes")
	flag.IntVar(&o.fake, "fake", 1000, "`number` of fake clusters, 0 for none")
	flag.IntVar(&o.runs, "runs", 20, "measured runs of rsm")
	flag.IntVar(&o.ansibleRuns, "ansible-runs", 5, "measured runs of ansible-playbook")
	inside := flag.String(insideFlag, "", "internal: measure the fleet of this `folder`")
	flag.Parse()
	if *inside != "" {
		exit(measureInside(ctx, o, *inside, os.Stdout))
	}
	exit(bench(ctx, o, os.Stdout, os.Stderr))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// bench measures everything and writes the results. A missed target is a
// result, not an error.
func bench(ctx context.Context, o options, out, progress io.Writer) error {
	counts, err := numbers(o.real)
	if err != nil {
		return err
	}
	if o.rsm, err = filepath.Abs(o.rsm); err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "rsm-bench-")
	if err != nil {
		return fmt.Errorf("create work folder: %w", err)
	}
	defer os.RemoveAll(work)
	facts, err := machineFacts(ctx, o)
	if err != nil {
		return err
	}
	var results []result
	for _, n := range counts {
		fmt.Fprintf(progress, "bench: %d real clusters (%d processes)\n", n, 6*n)
		measured, err := measureReal(ctx, o, n, filepath.Join(work, "real"+strconv.Itoa(n)), progress)
		if err != nil {
			return fmt.Errorf("measure %d real clusters: %w", n, err)
		}
		results = append(results, measured...)
	}
	if o.fake > 0 {
		fmt.Fprintf(progress, "bench: %d fake clusters\n", o.fake)
		measured, err := measureFleet(ctx, o, filepath.Join(work, "fleet"), progress)
		if err != nil {
			return fmt.Errorf("measure %d fake clusters: %w", o.fake, err)
		}
		results = append(results, measured...)
	}
	rows := judge(results)
	fmt.Fprint(out, table(rows))
	if o.report == "" {
		return nil
	}
	return rewrite(o.report, facts, rows)
}

func numbers(list string) ([]int, error) {
	var all []int
	for field := range strings.SplitSeq(list, ",") {
		if field = strings.TrimSpace(field); field == "" {
			continue
		}
		n, err := strconv.Atoi(field)
		if err != nil || n < 1 {
			return nil, errors.New("-real wants numbers such as 1,10,50")
		}
		all = append(all, n)
	}
	return all, nil
}
