package proxy

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"
)

// runner measures loads on a bed. counts are how many commands make a run about
// as long as o.length, found out by a first run that is not counted.
type runner struct {
	o        options
	bed      *bed
	progress io.Writer
	counts   map[place]int
}

// measureLoads measures every load, each round all targets one after the other.
func (r *runner) measureLoads(ctx context.Context, into series) error {
	for _, l := range r.o.loads {
		fmt.Fprintf(r.progress, "bench: %s%s\n", l, map[bool]string{true: ", pinned"}[r.pinned()])
		if err := fill(endpoint(r.bed.redis[0]), l); err != nil {
			return err
		}
		for _, op := range ops {
			for round := -1; round < r.o.rounds; round++ {
				if err := r.round(ctx, l, op, round, into); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (r *runner) pinned() bool { return r.bed.cpu >= 0 }

// round runs a load on each target. Round -1 warms up and counts nothing. Every
// second round goes backwards, so that nobody always runs after the same one.
func (r *runner) round(ctx context.Context, l load, op string, round int, into series) error {
	for i := range r.bed.targets {
		if round%2 != 0 {
			i = len(r.bed.targets) - 1 - i
		}
		t := r.bed.targets[i]
		at := place{r.pinned(), l.name, op, t.name}
		s, err := r.once(ctx, l, op, t, at)
		if err != nil {
			return fmt.Errorf("measure %s of %s on %s: %w", op, l.name, t.name, err)
		}
		if round < 0 {
			r.counts[at] = max(1000, int(s.rps*r.o.length.Seconds()))
			continue
		}
		into[at] = append(into[at], s)
	}
	return nil
}

// once runs one load on one target.
func (r *runner) once(ctx context.Context, l load, op string, t target, at place) (sample, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	count := r.counts[at]
	if count == 0 {
		count = max(2000, l.clients*l.pipeline*4)
	}
	host, port, err := net.SplitHostPort(t.addr)
	if err != nil {
		return sample{}, err
	}
	before, err := t.computed()
	if err != nil {
		return sample{}, err
	}
	s, err := fire(ctx, benchmarkArgs(l, op, host, port, count), generatorCPU(r.pinned()))
	if err != nil {
		return sample{}, err
	}
	after, err := t.computed()
	s.cpu = (after - before) / time.Duration(count)
	return s, err
}

// generatorCPU is where the load generator runs: pinned, it has processor 0 for
// itself, and the server and the proxy share processor 1.
func generatorCPU(pinned bool) int {
	if pinned {
		return 0
	}
	return -1
}

func serverCPU(pinned bool) int {
	if pinned {
		return 1
	}
	return -1
}

// computed is the CPU time of the target's proxy, 0 when it has none.
func (t target) computed() (time.Duration, error) {
	if t.pid == 0 {
		return 0, nil
	}
	return t.pid.cpu()
}
