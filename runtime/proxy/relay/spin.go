package relay

import "time"

// maxSpin is the longest that a loop looks for work before it sleeps: some times
// what sleeping and waking costs.
const maxSpin = 100 * time.Microsecond

// spin learns from how long a loop slept whether it should have looked on: what
// comes soon is worth it, and an idle loop looks no more. Linux does the same for
// idle virtual processors (haltpoll).
type spin struct {
	window time.Duration // to look for
}

// slept takes the length of one sleep.
func (s *spin) slept(d time.Duration) {
	if d < maxSpin {
		s.window = max(s.window, min(2*d, maxSpin))
		return
	}
	s.window /= 2
}
