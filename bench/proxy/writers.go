package proxy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// writer is a client that writes one key after the other and remembers which
// writes were acknowledged, and when.
type writer struct {
	addr, prefix string
	acks         []ack
	failed       reasons // requests that got an error or lost their connection
	begun, ended time.Time
}

// reasons counts errors by their kind.
type reasons map[string]int

// reason is the first word of an error reply, or what became of the connection.
func reason(err error) string {
	if isRefused(err) {
		word, _, _ := strings.Cut(err.Error(), " ")
		return word
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "no reply"
	}
	return "closed"
}

func (r reasons) add(more reasons) {
	for word, n := range more {
		r[word] += n
	}
}

// total is how many errors there were.
func (r reasons) total() int {
	sum := 0
	for _, n := range r {
		sum += n
	}
	return sum
}

// String is "3: 2 INDOUBT, 1 closed".
func (r reasons) String() string {
	text, sep := fmt.Sprint(r.total()), ": "
	for _, word := range slices.Sorted(maps.Keys(r)) {
		text, sep = text+fmt.Sprintf("%s%d %s", sep, r[word], word), ", "
	}
	return text
}

// ack is an acknowledged write.
type ack struct {
	seq int
	at  time.Time
}

// patience is how long a writer waits for a reply, pace the pause after each, and
// retry the one before it connects again.
const (
	patience = 20 * time.Second
	pace     = time.Millisecond
	retry    = 5 * time.Millisecond
)

func (w *writer) key(seq int) string { return fmt.Sprintf("%s:%d", w.prefix, seq) }

// run writes until the context ends. A failed write is not repeated: the next key
// has its own.
func (w *writer) run(ctx context.Context) {
	w.begun, w.failed = time.Now(), reasons{}
	defer func() { w.ended = time.Now() }()
	var c *client
	for seq := 0; ctx.Err() == nil; seq++ {
		var err error
		if c == nil {
			c, err = dial(w.addr, patience)
		}
		if err == nil {
			_, err = c.do("SET", w.key(seq), "1")
		}
		if err == nil {
			w.acks = append(w.acks, ack{seq, time.Now()})
			time.Sleep(pace)
			continue
		}
		w.failed[reason(err)]++
		if c != nil && !isRefused(err) {
			c.close()
			c = nil
		}
		time.Sleep(retry)
	}
	if c != nil {
		c.close()
	}
}

// stall is the longest time that the writer went without an acknowledged write.
func (w *writer) stall() time.Duration {
	longest, last := time.Duration(0), w.begun
	for _, a := range w.acks {
		longest, last = max(longest, a.at.Sub(last)), a.at
	}
	return max(longest, w.ended.Sub(last))
}

// crew is some writers through the same address.
type crew struct {
	writers []*writer
	stop    context.CancelFunc
	work    sync.WaitGroup
}

// startCrew starts writers through an address.
func startCrew(ctx context.Context, addr, prefix string) *crew {
	const many = 8
	ctx, stop := context.WithCancel(ctx)
	c := &crew{stop: stop}
	for i := range many {
		w := &writer{addr: addr, prefix: fmt.Sprintf("%s-%d", prefix, i)}
		c.writers = append(c.writers, w)
		c.work.Go(func() { w.run(ctx) })
	}
	return c
}

// end stops the writers; only then they may be looked at.
func (c *crew) end() {
	c.stop()
	c.work.Wait()
}

// gap is the longest time after a moment in which no writer got an
// acknowledgement: from the last one before it to the first one after it, or to
// the end of all writing.
func (c *crew) gap(moment time.Time) (from, to time.Time) {
	var all []time.Time
	for _, w := range c.writers {
		for _, a := range w.acks {
			all = append(all, a.at)
		}
		all = append(all, w.ended)
	}
	slices.SortFunc(all, time.Time.Compare)
	for i := 1; i < len(all); i++ {
		// Replies that were on their way still arrive after the moment.
		if all[i].After(moment) && all[i].Sub(all[i-1]) > to.Sub(from) {
			from, to = all[i-1], all[i]
		}
	}
	return from, to
}

// lost lists when the writes were acknowledged that the server does not have.
func (c *crew) lost(addr string) ([]time.Time, error) {
	conn, err := dial(addr, patience)
	if err != nil {
		return nil, fmt.Errorf("look for writes: %w", err)
	}
	defer conn.close()
	var missing []time.Time
	for _, w := range c.writers {
		for part := range slices.Chunk(w.acks, 1000) {
			commands := make([][]string, len(part))
			for i, a := range part {
				commands[i] = []string{"EXISTS", w.key(a.seq)}
			}
			err := conn.pipeline(commands, func(i int, reply []string) {
				if reply[0] != "1" {
					missing = append(missing, part[i].at)
				}
			})
			if err != nil {
				return nil, fmt.Errorf("look for writes: %w", err)
			}
		}
	}
	slices.SortFunc(missing, time.Time.Compare)
	return missing, nil
}

// probe writes to a server directly until it accepts, and returns when that was.
// A replica refuses with READONLY; Sentinel cuts the clients of the one that it
// promotes, so a broken connection is made again.
func probe(ctx context.Context, addr string) (time.Time, error) {
	err := errors.New("no time to ask")
	for ctx.Err() == nil {
		var c *client
		if c, err = dial(addr, time.Second); err == nil {
			for err = refused(""); isRefused(err) && ctx.Err() == nil; time.Sleep(time.Millisecond) {
				if _, err = c.do("SET", "probe", "1"); err == nil {
					c.close()
					return time.Now(), nil
				}
			}
			c.close()
		}
		time.Sleep(time.Millisecond)
	}
	return time.Time{}, fmt.Errorf("probe %s: %w", addr, err)
}
