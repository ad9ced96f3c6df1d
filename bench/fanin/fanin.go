// Package fanin measures dispatchers under the events of many agents: simulated
// agents, each with a connection of its own, publish to one Redis; two dispatchers
// judge every event by three rules, and a handler gets one in a hundred.
package fanin

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"rsm/bench/page"
)

type options struct {
	rsm, report string
	agents      int
	span        time.Duration
}

// The goals at one message a second from each agent.
const goal = 50 * time.Millisecond

// Run is the command "bench fanin".
func Run(ctx context.Context, args []string, out, progress io.Writer) error {
	var o options
	flags := flag.NewFlagSet("bench fanin", flag.ContinueOnError)
	flags.SetOutput(progress)
	flags.StringVar(&o.rsm, "rsm", "bin/rsm", "the rsm `binary`")
	flags.StringVar(&o.report, "report", "", "the Markdown `file` whose fanin section to rewrite; empty writes none")
	flags.IntVar(&o.agents, "agents", 10_000, "`number` of agents")
	flags.DurationVar(&o.span, "span", 20*time.Second, "how `long` each rate is measured")
	if err := flags.Parse(args); err != nil {
		return err
	}
	var err error
	if o.rsm, err = filepath.Abs(o.rsm); err != nil {
		return err
	}
	facts, err := page.Machine(ctx, "make bench-fanin", o.rsm)
	if err != nil {
		return err
	}
	header := []string{"events/s wanted", "sent/s", "lost", "handed on: p50", "p99", "slowest", "CPU of Redis", "of the dispatchers", "of the agents", "goal"}
	var rows [][]string
	for _, interval := range []time.Duration{time.Second, 667 * time.Millisecond, 500 * time.Millisecond, 400 * time.Millisecond, 333 * time.Millisecond, 250 * time.Millisecond} {
		fmt.Fprintf(progress, "bench: %d agents, one event every %s\n", o.agents, interval)
		r, err := o.measure(ctx, interval)
		if err != nil {
			return fmt.Errorf("measure %d agents every %s: %w", o.agents, interval, err)
		}
		rows = append(rows, r.row(o, interval))
		if len(r.late) == 0 {
			return errors.New("no task was seen to be added")
		}
		if r.broken(float64(o.agents) / interval.Seconds()) {
			break
		}
	}
	fmt.Fprint(out, page.Text(header, rows))
	if o.report == "" {
		return nil
	}
	return page.Rewrite(o.report, "fanin", page.Markdown(header, rows)+facts.Markdown())
}

// measure runs everything anew for one rate.
func (o options) measure(ctx context.Context, interval time.Duration) (result, error) {
	work, err := os.MkdirTemp("", "rsm-bench-")
	if err != nil {
		return result{}, fmt.Errorf("create work folder: %w", err)
	}
	defer os.RemoveAll(work)
	s, err := start(ctx, o, work)
	if err != nil {
		return result{}, err
	}
	defer s.stop()
	crowd, err := connect(ctx, s.redis, o.agents, interval)
	if err != nil {
		return result{}, err
	}
	defer crowd.close()
	return s.watch(ctx, crowd, o.span)
}
