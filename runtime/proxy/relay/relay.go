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
	// Password is that of the cluster, for listeners that log in themselves.
	Password func() (string, error)
	// Dial opens connections to servers, nil for plain TCP.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
	Log  *slog.Logger
}

// shared is what the loops of a relay have in common.
type shared struct {
	Config
	role     atomic.Pointer[schema.ProxyRole]
	all      []*loop
	loops    int
	ids      atomic.Uint64
	mu       sync.Mutex
	counts   map[*Listener]int
	total    int
	rejected uint64 // clients that found no place
	zones    map[schema.Addr]string
}

func (s *shared) target() *follow.Target { return s.Config.Target() }
func (s *shared) ask(why string)         { s.Config.Ask(why) }
func (s *shared) fence() time.Duration   { return s.role.Load().Proxy.Fence }
func (s *shared) near(addr schema.Addr) bool {
	zone := s.role.Load().Zone
	return zone != "" && s.zones[addr] == zone
}

// left counts a client that is gone.
func (s *shared) left(from *Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[from]--
	s.total--
}

// enter counts a client that has come; it returns why there is no place for it.
func (s *shared) enter(at *Listener) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	limit := s.role.Load().Proxy.MaxClients
	if limit > 0 && s.total >= limit || at.MaxClients > 0 && s.counts[at] >= at.MaxClients {
		s.rejected++
		return "-ERR max number of clients reached"
	}
	s.counts[at]++
	s.total++
	return ""
}

// Relay is a set of loops.
type Relay struct {
	shared shared
	next   atomic.Uint64
	stop   chan struct{}
}

// New prepares a relay. Run starts it.
func New(cfg Config) (*Relay, error) {
	r := &Relay{shared: shared{Config: cfg, counts: map[*Listener]int{}, zones: map[schema.Addr]string{}}, stop: make(chan struct{})}
	r.shared.role.Store(&cfg.Role)
	for _, node := range cfg.Role.Cluster.Redis.Nodes {
		r.shared.zones[node.Addr] = cfg.Role.Zones[node.Name]
	}
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
		shared: s, log: s.Log, poll: poll, yield: yields,
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

// Serve takes over a connection of a client. from is its address, when that is
// not the connection's own.
func (r *Relay) Serve(conn net.Conn, at *Listener, from string) {
	if refusal := r.shared.enter(at); refusal != "" {
		_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = conn.Write([]byte(refusal + "\r\n"))
		_ = conn.Close()
		return
	}
	l := r.shared.all[r.next.Add(1)%uint64(len(r.shared.all))]
	l.post(func(l *loop) { l.accept(conn, at, from) })
}

// accept makes a connection a client.
func (l *loop) accept(conn net.Conn, at *Listener, from string) {
	c := &client{id: l.shared.ids.Add(1), listener: at, since: l.ns, last: l.ns, addr: from, laddr: conn.LocalAddr().String()}
	c.rules, c.ident, c.tokens = l.rulesOf(at), l.baseIdentity(at), at.Rate
	if err := l.adopt(c, conn); err != nil {
		l.log.Warn("accept client", "error", err)
		_ = conn.Close()
		l.shared.left(at)
		return
	}
	l.stats.came(c)
	l.clients[c.id] = c
}

// baseIdentity is who clients of a listener are before they log in.
func (l *loop) baseIdentity(at *Listener) *identity {
	who := identity{proto: 2}
	if at.Login == schema.LoginProxy && l.shared.Password != nil {
		password, err := l.shared.Password()
		if err != nil {
			l.log.Warn("read password", "error", err)
		}
		who.password = password
	}
	return l.identity(who)
}

// Reload takes new settings. Clients stay, under the new rules of their listener.
func (r *Relay) Reload(role schema.ProxyRole) {
	r.shared.role.Store(&role)
	for _, l := range r.shared.all {
		l.post(func(l *loop) { l.seen.slow = int64(role.Proxy.SlowLog) })
	}
}

// Drain waits until every client is gone or idle, for a time at most.
func (r *Relay) Drain(ctx context.Context, patience time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for busy := true; busy && ctx.Err() == nil; {
		counts := make(chan int, len(r.shared.all))
		for _, l := range r.shared.all {
			l.post(func(l *loop) { counts <- l.drain() })
		}
		busy = false
		for range r.shared.all {
			select {
			case n := <-counts:
				busy = busy || n > 0
			case <-ctx.Done():
			}
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// drain closes idle clients and returns how many are left.
func (l *loop) drain() int {
	for _, c := range l.clients {
		if c.outstanding == 0 && c.wait == waitNothing && !c.state.multi && c.off == len(c.out) {
			l.drop(c)
		}
	}
	return len(l.clients)
}
