package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// memory measures what a task costs that waits.
func (b *bench) memory(ctx context.Context, c contender) error {
	s, err := b.start(ctx, plain)
	if err != nil {
		return err
	}
	defer s.stop()
	before, err := s.used(ctx)
	if err != nil {
		return err
	}
	if err := c.add(ctx, s.addr, b.tasks); err != nil {
		return err
	}
	after, err := s.used(ctx)
	b.note("bytes, "+c.name(), float64(after-before)/float64(b.tasks))
	return err
}

// The ways to add tasks.
const (
	addOne   = "tasks added in a second, one after the other"
	addMany  = "tasks added in a second by 50 goroutines, one each"
	addBatch = "tasks added in a second, 100 at once"
)

// adding measures how fast tasks are added.
func (b *bench) adding(ctx context.Context, c contender) error {
	s, err := b.start(ctx, plain)
	if err != nil {
		return err
	}
	defer s.stop()
	for what, senders := range map[string]int{addOne: 1, addMany: 50} {
		n := b.tasks / 10 * min(senders, 5)
		took, err := b.submitAll(ctx, c, s.addr, n, senders)
		if err != nil {
			return err
		}
		b.note(what+", "+c.name(), float64(n)/took.Seconds())
	}
	if c != (rsm{}) {
		return nil
	}
	began := time.Now()
	err = c.add(ctx, s.addr, b.tasks)
	b.note(addBatch+", rsm", float64(b.tasks)/time.Since(began).Seconds())
	return err
}

// submitAll adds n tasks, each by itself, by some senders with one client.
func (b *bench) submitAll(ctx context.Context, c contender, addr string, n, senders int) (time.Duration, error) {
	add, end, err := c.submit(ctx, addr)
	if err != nil {
		return 0, err
	}
	defer end()
	var all sync.WaitGroup
	errs := make([]error, senders)
	began := time.Now()
	for i := range senders {
		all.Go(func() {
			for j := i; j < n && errs[i] == nil; j += senders {
				errs[i] = add(payload)
			}
		})
	}
	all.Wait()
	return time.Since(began), errors.Join(errs...)
}

// rate measures how many tasks that wait are run in a second: from the first to the
// last.
func (b *bench) rate(ctx context.Context, c contender, with setup, slots int) error {
	s, err := b.start(ctx, with)
	if err != nil {
		return err
	}
	defer s.stop()
	if err := c.add(ctx, s.addr, b.tasks); err != nil {
		return err
	}
	var ran atomic.Int64
	var first, last time.Time
	all := make(chan struct{})
	stop := inBackground(ctx, func(ctx context.Context) error {
		return c.work(ctx, s.addr, slots, func([]byte) {
			switch ran.Add(1) {
			case 1:
				first = time.Now()
			case int64(b.tasks):
				last = time.Now()
				close(all)
			}
		})
	})
	defer stop()
	select {
	case <-all:
	case <-time.After(time.Minute):
		return fmt.Errorf("%d of %d tasks were run in a minute", ran.Load(), b.tasks)
	}
	b.note(fmt.Sprintf("%s, %d slots, %s", with.name, slots, c.name()), float64(b.tasks)/last.Sub(first).Seconds())
	return stop()
}

// latency measures how long a task waits when a slot is free: 1,000 come in a
// second, whether those before were run or not.
func (b *bench) latency(ctx context.Context, c contender) error {
	s, err := b.start(ctx, plain)
	if err != nil {
		return err
	}
	defer s.stop()
	var mu sync.Mutex
	var took []time.Duration
	stop := inBackground(ctx, func(ctx context.Context) error {
		return c.work(ctx, s.addr, 10, func(payload []byte) {
			sent, _ := strconv.ParseInt(strings.Trim(string(payload), `"`), 10, 64)
			wait := time.Since(time.Unix(0, sent))
			mu.Lock()
			took = append(took, wait)
			mu.Unlock()
		})
	})
	defer stop()
	if err := b.thousand(ctx, c, s.addr); err != nil {
		return err
	}
	time.Sleep(2 * time.Second) // asynq sleeps up to 1.5 s
	mu.Lock()
	defer mu.Unlock()
	slices.Sort(took)
	if want := int(b.span.Seconds() * 1000); len(took) != want {
		return fmt.Errorf("%d of %d tasks were run", len(took), want)
	}
	for q, share := range map[string]float64{"p50": 0.50, "p99": 0.99} {
		b.note(q+", "+c.name(), float64(took[int(float64(len(took))*share)].Microseconds())/1000)
	}
	return nil
}

// thousand adds 1,000 tasks in a second, each on time, by four senders.
func (b *bench) thousand(ctx context.Context, c contender, addr string) error {
	const senders = 4
	var all sync.WaitGroup
	errs := make([]error, senders)
	begin := time.Now().Add(500 * time.Millisecond)
	for i := range senders {
		add, end, err := c.submit(ctx, addr)
		if err != nil {
			return err
		}
		all.Go(func() {
			defer end()
			for n := i; n < int(b.span.Seconds()*1000) && errs[i] == nil; n += senders {
				time.Sleep(time.Until(begin.Add(time.Duration(n) * time.Millisecond)))
				errs[i] = add(fmt.Appendf(nil, `"%d"`, time.Now().UnixNano()))
			}
		})
	}
	all.Wait()
	return errs[0]
}

// inBackground runs work until stop is called, which returns its error.
func inBackground(ctx context.Context, work func(context.Context) error) (stop func() error) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- work(ctx) }()
	return sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
}
