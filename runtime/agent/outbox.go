package agent

import "sync"

// outbox keeps events until Redis has them. It is bounded: the oldest go first.
type outbox struct {
	// max is how many events it holds, maxBytes how large they are together.
	max, maxBytes int

	mu      sync.Mutex
	events  [][]byte
	first   int64 // number of the oldest
	bytes   int
	dropped int64
	wake    chan struct{}
}

func newOutbox(events, bytes int) *outbox {
	return &outbox{max: events, maxBytes: bytes, wake: make(chan struct{}, 1)}
}

// add appends an event. One that is larger than the outbox is dropped itself.
func (o *outbox) add(event []byte) {
	o.mu.Lock()
	o.events = append(o.events, event)
	o.bytes += len(event)
	for len(o.events) > o.max || o.bytes > o.maxBytes {
		o.shift()
		o.dropped++
	}
	o.mu.Unlock()
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

func (o *outbox) shift() {
	o.bytes -= len(o.events[0])
	o.events[0] = nil
	o.events = o.events[1:]
	o.first++
}

// peek returns up to n of the oldest events, and the number that sent takes once
// they are through.
func (o *outbox) peek(n int) (events [][]byte, upTo int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n = min(n, len(o.events))
	return append([][]byte(nil), o.events[:n]...), o.first + int64(n)
}

// sent removes the events before the number; some may have been dropped meanwhile.
func (o *outbox) sent(upTo int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.first < upTo && len(o.events) > 0 {
		o.shift()
	}
}

// lost is how many events were dropped so far.
func (o *outbox) lost() int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.dropped
}

func (o *outbox) size() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.events)
}
