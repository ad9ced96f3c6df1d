package dispatch

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"rsm/runtime/bus"
)

const (
	// most is how many events are read at once, and largest about how many bytes; ahead
	// is how often that is done before Redis has done what comes of the first.
	most    = 500
	ahead   = 3
	largest = 8 << 20
	// abandoned is for how long nobody must have had an event for another to take it.
	abandoned = 2 * time.Second
	// rounds is how often a batch is tried again when others were faster.
	rounds = 10
)

// consumer reads the stream.
type consumer struct {
	*Dispatcher
	claimed time.Time
	// count is how many events are asked for, so that large ones come by fewer.
	count int64
	moans moans
}

// consume hands on events until ctx ends. Until it knows handlers and rules it
// leaves them to others, or in the stream. While Redis does what comes of some, the
// next are read and evaluated.
func (d *Dispatcher) consume(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-d.ready:
	}
	batches := make(chan *batch, ahead)
	c := &consumer{Dispatcher: d, count: most}
	go func() {
		defer close(batches)
		c.evaluate(ctx, batches)
	}()
	failed := trouble{log: d.Log, what: "hand on events"}
	for b := range batches {
		if err := c.handOn(b.join(batches)); err != nil {
			d.meter.errors.Inc()
			failed.wait(ctx, err)
			continue
		}
		failed.over()
	}
	return nil
}

// evaluate reads events and decides what comes of them, until ctx ends.
func (c *consumer) evaluate(ctx context.Context, batches chan<- *batch) {
	failed := trouble{log: c.Log, what: "read events"}
	for ctx.Err() == nil {
		entries, err := c.read(ctx)
		if err != nil {
			c.meter.errors.Inc()
			failed.wait(ctx, err)
			continue
		}
		failed.over()
		if len(entries) == 0 {
			continue
		}
		b, size := newBatch(c.plan.Load(), c.Role.Dispatcher), 0
		for _, entry := range entries {
			size += c.take(b, entry)
		}
		c.count = int64(min(max(largest*len(entries)/max(size, 1), 1), most))
		batches <- b
	}
}

// read returns events of dispatchers that are gone, or new ones, waiting a little.
func (c *consumer) read(ctx context.Context) ([]redis.XMessage, error) {
	if time.Since(c.claimed) > around(abandoned/4) {
		c.claimed = time.Now()
		entries, _, err := c.client.XAutoClaim(ctx, &redis.XAutoClaimArgs{Stream: bus.Stream, Group: bus.Group,
			Consumer: c.Role.Dispatcher.Name, MinIdle: abandoned, Start: "0-0", Count: c.count}).Result()
		if err != nil || len(entries) > 0 {
			c.meter.claimed.Add(float64(len(entries)))
			return entries, c.regroup(ctx, err)
		}
	}
	streams, err := c.client.XReadGroup(ctx, &redis.XReadGroupArgs{Group: bus.Group, Consumer: c.Role.Dispatcher.Name,
		Streams: []string{bus.Stream, ">"}, Count: c.count, Block: abandoned / 8}).Result()
	if err != nil || len(streams) == 0 {
		return nil, c.regroup(ctx, err)
	}
	return streams[0].Messages, nil
}

// regroup makes the group when it is not there, as at the beginning and after Redis
// has lost everything.
func (c *consumer) regroup(ctx context.Context, err error) error {
	switch {
	case err == nil, errors.Is(err, redis.Nil):
		return nil
	case !strings.Contains(err.Error(), "NOGROUP"):
		return fmt.Errorf("read events: %w", err)
	}
	at, err := groupScript.Run(ctx, c.client, nil, bus.Stream, bus.Group).Text()
	if err != nil {
		return fmt.Errorf("make the group of dispatchers: %w", err)
	}
	c.Log.Info("made the group of dispatchers", "from", at)
	return nil
}

// handOn does what comes of events, also when the dispatcher ends meanwhile. When
// that fails, they are given to somebody else after a while, and are done as a whole
// or not at all.
func (c *consumer) handOn(b *batch) error {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	for round := range rounds {
		b.now = c.clock.Now()
		if err := c.settle(ctx, b); err != nil {
			return err
		}
		if len(b.open) == 0 {
			return nil
		}
		c.meter.conflicts.Add(float64(len(b.open)))
		pause(ctx, around(time.Duration(round+1)*time.Millisecond))
	}
	return fmt.Errorf("%d events wait: others change the same alerts all the time", len(b.open))
}

// take adds an entry to a batch and returns its size.
func (c *consumer) take(b *batch, entry redis.XMessage) int {
	text, _ := entry.Values["j"].(string)
	j := b.judge(entry.ID, text)
	switch {
	case j.reason != "":
		c.meter.dead.Inc()
		c.moans.warn(c.Log, "event is no good", "entry", entry.ID, "error", j.reason)
	case j.lost != nil:
		c.meter.dead.Inc()
		c.moans.warn(c.Log, "hand on event", "entry", entry.ID, "error", j.lost)
	case j.failed != nil:
		c.meter.failed.Inc()
		c.moans.warn(c.Log, "evaluate event", "entry", entry.ID, "error", j.failed)
	}
	c.meter.event(j, c.clock.Now())
	return len(text)
}

// settle does all that can be done of a batch now. What is left stays open.
func (c *consumer) settle(ctx context.Context, b *batch) error {
	fingerprints, single := b.fingerprints()
	notes, err := c.fields(ctx, passed, single) // before what they are about
	if err != nil {
		return err
	}
	known, err := c.states(ctx, fingerprints)
	if err != nil {
		return err
	}
	for fingerprint, at := range notes {
		state := known[fingerprint]
		state.passed = at
		known[fingerprint] = state
	}
	work, of := b.commit(known)
	r, err := work.run(ctx, c.client)
	if err != nil {
		return err
	}
	c.clock.set(r.now)
	c.meter.result(r)
	b.settled(of, r.units)
	if b.stirred {
		b.stirred = false
		c.soon()
	}
	return nil
}

// states reads alerts.
func (d *Dispatcher) states(ctx context.Context, fingerprints []string) (map[string]known, error) {
	values, err := d.fields(ctx, Alerts, fingerprints)
	if err != nil {
		return nil, err
	}
	found := make(map[string]known, len(fingerprints))
	for fingerprint, value := range values {
		found[fingerprint] = newKnown(fingerprint, value)
	}
	return found, nil
}

// fields reads those fields of a hash that are there.
func (d *Dispatcher) fields(ctx context.Context, key string, names []string) (map[string]string, error) {
	found := map[string]string{}
	for len(names) > 0 {
		now := names[:min(len(names), 5000)]
		names = names[len(now):]
		values, err := d.client.HMGet(ctx, key, now...).Result()
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", key, err)
		}
		for i, value := range values {
			if text, ok := value.(string); ok {
				found[now[i]] = text
			}
		}
	}
	return found, nil
}
