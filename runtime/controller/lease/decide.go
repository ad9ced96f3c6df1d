package lease

import "time"

const (
	// answer is how long a look at the Sentinels may take to count.
	answer = 400 * time.Millisecond
	// settle is for how long a place must have been first, or a Sentinel down, to
	// count. It is longer than any look.
	settle = 500 * time.Millisecond
)

// claim is a connection that is named for the lease, as CLIENT LIST shows it.
type claim struct {
	id           int64
	owner, token string
	idle         time.Duration // whole seconds
}

// reach is what a look found. Unknown is not down.
type reach int

const (
	unknown reach = iota
	down          // the connection was refused
	up            // CLIENT LIST was answered
)

// look is one question to one Sentinel.
type look struct {
	asked, got time.Time
	reach      reach
	why        string    // unless up
	mine       int64     // id of the own connection, 0 when there is none
	named      time.Time // when it had its name
	queue      []claim   // of an up Sentinel, lowest id first
}

// seat is what the looks at one Sentinel amount to: the last one, and what has
// been so without interruption.
type seat struct {
	look
	first   time.Time // since when the own connection is first, for good
	refused time.Time // since when it is down
}

// after is the seat with one more look.
func (s seat) after(l look) seat {
	next := seat{look: l}
	switch {
	case l.reach == down:
		next.refused = l.got
		if s.reach == down && l.got.Sub(s.asked) < answer+settle { // nobody can have won there in between
			next.refused = s.refused
		}
	case l.reach == up && next.leads(l.mine) && s.mine == l.mine && !s.first.IsZero():
		next.first = s.first
	case l.reach == up && next.leads(l.mine) && !l.asked.Before(l.named.Add(answer)): // a lower number has its name by now
		next.first = l.got
	}
	return next
}

// leads tells whether the connection was first in the last look.
func (s seat) leads(id int64) bool { return id != 0 && len(s.queue) > 0 && s.queue[0].id == id }

// fresh tells whether the last look belongs to the round that began at asked and
// was answered in time.
func (s seat) fresh(asked time.Time) bool {
	return s.asked.Equal(asked) && s.got.Sub(asked) <= answer
}

// votes tells whether the seat proves that the own connection is first.
func (s seat) votes(asked time.Time) bool {
	return s.fresh(asked) && s.reach == up && !s.first.IsZero() && asked.Sub(s.first) >= settle
}

// gone tells whether the seat proves that the Sentinel is down.
func (s seat) gone(asked time.Time) bool {
	return s.fresh(asked) && s.reach == down && asked.Sub(s.refused) >= settle
}

// verdict is what a round of looks says.
type verdict struct {
	mine bool
	// bare: every Sentinel is down, so there is nobody to have it from.
	bare bool
	// open: it is not proven to be mine, and another look may prove it.
	open bool
	// calm: all Sentinels vote for me, so there is nothing to watch closely.
	calm bool
	// votes of voters are mine; those that are down are no voters.
	votes, voters int
	// leader is who is first on a majority, nil when nobody is.
	leader *claim
	// ahead: I am first somewhere. split: so is somebody with a smaller token,
	// and nobody has a majority.
	ahead, split bool
}

// decide judges the round that began at asked, at the time now.
func decide(token string, asked, now time.Time, seats []seat) verdict {
	v := verdict{voters: len(seats)}
	reachable, against := len(seats), 0
	firsts := map[string]int{} // by token
	for _, s := range seats {
		if s.votes(asked) {
			v.votes++
		}
		if s.gone(asked) {
			v.voters--
		}
		if s.reach == down {
			reachable--
		}
		if len(s.queue) > 0 {
			firsts[s.queue[0].token]++
		}
		if s.reach == up && !s.leads(s.mine) {
			against++
		}
	}
	v.bare = v.voters == 0
	v.mine = now.Sub(asked) <= settle && (v.bare || v.votes > v.voters/2)
	v.calm = v.mine && v.votes == len(seats)
	v.open = !v.mine && (reachable == 0 || reachable-against > reachable/2)
	v.ahead = firsts[token] > 0
	v.split = v.ahead
	for other, n := range firsts {
		if n > reachable/2 {
			v.leader, v.split = leaderOf(seats, other), false
		}
	}
	v.split = v.split && smaller(firsts, token)
	return v
}

// smaller tells whether somebody who is first somewhere has a smaller token.
func smaller(firsts map[string]int, token string) bool {
	for other := range firsts {
		if other < token {
			return true
		}
	}
	return false
}

func leaderOf(seats []seat, token string) *claim {
	for _, s := range seats {
		if len(s.queue) > 0 && s.queue[0].token == token {
			return &s.queue[0]
		}
	}
	return nil
}

// stale is the first connection when whoever waits behind it may kill it: it is
// somebody's who has said nothing for ttl, so that his process hangs or nothing
// is left of it, or one of my own that I have given up.
func stale(queue []claim, token string, mine int64, ttl time.Duration) (id int64, yes bool) {
	if len(queue) == 0 || queue[0].id == mine {
		return 0, false
	}
	first := queue[0]
	return first.id, first.idle >= ttl || first.token == token
}
