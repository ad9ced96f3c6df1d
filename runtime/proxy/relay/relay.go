package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"rsm/runtime/proxy/command"
	"rsm/runtime/proxy/follow"
	"rsm/schema"
)

var errSilent = errors.New("no answer to the greeting in time")

// Config is what a relay needs.
type Config struct {
	Role schema.ProxyRole
	// Target tells where requests go; it is called each turn.
	Target func() *follow.Target
	// Ask has the follower look again.
	Ask func(why string)
	// Password is that of the cluster, for listeners that log in themselves. It is
	// called for each connection; "" is none.
	Password func() (string, error)
	// Dial returns how to open connections to servers now, nil for plain TCP.
	Dial func() Dial
	Log  *slog.Logger
}

// Dial opens a connection to a server.
type Dial func(ctx context.Context, addr string) (net.Conn, error)

// Relay is a set of loops.
type Relay struct {
	shared shared
	next   atomic.Uint64
	stop   chan struct{}
}

// New prepares a relay. Run starts it.
func New(cfg Config) (*Relay, error) {
	r := &Relay{shared: shared{Config: cfg, counts: map[string]int{}}, stop: make(chan struct{})}
	r.shared.set(cfg.Role)
	for range max(1, cfg.Role.Proxy.Threads) {
		poll, err := newPoller()
		if err != nil {
			return nil, fmt.Errorf("make event loop: %w", err)
		}
		r.shared.all = append(r.shared.all, newLoop(&r.shared, poll))
	}
	r.shared.loops = len(r.shared.all)
	return r, nil
}

func newLoop(s *shared, poll *poller) *loop {
	now := time.Now()
	l := &loop{
		shared: s, log: s.Log, poll: poll,
		clients: map[uint64]*client{}, servers: map[string]*server{}, idents: map[identity]*identity{},
		rules: map[*Listener]*rules{}, table: command.Fallback(), target: &follow.Target{}, gen: 1,
		now: now, start: now, scratch: make([]byte, requestBytes), replies: make([]byte, replyBytes),
		seen: newSeen(s.Role.Proxy.SlowLog), stats: stats{listeners: map[string]*ListenerReport{}},
	}
	l.stats.carry(l.table, l.table)
	return l
}

// Run turns the loops until ctx ends. Then every connection is closed.
func (r *Relay) Run(ctx context.Context) error {
	var loops sync.WaitGroup
	for _, l := range r.shared.all {
		loops.Go(func() { l.Run(r.stop) })
	}
	<-ctx.Done()
	close(r.stop)
	r.Wake()
	loops.Wait()
	return nil
}

// Wake has every loop look at the target.
func (r *Relay) Wake() {
	for _, l := range r.shared.all {
		l.poll.wake()
	}
}

// SetTable gives the loops a new command table.
func (r *Relay) SetTable(t *command.Table) {
	for _, l := range r.shared.all {
		l.post(func(l *loop) { l.setTable(t) })
	}
}

func (l *loop) setTable(t *command.Table) {
	l.stats.carry(l.table, t)
	l.table, l.rules, l.tabled = t, map[*Listener]*rules{}, true
	l.gen++
	l.wakeHeld()
	for _, c := range l.clients {
		c.rules, c.gen = l.rulesOf(c.listener), 0
	}
}

func (l *loop) rulesOf(of *Listener) *rules {
	if l.rules[of] == nil {
		l.rules[of] = newRules(of, l.table)
	}
	return l.rules[of]
}
