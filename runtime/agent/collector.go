package agent

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// collector reads one part of the host.
type collector struct {
	name string
	// every is how often it runs; 0 means for every sample.
	every time.Duration
	// read may take as long as it likes, see guard. It returns what puts its values
	// into a sample.
	read func() (put, error)
}

// put writes values into a sample.
type put func(*Sample)

// guard runs a collector so that it cannot hold up others. While a run hangs no
// other begins: a statfs of a dead mount cannot be ended, and must not pile up.
type guard struct {
	collector
	done    chan outcome // of the run under way, nil when there is none
	began   time.Time
	last    put // of the last run that succeeded
	problem string
}

type outcome struct {
	put put
	err error
}

// collectors are all parts of one host. Not safe for concurrent use.
type collectors struct {
	guards []*guard
	// limit is how long a sample waits for a collector.
	limit time.Duration
	// trouble hears of a collector that begins to fail, and of its end with an
	// empty text.
	trouble func(name, text string)
}

// add begins with a collector; the name is told in Sample.Stale.
func (c *collectors) add(one collector) {
	c.guards = append(c.guards, &guard{collector: one})
}

// keep drops the collectors with a prefix whose names are not in the list.
func (c *collectors) keep(names func(name string) bool) {
	c.guards = slices.DeleteFunc(c.guards, func(g *guard) bool { return !names(g.name) })
}

func (c *collectors) has(name string) bool {
	return slices.ContainsFunc(c.guards, func(g *guard) bool { return g.name == name })
}

// fill runs every collector that is due and puts what they have into the sample.
// One that does not answer within the limit, or fails, leaves its last values, and
// its name in Stale.
func (c *collectors) fill(ctx context.Context, s *Sample, now time.Time) {
	ctx, cancel := context.WithTimeout(ctx, c.limit)
	defer cancel()
	fresh := make([]bool, len(c.guards))
	for i, g := range c.guards {
		fresh[i] = g.start(now)
	}
	for i, g := range c.guards {
		text, wait := "", ctx
		if !fresh[i] { // it hangs since an earlier sample: nobody waits for it again
			wait = ended
		}
		if err := g.finish(wait); err != nil {
			text = err.Error()
			s.Stale = append(s.Stale, g.name)
		}
		if text != g.problem && c.trouble != nil {
			c.trouble(g.name, text)
		}
		g.problem = text
		if g.last != nil {
			g.last(s)
		}
	}
}

// ended is a context that is over.
var ended = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// start begins a run when one is due, and reports whether none has been under way
// before.
func (g *guard) start(now time.Time) bool {
	if g.done != nil {
		return false
	}
	if g.every > 0 && now.Sub(g.began) < g.every && g.problem == "" {
		return true
	}
	g.began = now
	done := make(chan outcome, 1)
	g.done = done
	go func() {
		var o outcome
		defer func() { done <- o }()
		defer func() {
			if crash := recover(); crash != nil {
				o = outcome{err: fmt.Errorf("crashed: %v", crash)}
			}
		}()
		o.put, o.err = g.read()
	}()
	return true
}

// finish takes the result of the run under way.
func (g *guard) finish(ctx context.Context) error {
	if g.done == nil {
		return nil
	}
	var o outcome
	select {
	case o = <-g.done:
	default:
		select {
		case o = <-g.done:
		case <-ctx.Done():
			return fmt.Errorf("no answer in time")
		}
	}
	g.done = nil
	if o.err != nil {
		return o.err
	}
	g.last = o.put
	return nil
}
