// Package proxy measures rsm's proxy beside HAProxy and nutcracker (twemproxy):
// what each costs in throughput, latency, CPU and memory compared with a direct
// connection to the same redis-server, and what clients see of a failover.
//
//	make bench-proxy                              everything; rewrites the section in docs/benchmarks.md
//	cd bench && go run . proxy -quick             direct and rsm, every load, in half a minute
//	cd bench && go run . proxy -quick -only c50-P1 -rounds 7
//	cd bench && go run . proxy -quick -only c50-P1,c50-P16 -pinned -unpinned=false
//	cd bench && go run . proxy -parts failover -targets rsm -crashes 3 -failovers 3
//	cd bench && go run . proxy -quick -rsm-command '/tmp/mine -listen {listen} -to {redis}'
//	cd bench && go run . proxy -quick -rsm-addr 127.0.0.1:8889 -rsm-pid 4711
//
// A bed is one redis-server that saves nothing, three Sentinels, and the proxies
// before it, all started here on free loopback ports and stopped by their own
// pid. redis-benchmark burdens direct, haproxy, nutcracker and rsm one after the
// other in every round; see series.go for how rounds become numbers.
//
// Linux only: what processes use is read from /proc.
package proxy

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"rsm/bench/page"
)

// options are the flags.
type options struct {
	rsm, rsmCommand, rsmAddr string
	rsmPID                   int
	report                   string
	targets                  []string
	loads                    []load
	rounds                   int
	length                   time.Duration
	placements               []bool // pinned or not
	parts                    []string
	quick                    bool
	// How often each failover is repeated; see drills.
	crashes, failovers, manuals int
}

// The parts of the measurement.
const (
	partLoads    = "loads"
	partIdle     = "idle"
	partFailover = "failover"
)

// Run measures as the arguments say, prints tables to out, and rewrites the
// report when one is named. A missed target is a result, not an error.
func Run(ctx context.Context, args []string, out, progress io.Writer) error {
	o, err := parse(args, progress)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	if err := raiseLimit(); err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "rsm-bench-proxy-")
	if err != nil {
		return fmt.Errorf("create work folder: %w", err)
	}
	defer os.RemoveAll(work)
	found, err := measure(ctx, o, work, progress)
	fmt.Fprint(out, found.text(o)) // also what there is before an error
	if err != nil || o.report == "" {
		return err
	}
	facts, err := facts(ctx, o)
	if err != nil {
		return err
	}
	return page.Rewrite(o.report, "proxy", found.markdown(o)+facts.Markdown())
}

// results is everything that was measured.
type results struct {
	loads     series
	idle      []idle
	failovers []outcome
}

// measure measures the parts that were asked for.
func measure(ctx context.Context, o options, work string, progress io.Writer) (results, error) {
	found := results{loads: series{}}
	for i, pin := range o.placements {
		if !slices.Contains(o.parts, partLoads) {
			break
		}
		if err := measurePlacement(ctx, o, filepath.Join(work, fmt.Sprint("bed", i)), pin, found.loads, progress); err != nil {
			return found, err
		}
	}
	var err error
	if slices.Contains(o.parts, partIdle) {
		if found.idle, err = measureIdle(ctx, o, filepath.Join(work, "idle"), progress); err != nil {
			return found, err
		}
	}
	if slices.Contains(o.parts, partFailover) {
		found.failovers, err = measureFailovers(ctx, o, filepath.Join(work, "failover"), progress)
	}
	return found, err
}

// facts says on what and with what was measured.
func facts(ctx context.Context, o options) (page.Facts, error) {
	all, err := page.Machine(ctx, "make bench-proxy", o.rsm)
	if err != nil {
		return nil, err
	}
	// nutcracker tells its version where others tell errors.
	for _, peer := range [][]string{{"HAProxy", "haproxy", "-v"}, {"nutcracker", "sh", "-c", "nutcracker -V 2>&1"}} {
		line, err := page.FirstLine(ctx, peer[1:]...)
		if err != nil {
			return nil, err
		}
		all = append(all, page.Fact{Name: peer[0], Value: version(line)})
	}
	return append(all, page.Fact{Name: "Descriptors", Value: fmt.Sprintf("at most %d per process", descriptors())}), nil
}

// version is the word of a line that begins with a digit or holds one after a
// dash: "2.6.12-1+deb12u4", "nutcracker-0.5.0".
func version(line string) string {
	for word := range strings.FieldsSeq(line) {
		word = strings.TrimPrefix(word, nutcracker+"-")
		if word[0] >= '0' && word[0] <= '9' {
			return word
		}
	}
	return line
}

func measurePlacement(ctx context.Context, o options, dir string, pin bool, into series, progress io.Writer) error {
	b, err := startBed(ctx, o, dir, serverCPU(pin))
	if err != nil {
		return err
	}
	defer b.stop()
	r := &runner{o: o, bed: b, progress: progress, counts: map[place]int{}}
	return r.measureLoads(ctx, into)
}

func parse(args []string, usage io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("bench proxy", flag.ContinueOnError)
	flags.SetOutput(usage)
	flags.StringVar(&o.rsm, "rsm", "../bin/rsm", "the rsm `binary`")
	flags.StringVar(&o.rsmCommand, "rsm-command", "{rsm} proxy {config}", "the `command` that runs the proxy that is measured as rsm; {rsm}, {config} (a spec), {listen} and {redis} are filled in")
	flags.StringVar(&o.rsmAddr, "rsm-addr", "", "measure the proxy that already listens at this `address` as rsm")
	flags.IntVar(&o.rsmPID, "rsm-pid", 0, "with -rsm-addr, the `pid` whose CPU time counts")
	flags.StringVar(&o.report, "report", "", "the Markdown `file` whose proxy section to rewrite; empty writes none")
	flags.IntVar(&o.rounds, "rounds", 5, "measured `rounds`")
	flags.DurationVar(&o.length, "length", 1500*time.Millisecond, "how `long` one run of redis-benchmark takes")
	flags.BoolVar(&o.quick, "quick", false, "only direct and rsm, three short rounds, only throughput; flags that are given win")
	flags.IntVar(&o.crashes, "crashes", 5, "`times` that a master is killed, for rsm and for HAProxy")
	flags.IntVar(&o.failovers, "failovers", 20, "`times` that rsm failover is measured")
	flags.IntVar(&o.manuals, "manuals", 3, "`times` that SENTINEL FAILOVER through HAProxy is measured")
	parts := flags.String("parts", partLoads+","+partIdle+","+partFailover, "measure these `parts`")
	only := flags.String("only", "", "measure these `loads` alone, for example c50-P1,c50-10kB")
	targets := flags.String("targets", strings.Join(targetNames, ","), "measure these `targets`")
	pin := flags.Bool("pinned", false, "measure with the load generator on processor 0, the server and the proxies on processor 1")
	free := flags.Bool("unpinned", true, "measure with no process pinned")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("bench proxy: unknown argument %q", flags.Arg(0))
	}
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if o.quick {
		o.beQuick(given, targets, parts)
	}
	if *free {
		o.placements = append(o.placements, false)
	}
	if *pin {
		o.placements = append(o.placements, true)
	}
	for part := range strings.SplitSeq(*parts, ",") {
		if !slices.Contains([]string{partLoads, partIdle, partFailover}, part) {
			return o, fmt.Errorf("-parts: there is no part %q", part)
		}
		o.parts = append(o.parts, part)
	}
	return o.choose(*only, *targets)
}

// beQuick sets what was not given to what a person wants who tunes the proxy.
func (o *options) beQuick(given map[string]bool, targets, parts *string) {
	if !given["rounds"] {
		o.rounds = 3
	}
	if !given["length"] {
		o.length = 250 * time.Millisecond
	}
	if !given["targets"] {
		*targets = direct + "," + rsm
	}
	if !given["parts"] {
		*parts = partLoads
	}
}

// choose reads the lists of names and makes paths absolute.
func (o options) choose(only, targets string) (options, error) {
	for name := range strings.SplitSeq(targets, ",") {
		if !slices.Contains(targetNames, name) {
			return o, fmt.Errorf("-targets: %q is none of %s", name, strings.Join(targetNames, ", "))
		}
		o.targets = append(o.targets, name)
	}
	if !slices.Contains(o.targets, direct) {
		o.targets = append([]string{direct}, o.targets...) // the measure of all others
	}
	o.loads = loads
	if only != "" {
		o.loads = nil
		for name := range strings.SplitSeq(only, ",") {
			i := slices.IndexFunc(loads, func(l load) bool { return strings.EqualFold(l.name, name) })
			if i < 0 {
				return o, fmt.Errorf("-only: there is no load %q", name)
			}
			o.loads = append(o.loads, loads[i])
		}
	}
	if o.rounds < 1 || o.length <= 0 {
		return o, errors.New("-rounds and -length want more than 0")
	}
	var err error
	o.rsm, err = filepath.Abs(o.rsm)
	return o, err
}
