package lease

import (
	"context"
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"strings"
	"sync"
	"time"

	"rsm/schema"
)

// Options are what a Lease may be told; the zero value works.
type Options struct {
	// Owner names this service to the others, "host:pid" for example. It is shown,
	// and decides nothing.
	Owner string
	// TTL is for how long the holder may be silent; 0 means 10 s, less than 2 s
	// means 2 s.
	TTL time.Duration
	// Password is read for each new connection; nil or an empty password means
	// none. An empty user means AUTH with a password alone.
	Password func() (user, password string, err error)
	// Dial connects to a Sentinel; nil means plain TCP. It must return when ctx ends.
	Dial func(ctx context.Context, addr schema.Addr) (net.Conn, error)
	// Changed is called whenever Mine, Bare or Holder has changed, in order. It
	// must not block, nor call the Lease. It may be nil.
	Changed func(Status)
	// Now is the clock, with a monotonic reading; nil means time.Now.
	Now func() time.Time
	// Rand returns a number in [0,1); nil means that of math/rand.
	Rand func() float64
}

const (
	leastTTL = 2 * time.Second
	// pace is between two looks of who does not have the lease for sure.
	pace = 400 * time.Millisecond
)

// Lease is the place of this service in the queue for one cluster. Make one with
// New. Its methods may be called by any goroutine.
type Lease struct {
	cluster string
	options Options
	token   string

	turn    chan struct{} // whoever has it may look; it guards what follows
	places  []*place
	answers chan answered
	away    time.Time // no looks until then
	alone   time.Time // since when this service is first somewhere and nobody has a majority
	ended   bool
	ctx     context.Context // of every look
	stop    context.CancelFunc

	mu     sync.Mutex
	status Status
}

// place is what a Lease has at one Sentinel.
type place struct {
	link  link
	seat  seat
	asked bool // a look is on its way
	leave bool // close when it is back
}

type answered struct {
	place int
	look  look
}

// New prepares a Lease on a cluster by its Sentinels, all that the spec declares.
// Run keeps it, and closes what Held has opened.
func New(cluster string, sentinels []schema.Addr, options Options) *Lease {
	if options.TTL == 0 {
		options.TTL = 10 * time.Second
	}
	options.TTL = max(options.TTL, leastTTL)
	if options.Dial == nil {
		options.Dial = dialTCP
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	if options.Rand == nil {
		options.Rand = mathrand.Float64
	}
	l := &Lease{
		cluster: cluster, options: options, token: strings.ToLower(rand.Text()),
		turn: make(chan struct{}, 1), answers: make(chan answered, len(sentinels)),
		status: Status{Since: options.Now()},
	}
	l.ctx, l.stop = context.WithCancel(context.Background())
	prefix := "rsm-lease:" + cluster + ":"
	for _, addr := range sentinels {
		l.places = append(l.places, &place{link: link{
			addr: addr, options: &l.options, prefix: prefix, token: l.token,
			name: prefix + clean(options.Owner) + ":" + l.token, patience: options.TTL / 3,
		}})
		l.status.Sentinels = append(l.status.Sentinels, Seat{Addr: addr, Reach: "unknown", Why: "not asked yet"})
	}
	return l
}

// clean makes an owner of any text: CLIENT SETNAME takes no blanks.
func clean(owner string) string {
	owner = strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return '-'
		}
		return r
	}, owner)
	return owner[:min(len(owner), 100)]
}

// Run takes a place at each Sentinel, keeps it, and tries for the lease, until
// ctx ends. It returns nil when all connections are closed, which gives the lease
// to the next one. It is called once.
func (l *Lease) Run(ctx context.Context) error {
	defer l.end()
	for {
		v, err := l.look(ctx)
		if err != nil {
			return nil // ctx ended
		}
		wait := pace
		switch {
		case v.calm:
			wait = l.options.TTL / 3
		case !v.mine && v.leader != nil && v.leader.token == l.token: // as good as won
			wait = answer / 4
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// Held asks the Sentinels, and returns nil if the lease is this service's at this
// moment. Ask it before each step: a step that has begun is stopped by nobody. It
// waits for what cannot be proven yet, for example when a Sentinel has just come
// up or does not answer: up to TTL/3, or 2 s if that is longer. The error is a
// *LostError, or that of ctx.
func (l *Lease) Held(ctx context.Context) error {
	limit := l.options.Now().Add(max(l.options.TTL/3, 4*settle))
	for {
		v, err := l.look(ctx)
		switch {
		case err != nil:
			return fmt.Errorf("lease of %s: %w", l.cluster, err)
		case v.mine:
			return nil
		case !v.open || l.options.Now().After(limit):
			return l.lost()
		}
		select {
		case <-ctx.Done():
		case <-time.After(answer / 4):
		}
	}
}

// look does one round and what follows from it.
func (l *Lease) look(ctx context.Context) (verdict, error) {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return verdict{}, ctx.Err()
	}
	if l.ended || l.options.Now().Before(l.away) {
		return verdict{}, ctx.Err()
	}
	v, asked := l.round(ctx)
	if err := ctx.Err(); err != nil {
		return verdict{}, err
	}
	l.publish(v, asked)
	l.yield(v)
	return v, nil
}

// round asks all Sentinels at once and judges what has come back in time.
func (l *Lease) round(ctx context.Context) (verdict, time.Time) {
	for len(l.answers) > 0 {
		l.take(<-l.answers) // too late for the last round
	}
	asked, waiting := l.options.Now(), 0
	for i, p := range l.places {
		if !p.asked {
			p.asked = true
			waiting++
			go func() { l.answers <- answered{i, p.link.look(l.ctx, asked)} }()
		}
	}
	ctx, cancel := context.WithTimeout(ctx, answer)
	defer cancel()
	for waiting > 0 && ctx.Err() == nil {
		select {
		case a := <-l.answers:
			l.take(a)
			if a.look.asked.Equal(asked) {
				waiting--
			}
		case <-ctx.Done():
		}
	}
	seats := make([]seat, len(l.places))
	for i, p := range l.places {
		seats[i] = p.seat
	}
	return decide(l.token, asked, l.options.Now(), seats), asked
}

func (l *Lease) take(a answered) {
	p := l.places[a.place]
	p.asked = false
	p.seat = p.seat.after(a.look)
	if p.leave {
		p.close()
	}
}

// yield gives the places up when they help nobody: when two have split the
// Sentinels, at once by the one with the greater token, else after TTL. So nobody
// stands for ever in front of somebody who could have the others.
func (l *Lease) yield(v verdict) {
	now := l.options.Now()
	if !v.ahead || v.mine || v.leader != nil {
		l.alone = time.Time{}
		return
	}
	if l.alone.IsZero() {
		l.alone = now
	}
	if !v.split && now.Sub(l.alone) < l.options.TTL {
		return
	}
	l.away = now.Add(2*settle + time.Duration(l.options.Rand()*float64(4*settle)))
	l.alone = time.Time{}
	for _, p := range l.places {
		p.close()
	}
}

// close gives the place up, as soon as no look is on its way.
func (p *place) close() {
	p.leave = p.asked
	if !p.asked {
		p.link.close()
		p.seat = seat{}
	}
}

// end closes everything and waits for looks that are on their way.
func (l *Lease) end() {
	l.turn <- struct{}{}
	l.ended = true
	l.stop()
	for _, p := range l.places {
		for p.asked {
			l.take(<-l.answers)
		}
		p.close()
	}
	l.publish(verdict{}, l.options.Now())
	<-l.turn
}
