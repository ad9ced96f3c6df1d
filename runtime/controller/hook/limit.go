package hook

import (
	"sync"
	"time"
)

// bucket holds tokens that come back at a rate. Whoever is refused costs one, so
// that nobody can try signatures, or keep the service busy, for long.
type bucket struct {
	mu     sync.Mutex
	tokens float64
	last   time.Time
}

const (
	burst = 60
	rate  = 2.0 // a second
)

func (b *bucket) fill(now time.Time) {
	if b.last.IsZero() {
		b.tokens = burst
	} else if passed := now.Sub(b.last).Seconds(); passed > 0 {
		b.tokens = min(burst, b.tokens+passed*rate)
	}
	b.last = now
}

// wait is how long there is no token; 0 when there is one.
func (b *bucket) wait(now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fill(now)
	if b.tokens >= 1 {
		return 0
	}
	return time.Duration((1 - b.tokens) / rate * float64(time.Second))
}

// take removes a token, if there is one.
func (b *bucket) take(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fill(now)
	b.tokens = max(0, b.tokens-1)
}

const (
	// remembered is how many deliveries are known, forgotten after how long. Who
	// presses "redeliver" later than that is heard.
	remembered = 1024
	forgotten  = time.Minute
	longestID  = 128
)

// deliveries are those that came lately.
type deliveries struct {
	mu    sync.Mutex
	when  map[string]time.Time
	order []string // oldest first
}

// repeated tells whether the id came before, and remembers it. No id was never
// there before.
func (d *deliveries) repeated(id string, now time.Time) bool {
	if id == "" || len(id) > longestID {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.order) > 0 && (len(d.order) >= remembered || now.Sub(d.when[d.order[0]]) >= forgotten) {
		delete(d.when, d.order[0])
		d.order = d.order[1:]
	}
	if _, known := d.when[id]; known {
		return true
	}
	d.when[id] = now
	d.order = append(d.order, id)
	return false
}
