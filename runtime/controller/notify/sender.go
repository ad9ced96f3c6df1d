// Package notify passes events on to those who want to hear of them: a log, a
// webhook, a chat, the commits in a forge.
//
//	sender := notify.New(notify.Sinks(service.Notify, log), log)
//	go sender.Run(ctx)
//	sender.Tell(event) // never blocks
//
// Each sink has a queue of its own, so that events reach it in their order and
// one that is slow or away delays nobody else. A queue that is full forgets its
// oldest event: a service must not wait for those who watch it.
package notify

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"rsm/runtime/controller/ledger"
)

const (
	// queued is how many events wait for one sink.
	queued = 256
	// tries is how often one event is sent; with the back-off that is some four
	// minutes.
	tries = 10
	// sendTime is how long one try may take.
	sendTime = 10 * time.Second
	// graceTime is how long Run goes on after its end with what is queued.
	graceTime = 3 * time.Second

	minBackOff = time.Second
	maxBackOff = time.Minute
)

// Sender sends events to its sinks. Make it with New.
type Sender struct {
	log    *slog.Logger
	queues []*queue
	// sleep and rand (0 to 1) are the clock and the dice, for tests.
	sleep func(context.Context, time.Duration) error
	rand  func() float64
}

// queue is what waits for one sink.
type queue struct {
	Sink
	events                chan ledger.Event
	sent, failed, dropped atomic.Int64
}

// Count is what became of the events of a sink.
type Count struct {
	Sink string `json:"sink"`
	// Sent arrived; Failed were given up; Dropped did not fit into the queue.
	Sent    int64 `json:"sent"`
	Failed  int64 `json:"failed"`
	Dropped int64 `json:"dropped"`
}

// New returns a sender for the sinks, which says on log what it gives up.
func New(sinks []Sink, log *slog.Logger) *Sender {
	s := &Sender{log: log, sleep: sleep, rand: rand.Float64}
	for _, sink := range sinks {
		s.queues = append(s.queues, &queue{Sink: sink, events: make(chan ledger.Event, queued)})
	}
	return s
}

// Tell queues an event for those sinks that want it. It never blocks.
func (s *Sender) Tell(e ledger.Event) {
	for _, q := range s.queues {
		if q.wants(e) {
			q.add(e)
		}
	}
}

func (q *queue) add(e ledger.Event) {
	for {
		select {
		case q.events <- e:
			return
		default:
		}
		select {
		case <-q.events:
			q.dropped.Add(1)
		default: // it was sent meanwhile
		}
	}
}

// Counts tells what became of the events so far, in the order of the sinks.
func (s *Sender) Counts() []Count {
	counts := make([]Count, len(s.queues))
	for i, q := range s.queues {
		counts[i] = Count{Sink: q.Name, Sent: q.sent.Load(), Failed: q.failed.Load(), Dropped: q.dropped.Load()}
	}
	return counts
}

// Run sends until ctx ends, and then tries once more, for a few seconds at most,
// to send what is queued. It returns nil.
func (s *Sender) Run(ctx context.Context) error {
	var running sync.WaitGroup
	for _, q := range s.queues {
		running.Go(func() { s.serve(ctx, q) })
	}
	running.Wait()
	return nil
}

func (s *Sender) serve(ctx context.Context, q *queue) {
	for {
		select {
		case <-ctx.Done():
			s.drain(ctx, q)
			return
		case e := <-q.events:
			s.deliver(ctx, q, e)
		}
	}
}

// drain sends what is queued, as ctx has ended.
func (s *Sender) drain(ctx context.Context, q *queue) {
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), graceTime)
	defer cancel()
	for {
		select {
		case e := <-q.events:
			s.ended(q, e, s.once(last, q, e))
		default:
			return
		}
	}
}

// deliver tries until the event has arrived, or will not, or was tried often
// enough. When ctx ends it is tried once more.
func (s *Sender) deliver(ctx context.Context, q *queue, e ledger.Event) {
	var err error
	for try := range tries {
		err = s.once(ctx, q, e)
		var final *finalError
		if err == nil || errors.As(err, &final) || try == tries-1 {
			break
		}
		if try == 0 {
			s.log.Warn("an event could not be sent; it is tried again", "sink", q.Name, "type", e.Type, "error", err)
		}
		if s.sleep(ctx, s.backOff(try, err)) != nil {
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), graceTime)
			err = s.once(last, q, e)
			cancel()
			break
		}
	}
	s.ended(q, e, err)
}

// once is one try.
func (s *Sender) once(ctx context.Context, q *queue, e ledger.Event) error {
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	return q.Channel.Send(ctx, e)
}

// ended counts, and tells of an event that is given up.
func (s *Sender) ended(q *queue, e ledger.Event, err error) {
	if err == nil {
		q.sent.Add(1)
		return
	}
	q.failed.Add(1)
	s.log.Error("an event was not sent", "sink", q.Name, "type", e.Type, "error", err)
}

// backOff is how long to wait after a try, counted from 0: twice as long as
// before, less up to a half, so that many services do not come at once; or what
// the receiver asks for.
func (s *Sender) backOff(try int, err error) time.Duration {
	wait := min(minBackOff<<try, maxBackOff)
	wait -= time.Duration(s.rand() * float64(wait) / 2)
	var status *statusError
	if errors.As(err, &status) {
		wait = max(wait, min(status.after, maxBackOff))
	}
	return wait
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
