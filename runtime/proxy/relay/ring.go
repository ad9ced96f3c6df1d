package relay

import "rsm/runtime/proxy/command"

// fate is what happens to a reply.
type fate uint8

const (
	forward fate = iota // to the client
	swallow             // to nobody: the proxy asked on its own account
	capture             // to the proxy, which then answers the client
	later               // to the client, after requests that must be done again
)

// entry is a run of equal commands that a client sent to a backend, one after
// the other, and that wait for their replies.
type entry struct {
	c    *client
	cmd  *command.Command
	at   int64 // when it was queued, nanoseconds of the loop's clock
	n    int   // requests that are not answered
	done int   // requests that are
	size int   // bytes of all of them in the backend's output
	fate fate
	// streamed means that the bytes were passed on and are not kept.
	streamed bool
	// sampled entries are single requests that are looked at when they are answered.
	sampled bool
	// replied are the bytes of the replies so far.
	replied int
	// words is the number of confirmations that (un)subscribing still brings.
	words int
	// then gets a captured reply.
	then func(l *loop, b *backend, reply []byte)
}

// ring is a queue of entries. Its length is a power of two.
type ring struct {
	items []entry
	head  int
	count int
}

func (r *ring) front() *entry {
	if r.count == 0 {
		return nil
	}
	return &r.items[r.head]
}

func (r *ring) back() *entry {
	if r.count == 0 {
		return nil
	}
	return r.at(r.count - 1)
}

// at returns the i-th entry from the front.
func (r *ring) at(i int) *entry { return &r.items[(r.head+i)&(len(r.items)-1)] }

// push appends an entry and returns it, to be filled.
func (r *ring) push() *entry {
	if r.count == len(r.items) {
		grown := make([]entry, max(16, 2*len(r.items)))
		for i := range r.count {
			grown[i] = *r.at(i)
		}
		r.items, r.head = grown, 0
	}
	r.count++
	return r.back()
}

// pop drops the front.
func (r *ring) pop() {
	r.items[r.head] = entry{}
	r.head = (r.head + 1) & (len(r.items) - 1)
	r.count--
}
