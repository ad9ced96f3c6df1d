package lease

import (
	"fmt"
	"strings"
	"time"

	"rsm/schema"
)

// Status is what the last look has shown.
type Status struct {
	// Holder is the owner who is first on a majority, "" when nobody is.
	Holder string `json:"holder,omitempty"`
	// Mine: this service has the lease. Bare: without a Sentinel, as all are down.
	Mine bool `json:"mine"`
	Bare bool `json:"bare,omitempty"`
	// Since is when one of these changed last.
	Since time.Time `json:"since"`
	// Votes is how many Sentinels have this service first, out of Voters: those
	// that are not down.
	Votes     int    `json:"votes"`
	Voters    int    `json:"voters"`
	Sentinels []Seat `json:"sentinels"`
}

// Seat is what one Sentinel shows.
type Seat struct {
	Addr schema.Addr `json:"addr"`
	// Reach is up, down or unknown; Why tells why it is not up.
	Reach string `json:"reach"`
	Why   string `json:"why,omitempty"`
	// First is the owner who is first there.
	First string `json:"first,omitempty"`
}

// LostError says that the lease is not this service's.
type LostError struct {
	Cluster string
	// Holder has it, "" when nobody has or it is not known who.
	Holder string
	// Since is when it was lost, or when the first try for it began.
	Since time.Time
	// Why tells about the Sentinels that do not vote for this service.
	Why string
}

// Error tells who has the lease, else why nobody has it.
func (e *LostError) Error() string {
	if e.Holder != "" {
		return fmt.Sprintf("lease of %s: %s has it", e.Cluster, e.Holder)
	}
	return fmt.Sprintf("lease of %s: no majority of the Sentinels: %s", e.Cluster, e.Why)
}

// Status returns what the last look of Run or Held has shown, at once.
func (l *Lease) Status() Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.status
}

// lost is the error for what the last look has shown.
func (l *Lease) lost() *LostError {
	s := l.Status()
	e := &LostError{Cluster: l.cluster, Holder: s.Holder, Since: s.Since}
	var why []string
	for _, seat := range s.Sentinels {
		switch {
		case seat.Why != "":
			why = append(why, fmt.Sprintf("%s: %s", seat.Addr, seat.Why))
		case seat.First != "":
			why = append(why, fmt.Sprintf("%s: %s is first", seat.Addr, seat.First))
		}
	}
	e.Why = strings.Join(why, ", ")
	return e
}

// publish makes a verdict known.
func (l *Lease) publish(v verdict, asked time.Time) {
	next := Status{Mine: v.mine, Bare: v.mine && v.bare, Votes: v.votes, Voters: v.voters}
	switch {
	case v.mine:
		next.Holder = clean(l.options.Owner)
	case v.leader != nil && v.leader.token != l.token: // the own place is not proven yet
		next.Holder = v.leader.owner
	}
	for _, p := range l.places {
		next.Sentinels = append(next.Sentinels, p.shown(asked))
	}
	l.mu.Lock()
	changed := next.Mine != l.status.Mine || next.Bare != l.status.Bare || next.Holder != l.status.Holder
	next.Since = l.status.Since
	if changed {
		next.Since = l.options.Now()
	}
	l.status = next
	l.mu.Unlock()
	if changed && l.options.Changed != nil {
		l.options.Changed(next)
	}
}

func (p *place) shown(asked time.Time) Seat {
	shown := Seat{Addr: p.link.addr, Reach: "unknown", Why: p.seat.why}
	switch {
	case !p.seat.asked.Equal(asked):
		shown.Why = "no answer"
	case p.seat.reach == down:
		shown.Reach = "down"
	case p.seat.reach == up:
		shown.Reach = "up"
	}
	if len(p.seat.queue) > 0 {
		shown.First = p.seat.queue[0].owner
	}
	return shown
}
