package relay

import "math/bits"

// Buckets are the upper bounds of a latency histogram in microseconds, each
// twice the one before; the last one has no bound.
const Buckets = 24

// Latency counts answers of one command.
type Latency struct {
	Count  uint64
	Errors uint64
	Sum    uint64 // microseconds
	// Counts[i] answers took less than 2^i microseconds, and not less than half.
	Counts [Buckets]uint64
}

// stats are what one loop has counted. Only the loop touches them.
type stats struct {
	opened   uint64 // connections to servers
	accepted uint64
	holds    uint64 // clients that had to wait for a master
	retries  uint64 // requests that were sent again
	doubts   uint64 // requests whose fate nobody knows
	refusals uint64 // waits that ended with an error
	commands []Latency
}

// answered counts a run of answers.
func (s *stats) answered(e *entry, now int64) {
	if e.cmd == nil || e.cmd.ID >= len(s.commands) {
		return
	}
	micros := uint64(max(now-e.at, 0)) / 1000
	c := &s.commands[e.cmd.ID]
	c.Count += uint64(e.done)
	c.Sum += micros * uint64(e.done)
	c.Counts[min(bits.Len64(micros), Buckets-1)] += uint64(e.done)
}
