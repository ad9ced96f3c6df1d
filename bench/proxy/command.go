// Package proxy measures rsm's proxy beside HAProxy and nutcracker (twemproxy):
// what each costs in throughput, latency, CPU and memory compared with a direct
// connection to the same redis-server, and what clients see of a failover.
//
//	make bench-proxy                              everything; rewrites the section in docs/benchmarks.md
//	cd bench && go run . proxy -quick             direct and rsm, every load, in half a minute
//	cd bench && go run . proxy -quick -only c50-P1 -rounds 7
//	cd bench && go run . proxy -quick -only c50-P1,c50-P16 -pinned -unpinned=false
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
	quick                    bool
}

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
	found := series{}
	for i, pin := range o.placements {
		if err := measurePlacement(ctx, o, filepath.Join(work, fmt.Sprint("bed", i)), pin, found, progress); err != nil {
			return err
		}
	}
	fmt.Fprint(out, loadText(o, found))
	return nil
}

func measurePlacement(ctx context.Context, o options, dir string, pin bool, into series, progress io.Writer) error {
	b, err := startBed(ctx, o, dir, serverCPU(pin))
	defer b.stop()
	if err != nil {
		return err
	}
	r := &runner{o: o, bed: b, progress: progress, counts: map[place]int{}}
	return r.measureLoads(ctx, into)
}

func parse(args []string, usage io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("bench proxy", flag.ContinueOnError)
	flags.SetOutput(usage)
	flags.StringVar(&o.rsm, "rsm", "../bin/rsm", "the rsm `binary`")
	flags.StringVar(&o.rsmCommand, "rsm-command", "{rsm} proxy --config {config}", "the `command` that runs rsm's proxy; {rsm}, {config}, {listen} and {redis} are filled in")
	flags.StringVar(&o.rsmAddr, "rsm-addr", "", "measure the proxy that already listens at this `address` as rsm")
	flags.IntVar(&o.rsmPID, "rsm-pid", 0, "with -rsm-addr, the `pid` whose CPU time counts")
	flags.StringVar(&o.report, "report", "", "the Markdown `file` whose proxy section to rewrite; empty writes none")
	flags.IntVar(&o.rounds, "rounds", 5, "measured `rounds`")
	flags.DurationVar(&o.length, "length", 1500*time.Millisecond, "how `long` one run of redis-benchmark takes")
	flags.BoolVar(&o.quick, "quick", false, "only direct and rsm, three short rounds, only throughput; flags that are given win")
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
		o.beQuick(given, targets)
	}
	if *free {
		o.placements = append(o.placements, false)
	}
	if *pin {
		o.placements = append(o.placements, true)
	}
	return o.choose(*only, *targets)
}

// beQuick sets what was not given to what a person wants who tunes the proxy.
func (o *options) beQuick(given map[string]bool, targets *string) {
	if !given["rounds"] {
		o.rounds = 3
	}
	if !given["length"] {
		o.length = 300 * time.Millisecond
	}
	if !given["targets"] {
		*targets = direct + "," + rsm
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
