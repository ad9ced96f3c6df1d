package proxy

import "time"

// HallSize is for tests.
const HallSize = hallSize

// SetPatience changes, for tests, how long clients may take to say who they are.
func (p *Proxy) SetPatience(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, open := range p.open {
		open.patience = d
	}
}
