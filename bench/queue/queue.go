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
	slow          bool
}

// contender is a task queue.
type contender interface {
	name() string
	// add puts n tasks with a payload of 64 bytes into the queue, as fast as it can.
	add(ctx context.Context, addr string, n int) error
	// work runs tasks until the context ends; each is told to done with its payload.
	work(ctx context.Context, addr string, concurrency int, done func(payload []byte)) error
	// submit returns what adds one task.
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
	flags.BoolVar(&o.slow, "slow", false, "measure the redelivery of asynq, too: two minutes")
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
		if err := b.round(ctx, round); err != nil {
			return err
		}
	}
	if o.slow {
		fmt.Fprintln(progress, "bench: the redelivery of asynq")
		if err := b.redelivery(ctx, asynqDefault); err != nil {
			return fmt.Errorf("redelivery of asynq: %w", err)
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

func (b *bench) median(what string) float64 { return middle(b.found[what]) }

// middle is the median; of an even number the lower of the two, 0 of none.
func middle(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(values))[(len(values)-1)/2]
}

// ratio is the median of how many times as fast rsm was in each round, so that a
// slow minute of the machine weighs on both.
func (b *bench) ratio(what string) float64 {
	ours, theirs := b.found[what+", rsm"], b.found[what+", asynq"]
	all := make([]float64, min(len(ours), len(theirs)))
	for i := range all {
		all[i] = ours[i] / theirs[i]
	}
	return middle(all)
}

// rates is a median, and the slowest and the fastest round.
func (b *bench) rates(what string) string {
	values := b.found[what]
	if len(values) == 0 {
		return ""
	}
	return fmt.Sprintf("%.0f (%.0f to %.0f)", middle(values), slices.Min(values), slices.Max(values))
}

// The settings of Redis that rates are measured with.
var (
	plain   = setup{name: "plain"}
	durable = setup{name: "AOF and a replica", aof: true, replica: true}
)

// round measures everything once; every second one begins with asynq.
func (b *bench) round(ctx context.Context, n int) error {
	both, all := []contender{rsm{}, asynqDefault}, []contender{rsm{}, asynqDefault, asynqOften}
	if n%2 == 1 {
		slices.Reverse(both)
		slices.Reverse(all)
	}
	steps := []step{{"memory", both, b.memory}, {"adding", both, b.adding}}
	for _, load := range loads {
		steps = append(steps, step{"rate", both, func(ctx context.Context, c contender) error { return b.rate(ctx, c, load.setup, load.slots) }})
	}
	if n%2 == 0 { // these take long, and differ little
		steps = append(steps, step{"latency", all, b.latency}, step{"redelivery", []contender{rsm{}}, b.redelivery})
	}
	for _, s := range steps {
		for _, c := range s.of {
			if err := s.measure(ctx, c); err != nil {
				return fmt.Errorf("%s of %s: %w", s.what, c.name(), err)
			}
		}
	}
	return nil
}

// step is a measurement that contenders take one after the other.
type step struct {
	what    string
	of      []contender
	measure func(context.Context, contender) error
}

// loads are what rates are measured with, and by how much rsm should be faster.
var loads = []struct {
	setup
	slots int
	goal  float64
}{{plain, 10, 4}, {plain, 50, 10}, {durable, 50, 12}}

// rows judges the medians.
func (b *bench) rows() [][]string {
	var rows [][]string
	for _, l := range loads {
		what := fmt.Sprintf("%s, %d slots", l.setup.name, l.slots)
		ratio := b.ratio(what)
		rows = append(rows, []string{"tasks run in a second, " + what, b.rates(what + ", rsm"), b.rates(what + ", asynq"),
			met(ratio >= l.goal, fmt.Sprintf("≥ %.0f×: %.1f×", l.goal, ratio))})
	}
	for _, what := range []string{addOne, addMany} {
		rows = append(rows, []string{what, b.rates(what + ", rsm"), b.rates(what + ", asynq"), ""})
	}
	rows = append(rows, []string{addBatch, b.rates(addBatch + ", rsm"), "has none", ""})
	ms := func(c contender, q string) string { return fmt.Sprintf("%.2f ms", b.median(q+", "+c.name())) }
	p99 := b.median("p99, rsm")
	rows = append(rows,
		[]string{"from adding to starting a task, 1,000 in a second: median", ms(rsm{}, "p50"), ms(asynqDefault, "p50") + "; " + ms(asynqOften, "p50") + " when it polls every 10 ms", ""},
		[]string{"the same, 99th percentile", ms(rsm{}, "p99"), ms(asynqDefault, "p99") + "; " + ms(asynqOften, "p99"), met(p99 <= 2, "≤ 2 ms")})
	again, theirs := b.median("redelivery, rsm"), "not measured: -slow"
	if b.slow {
		theirs = fmt.Sprintf("%.1f s", b.median("redelivery, asynq"))
	}
	rows = append(rows, []string{"until the task of a worker that was killed with -9 runs again, lease 2 s", fmt.Sprintf("%.2f s", again), theirs, met(again <= 3, "≤ 3 s")})
	each := b.median("bytes, rsm")
	return append(rows, []string{"memory of a task that waits, payload 64 bytes", fmt.Sprintf("%.0f B", each), fmt.Sprintf("%.0f B", b.median("bytes, asynq")), met(each <= 250, "≤ 250 B")})
}

func met(ok bool, goal string) string {
	if ok {
		return goal + " (met)"
	}
	return goal + " (MISSED)"
}
