package relay

import "math/bits"

// Buckets are the upper bounds of a latency histogram in microseconds, each
// twice the one before; the last one has no bound.
const Buckets = 24

// Latency counts answers of one command.
type Latency struct {
	Count  uint64 `json:"count"`
	Errors uint64 `json:"errors"`
	Sum    uint64 `json:"sum_microseconds"`
	// Counts[i] answers took less than 2^i microseconds, and not less than half.
	Counts [Buckets]uint64 `json:"buckets"`
}

// stats are what one loop has counted. Only the loop touches them.
type stats struct {
	opened  uint64 // connections to servers
	holds   uint64 // clients that had to wait for a master
	retries uint64 // requests that were sent again
	doubts  uint64 // requests whose fate nobody knows
	// unconfirmed are writes of which no replica has said that it has them.
	unconfirmed uint64
	refusals    uint64    // waits that ended with an error
	denied      uint64    // requests that a listener's rules refused
	commands    []Latency // by the IDs of the loop's table
	// listeners have the bytes of clients that are gone.
	listeners map[string]*ListenerReport
}

// answered counts a run of n answers that took some nanoseconds.
func (c *Latency) answered(n int, took int64) {
	micros := uint64(max(took, 0)) / 1000
	c.Count += uint64(n)
	c.Sum += micros * uint64(n)
	c.Counts[min(bits.Len64(micros), Buckets-1)] += uint64(n)
}
