package follow

import (
	"slices"
	"time"

	"rsm/schema"
)

// A minute of samples at ten a second: a replica that is farther behind keeps
// the time that it had reached before.
const maxSamples = 600

// sample takes a new answer of addr into account: of the master, another
// sample; of a replica of it, how fresh it is.
func (w *world) sample(addr schema.Addr) {
	n := w.nodes[addr]
	switch {
	case n.role == "master" && (addr == w.sampled || addr == w.leading()):
		if addr != w.sampled {
			w.sampled, w.samples = addr, nil
		}
		if k := len(w.samples); k > 0 && n.offset < w.samples[k-1].offset {
			w.samples = nil // it restarted, and counts anew
		}
		if len(w.samples) >= maxSamples {
			w.samples = slices.Delete(w.samples, 0, maxSamples/10)
		}
		w.samples = append(w.samples, sample{n.asked, n.offset})
	case n.role == "slave" && n.linked && n.of == w.sampled:
		if asked := w.reached(n.offset); asked.After(n.fresh) {
			n.fresh = asked
			w.nodes[addr] = n
		}
	}
}

// leading is who is sampled: the node that the newest word is about.
func (w *world) leading() schema.Addr {
	if c := w.choice; c != nil && !c.promoted.IsZero() {
		return c.addr
	}
	return w.lead.addr
}

// reached is the newest time by which the master had no more than offset. It was
// asked before it counted, so it had no more than that when it was asked.
func (w *world) reached(offset int64) time.Time {
	i, _ := slices.BinarySearchFunc(w.samples, offset+1, func(s sample, o int64) int {
		if s.offset < o {
			return -1
		}
		return 1
	})
	if i == 0 {
		return time.Time{}
	}
	return w.samples[i-1].asked
}
