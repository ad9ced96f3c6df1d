// Package queue measures rsm's workers beside asynq: the same tasks in the same
// Redis on the same machine, in turns.
package queue

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"rsm/bench/page"
)

type options struct {
	rsm, report   string
	tasks, rounds int
	span          time.Duration
}

// contender is a task queue.
type contender interface {
	name() string
	// add puts n tasks with a payload of 64 bytes into the queue, as fast as it can.
	add(ctx context.Context, addr string, n int) error
	// work runs tasks until the context ends; each is told to done with its payload.
	work(ctx context.Context, addr string, concurrency int, done func(payload []byte)) error
	// submit adds one task.
	submit(ctx context.Context, addr string) (add func(payload []byte) error, end func(), err error)
}

// Run is the command "bench queue".
func Run(ctx context.Context, args []string, out, progress io.Writer) error {
	var o options
	flags := flag.NewFlagSet("bench queue", flag.ContinueOnError)
	flags.SetOutput(progress)
	flags.StringVar(&o.rsm, "rsm", "bin/rsm", "the rsm `binary`, for its version")
	flags.StringVar(&o.report, "report", "", "the Markdown `file` whose queue section to rewrite; empty writes none")
	flags.IntVar(&o.tasks, "tasks", 50_000, "`number` of tasks in each measurement")
	flags.IntVar(&o.rounds, "rounds", 3, "`number` of rounds, of which the medians count")
	flags.DurationVar(&o.span, "span", 5*time.Second, "how `long` tasks come at 1,000 in a second")
	if err := flags.Parse(args); err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "rsm-bench-")
	if err != nil {
		return fmt.Errorf("create work folder: %w", err)
	}
	defer os.RemoveAll(work)
	b := &bench{options: o, dir: work, progress: progress, found: map[string][]float64{}}
	for round := range o.rounds {
		fmt.Fprintf(progress, "bench: round %d\n", round+1)
		if err := b.round(ctx); err != nil {
			return err
		}
	}
	header := []string{"what", "rsm", "asynq", "goal"}
	rows := b.rows()
	fmt.Fprint(out, page.Text(header, rows))
	if o.report == "" {
		return nil
	}
	binary, err := filepath.Abs(o.rsm)
	if err != nil {
		return err
	}
	facts, err := page.Machine(ctx, "make bench-queue", binary)
	if err != nil {
		return err
	}
	return page.Rewrite(o.report, "queue", page.Markdown(header, rows)+facts.Markdown())
}

// bench collects figures by name.
type bench struct {
	options
	dir      string
	progress io.Writer
	serial   int
	found    map[string][]float64
}

func (b *bench) note(what string, value float64) {
	b.found[what] = append(b.found[what], value)
	fmt.Fprintf(b.progress, "bench: %-40s %.2f\n", what, value)
}

func (b *bench) median(what string) float64 {
	values := slices.Sorted(slices.Values(b.found[what]))
	if len(values) == 0 {
		return 0
	}
	return values[len(values)/2]
}

// The settings of Redis that rates are measured with.
var (
	plain   = setup{name: "plain"}
	durable = setup{name: "AOF and a replica", aof: true, replica: true}
)

func (b *bench) round(ctx context.Context) error {
	both := []contender{rsm{}, asynqDefault}
	for _, c := range both {
		if err := b.memory(ctx, c); err != nil {
			return fmt.Errorf("memory of %s: %w", c.name(), err)
		}
		for _, load := range []struct {
			setup
			slots int
		}{{plain, 10}, {plain, 50}, {durable, 50}} {
			if err := b.rate(ctx, c, load.setup, load.slots); err != nil {
				return fmt.Errorf("rate of %s: %w", c.name(), err)
			}
		}
	}
	for _, c := range append(both, asynqOften) {
		if err := b.latency(ctx, c); err != nil {
			return fmt.Errorf("latency of %s: %w", c.name(), err)
		}
	}
	return b.redelivery(ctx)
}

// rows judges the medians.
func (b *bench) rows() [][]string {
	var rows [][]string
	for _, r := range []struct {
		what string
		goal float64
	}{{"plain, 10 slots", 4}, {"plain, 50 slots", 10}, {"AOF and a replica, 50 slots", 12}} {
		ours, theirs := b.median(r.what+", rsm"), b.median(r.what+", asynq")
		rows = append(rows, []string{"tasks in a second, " + r.what, fmt.Sprintf("%.0f", ours), fmt.Sprintf("%.0f", theirs),
			met(ours/theirs >= r.goal, fmt.Sprintf("≥ %.0f×: %.1f×", r.goal, ours/theirs))})
	}
	ms := func(c contender, q string) string { return fmt.Sprintf("%.2f ms", b.median(q+", "+c.name())) }
	p99 := b.median("p99, rsm")
	rows = append(rows,
		[]string{"from adding to starting a task, 1,000 in a second: median", ms(rsm{}, "p50"), ms(asynqDefault, "p50") + "; " + ms(asynqOften, "p50") + " when it polls every 10 ms", ""},
		[]string{"the same, 99th percentile", ms(rsm{}, "p99"), ms(asynqDefault, "p99") + "; " + ms(asynqOften, "p99"), met(p99 <= 2, "≤ 2 ms")})
	again := b.median("redelivery")
	rows = append(rows, []string{"until the task of a worker that was killed with -9 runs again, lease 2 s", fmt.Sprintf("%.2f s", again), "", met(again <= 3, "≤ 3 s")})
	each := b.median("bytes, rsm")
	return append(rows, []string{"memory of a task that waits, payload 64 bytes", fmt.Sprintf("%.0f B", each), fmt.Sprintf("%.0f B", b.median("bytes, asynq")), met(each <= 250, "≤ 250 B")})
}

func met(ok bool, goal string) string {
	if ok {
		return goal + " (met)"
	}
	return goal + " (MISSED)"
}
