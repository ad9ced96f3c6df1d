package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// The failovers that are measured.
const (
	crash    = "kill -9 of the master"
	handover = "rsm failover"
	manual   = "SENTINEL FAILOVER"
)

// outcome is what the writers saw of one failover.
type outcome struct {
	kind, target string
	// late is how long after the new master accepted writes the first one got
	// through the proxy; only a crash has it.
	late time.Duration
	// outage is how long no writer got through, stall the longest wait of one.
	outage, stall time.Duration
	acked, lost   int
	failed        reasons
	// lostFrom and lostTo are when the first and the last lost write was
	// acknowledged, counted from the start of the failover.
	lostFrom, lostTo time.Duration
	again            bool // the master changed once more before the end
}

// String is a line for who waits for the end of the measurement.
func (o outcome) String() string {
	text := fmt.Sprintf("outage %s, stall %s, %d acknowledged, %d lost, failed %s", duration(o.outage), duration(o.stall), o.acked, o.lost, o.failed)
	if o.kind == crash {
		text = "late " + duration(o.late) + ", " + text
	}
	if o.lost > 0 {
		text += fmt.Sprintf("; the lost were acknowledged from %+.3f s to %+.3f s", o.lostFrom.Seconds(), o.lostTo.Seconds())
	}
	if o.again {
		text += "; the master changed once more"
	}
	return text
}

// drill is a kind of failover through one proxy, so many times.
type drill struct {
	kind, target string
	times        int
}

// drills are all that are measured: the crash through both proxies that follow a
// master, rsm's handover through rsm, and Sentinel's through HAProxy.
func drills(o options) []drill {
	return []drill{
		{crash, rsm, o.crashes}, {crash, haproxy, o.crashes},
		{handover, rsm, o.failovers}, {manual, haproxy, o.manuals},
	}
}

// measureFailovers runs every drill on one cluster.
func measureFailovers(ctx context.Context, o options, dir string, progress io.Writer) (found []outcome, err error) {
	var proxies []string
	for _, name := range o.targets {
		if name == haproxy || name == rsm {
			proxies = append(proxies, name)
		}
	}
	d, err := deploy(ctx, o, dir, proxies)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.remove()) }()
	for _, drill := range drills(o) {
		for _, t := range d.targets {
			if t.name != drill.target {
				continue
			}
			for i := range drill.times {
				fmt.Fprintf(progress, "bench: %s through %s, %d of %d\n", drill.kind, t.name, i+1, drill.times)
				one, err := d.drill(ctx, drill, t, i)
				if err != nil {
					return found, fmt.Errorf("measure %s through %s: %w", drill.kind, t.name, err)
				}
				found = append(found, one)
				fmt.Fprintf(progress, "bench: %s\n", one)
			}
		}
	}
	return found, nil
}

// drill lets writers write through a target while the master changes.
func (d deployed) drill(ctx context.Context, kind drill, t target, run int) (outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	if err := d.repair(ctx); err != nil {
		return outcome{}, err
	}
	if err := await(ctx, d.healthy); err != nil {
		return outcome{}, err
	}
	old, err := d.master()
	if err != nil {
		return outcome{}, err
	}
	if err := awaitMaster(ctx, t.addr); err != nil {
		return outcome{}, err
	}
	writers := startCrew(ctx, t.addr, fmt.Sprintf("%s-%d", t.name, run))
	defer writers.end()
	time.Sleep(500 * time.Millisecond) // of undisturbed writing
	began, accepted := time.Now(), time.Time{}
	switch kind.kind {
	case crash:
		accepted, err = d.crash(ctx, old)
	case handover:
		err = d.rsm(ctx, "failover", "--auto-approve", masterName, d.spec())
	case manual:
		_, err = ask(endpoint(d.sentinels[0]), "SENTINEL", "FAILOVER", masterName)
	}
	if err != nil {
		return outcome{}, err
	}
	return d.judge(ctx, kind, writers, old, began, accepted)
}

// judge waits until the failover is over, stops the writers and asks the new
// master what it has.
func (d deployed) judge(ctx context.Context, kind drill, writers *crew, old string, began, accepted time.Time) (outcome, error) {
	master := ""
	err := await(ctx, func() (err error) {
		if kind.kind == crash {
			master, err = d.only() // its replicas may still wait for the dead one
			return err
		}
		master, err = d.whole(old)
		return err
	})
	if err != nil {
		return outcome{}, err
	}
	time.Sleep(2 * time.Second) // of writing to the new one
	writers.end()
	first := master
	if err := await(ctx, func() (err error) { master, err = d.only(); return err }); err != nil {
		return outcome{}, err
	}
	o := outcome{kind: kind.kind, target: kind.target, failed: reasons{}, again: master != first}
	from, to := writers.gap(began)
	o.outage = to.Sub(from)
	if !accepted.IsZero() {
		o.late = max(0, to.Sub(accepted))
	}
	for _, w := range writers.writers {
		o.stall = max(o.stall, w.stall())
		o.acked += len(w.acks)
		o.failed.add(w.failed)
	}
	lost, err := writers.lost(master)
	if err != nil {
		return outcome{}, err
	}
	if o.lost = len(lost); o.lost > 0 {
		o.lostFrom, o.lostTo = lost[0].Sub(began), lost[len(lost)-1].Sub(began)
	}
	_, err = ask(master, "FLUSHALL")
	return o, err
}

// crash kills the master and returns when another server accepted a write.
func (d deployed) crash(ctx context.Context, old string) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := d.kill(old); err != nil {
		return time.Time{}, err
	}
	type answer struct {
		at  time.Time
		err error
	}
	answers, asked := make(chan answer, len(d.redis)), 0
	for _, port := range d.redis {
		if addr := endpoint(port); addr != old {
			asked++
			go func() {
				at, err := probe(ctx, addr)
				answers <- answer{at, err}
			}()
		}
	}
	var failed error
	for range asked {
		a := <-answers
		if a.err == nil {
			return a.at, nil
		}
		failed = errors.Join(failed, a.err)
	}
	return time.Time{}, failed
}

// awaitMaster waits until a proxy lets a write through.
func awaitMaster(ctx context.Context, addr string) error {
	return await(ctx, func() error {
		_, err := ask(addr, "SET", "probe", "1")
		return err
	})
}

// await asks again until there is no error.
func await(ctx context.Context, ask func() error) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		err := ask()
		if err == nil {
			return nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("wait for a minute: %w", err)
		}
	}
}
