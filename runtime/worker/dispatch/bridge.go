package dispatch

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"rsm/runtime/bus"
)

const (
	// pingEvery is how often the connection that listens is tried, silence is how long
	// nothing may come of it: then it is dead, whatever TCP says.
	pingEvery = time.Second
	silence   = 3 * time.Second
	// markEvery is the time between two marks.
	markEvery = 10 * time.Second
	// waiting is how many bytes wait at most while no master takes them.
	waiting = 64 << 20
	// carried is how many messages one script takes, and carriedBytes how many bytes.
	carried, carriedBytes = 500, 4 << 20
)

// bridge brings messages into the stream that were only published. See the package
// comment.
type bridge struct {
	client *bus.Client
	meter  *meter
	log    *slog.Logger

	place place
	mu    sync.Mutex
	// queue are messages that are to be carried, bytes how large they are.
	queue []message
	bytes int
	wake  chan struct{}
}

// message is one that was only published.
type message struct {
	mark   string
	number int
	// why says why it is refused, "" when it is not.
	id, why, text string
}

func newBridge(client *bus.Client, meter *meter, log *slog.Logger) *bridge {
	return &bridge{client: client, meter: meter, log: log, wake: make(chan struct{}, 1)}
}

// place says where in the order of all messages a connection is. It does no I/O.
type place struct {
	mark   string // "" is not known
	number int    // messages after it that were only published
	skip   int    // messages that are in the stream
}

// hear takes what came on a channel. It returns the place of a message that was only
// published; ok is false for all else, lost says that it is one whose place is not
// known.
func (p *place) hear(channel, text string) (mark string, number int, ok, lost bool) {
	if channel == bus.Marks {
		word, value, _ := strings.Cut(text, " ")
		switch n, err := strconv.Atoi(value); {
		case word == "mark":
			p.mark, p.number = value, 0
		case word == "in" && err == nil && n > 0:
			p.skip = n
		}
		return "", 0, false, false
	}
	if p.skip > 0 {
		p.skip--
		return "", 0, false, false
	}
	p.number++
	return p.mark, p.number, p.mark != "", p.mark == ""
}

// listen hears messages until ctx ends.
func (b *bridge) listen(ctx context.Context) error {
	failed := trouble{log: b.log, what: "listen to messages"}
	for ctx.Err() == nil {
		err := b.subscribe(ctx, failed.over)
		b.meter.resubscribed.Inc()
		b.meter.listening.Set(0)
		failed.wait(ctx, err)
	}
	return nil
}

// subscribe listens on one connection until that ends. go-redis would connect again
// by itself, but then nobody knows what was missed: whatever happens, it begins anew.
func (b *bridge) subscribe(ctx context.Context, begun func()) error {
	sub := b.client.Subscribe(ctx, bus.Channel, bus.Marks)
	defer sub.Close()
	defer context.AfterFunc(ctx, func() { _ = sub.Close() })()
	b.place = place{}
	for range 2 {
		if _, err := sub.ReceiveTimeout(ctx, silence); err != nil {
			return fmt.Errorf("subscribe: %w", err)
		}
	}
	if err := b.mark(ctx, ""); err != nil {
		return err
	}
	begun()
	b.meter.listening.Set(1)
	defer b.ping(ctx, sub)()
	for {
		got, err := sub.ReceiveTimeout(ctx, silence)
		if err != nil {
			return fmt.Errorf("receive: %w", err)
		}
		switch m := got.(type) {
		case *redis.Message:
			b.hear(m.Channel, m.Payload)
		case *redis.Subscription:
			return fmt.Errorf("receive: the connection was replaced")
		}
	}
}

// ping asks for signs of life until the function that it returns is called.
func (b *bridge) ping(ctx context.Context, sub *redis.PubSub) (stop func()) {
	ctx, stop = context.WithCancel(ctx)
	go func() {
		for ctx.Err() == nil {
			if err := sub.Ping(ctx); err != nil {
				return // and the receiver has not long to wait
			}
			pause(ctx, pingEvery)
		}
	}()
	return stop
}

// mark publishes a mark. every is "" for now, or how many milliseconds must have
// passed since the last one.
func (b *bridge) mark(ctx context.Context, every string) error {
	var name [8]byte
	_, _ = rand.Read(name[:]) // never fails
	if err := markScript.Run(ctx, b.client, nil, bus.Marks, hex.EncodeToString(name[:]), every).Err(); err != nil {
		return fmt.Errorf("publish a mark: %w", err)
	}
	return nil
}

func (b *bridge) hear(channel, text string) {
	mark, number, ok, lost := b.place.hear(channel, text)
	switch {
	case lost:
		b.meter.bridged.WithLabelValues("unplaced").Inc()
	case ok:
		b.put(newMessage(mark, number, text))
	}
}

// newMessage looks for the id of a message. Whether it is any good otherwise is for
// those to say who read the stream, but what is too large does not get there.
func newMessage(mark string, number int, text string) message {
	m := message{mark: mark, number: number, text: text}
	if len(text) > bus.MaxEvent {
		_, err := bus.Parse([]byte(text), time.Time{})
		m.why, m.text = err.Error(), text[:longestDead]
		return m
	}
	if strings.Contains(text, `"id"`) {
		if event, err := bus.Parse([]byte(text), time.Time{}); err == nil {
			m.id = event.ID
		}
	}
	return m
}

func (b *bridge) put(m message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.bytes+len(m.text) > waiting {
		b.meter.bridged.WithLabelValues("overflow").Inc()
		return
	}
	b.queue = append(b.queue, m)
	b.bytes += len(m.text)
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// next is what is carried next: messages after the same mark. They stay until drop.
func (b *bridge) next() []message {
	b.mu.Lock()
	defer b.mu.Unlock()
	n, bytes := 0, 0
	for n < len(b.queue) && n < carried && b.queue[n].mark == b.queue[0].mark {
		if bytes += len(b.queue[n].text); bytes > carriedBytes && n > 0 {
			break
		}
		n++
	}
	return b.queue[:n:n]
}

func (b *bridge) drop(list []message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range list {
		b.bytes -= len(m.text)
	}
	b.queue = b.queue[len(list):]
	if len(b.queue) == 0 {
		b.queue = nil
	}
}

// carry adds messages to the stream until ctx ends, and publishes marks. What waits
// then has a second.
func (b *bridge) carry(ctx context.Context) error {
	failed := trouble{log: b.log, what: "bring messages into the stream"}
	marks := time.NewTicker(around(markEvery / 2))
	defer marks.Stop()
	for ctx.Err() == nil {
		list := b.next()
		if len(list) == 0 {
			select {
			case <-ctx.Done():
			case <-b.wake:
			case <-marks.C:
				_ = b.mark(ctx, strconv.FormatInt(markEvery.Milliseconds(), 10)) // another time, then
			}
			continue
		}
		if err := b.bring(ctx, list); err != nil {
			failed.wait(ctx, err)
			continue
		}
		failed.over()
		b.drop(list)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	for list := b.next(); len(list) > 0; list = b.next() {
		if err := b.bring(ctx, list); err != nil {
			return err
		}
		b.drop(list)
	}
	return nil
}

// bring adds messages that come after the same mark. After an error they may be
// there or not, and may be brought again.
func (b *bridge) bring(ctx context.Context, list []message) error {
	args := make([]any, 0, 3+4*len(list))
	args = append(args, bus.Stream, Dead, list[0].mark)
	for _, m := range list {
		args = append(args, m.number, m.id, m.why, m.text)
	}
	n, err := bridgeScript.Run(ctx, b.client, nil, args...).Int64Slice()
	if err != nil {
		return fmt.Errorf("bridge: %w", err)
	}
	for i, what := range []string{"added", "duplicate", "refused", "late"} {
		if i < len(n) {
			b.meter.bridged.WithLabelValues(what).Add(float64(n[i]))
		}
	}
	return nil
}
