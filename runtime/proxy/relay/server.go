package relay

import (
	"bytes"
	"slices"
	"strconv"
	"time"

	"rsm/schema"
)

// identity is who a connection is to the server. Clients of the same identity
// may share one.
type identity struct {
	user, password string
	login          bool // the proxy logs in for it
	db             int
	proto          int
}

// server is one redis-server that backends lead to.
type server struct {
	addr     schema.Addr
	backends map[*backend]bool
	shared   map[*identity]*backend
	// witnesses ask which writes its replicas have.
	witnesses map[*identity]*witness
	idle      []*backend
	// deposed is set when another server became the master: what is on its way is
	// still answered until patience ends.
	deposed  bool
	patience int64
	// Not before this time is it tried again.
	suspect int64
	refusal string // its answer to the proxy's own login, when that failed last
	fails   int
}

// Limits of what is kept open.
const (
	maxIdle      = 64
	idleTime     = int64(30 * time.Second)
	sharedTime   = int64(5 * time.Minute)
	openTime     = int64(2 * time.Second)
	drainTime    = int64(2 * time.Second)
	leaveTime    = int64(250 * time.Millisecond)
	stallTime    = int64(500 * time.Millisecond)
	suspectTime  = int64(10 * time.Millisecond)
	maxSuspended = int64(200 * time.Millisecond)
)

// identity returns the one value that stands for an identity in this loop.
func (l *loop) identity(of identity) *identity {
	if known := l.idents[of]; known != nil {
		return known
	}
	l.idents[of] = &of
	return &of
}

func (l *loop) server(addr schema.Addr) *server {
	s := l.servers[string(addr)]
	if s == nil {
		s = &server{addr: addr, backends: map[*backend]bool{}, shared: map[*identity]*backend{}}
		l.servers[string(addr)] = s
	}
	return s
}

// suspect makes clients wait a moment before they try a server again.
func (l *loop) suspect(s *server) {
	s.fails++
	s.suspect = l.ns + min(suspectTime<<min(s.fails, 5), maxSuspended)
	if l.wakeAt == 0 || s.suspect < l.wakeAt {
		l.wakeAt = s.suspect
	}
	l.gen++
}

// sharedBackend returns the backend that clients of an identity share, nil while
// the server cannot be tried.
func (l *loop) sharedBackend(s *server, who *identity) *backend {
	if b := s.shared[who]; b != nil {
		return b
	}
	b := l.lease(s, who)
	if b != nil {
		b.shared = true
		s.shared[who] = b
	}
	return b
}

// lease returns a backend for an identity that nobody else uses: an idle one,
// one that can be made to be that identity, or a new one.
func (l *loop) lease(s *server, who *identity) *backend {
	if s.suspect > l.ns || s.deposed {
		return nil
	}
	i := slices.IndexFunc(s.idle, func(b *backend) bool { return b.ident == who })
	if i < 0 && len(s.idle) > 0 {
		i = 0
	}
	if i < 0 {
		return l.open(s, who)
	}
	b := s.idle[i]
	s.idle = slices.Delete(s.idle, i, i+1)
	if b.ident != who {
		l.greet(b, who, b.ident != nil)
	}
	return b
}

// open begins a new connection. Nothing is known of it yet.
func (l *loop) open(s *server, who *identity) *backend {
	b := &backend{server: s, opened: l.ns, used: l.ns}
	if err := l.connect(b); err != nil {
		l.log.Warn("connect", "server", s.addr, "error", err)
		l.suspect(s)
		l.shared.ask(string(s.addr) + " cannot be reached")
		return nil
	}
	s.backends[b] = true
	l.stats.opened++
	l.greet(b, who, false)
	return b
}

// greet makes a connection be an identity. Nothing else is sent before the server
// has agreed.
func (l *loop) greet(b *backend, who *identity, reset bool) {
	b.ident, b.ready, b.greeting, b.opened = who, false, 0, l.ns
	ask := func(args ...string) {
		b.greeting++
		l.own(b, capture, (*loop).greeted, args...)
	}
	if reset {
		ask("RESET")
		b.name = ""
	}
	password := who.password
	if who.login {
		password = l.clusterPassword()
	}
	switch {
	case password != "" && who.user != "":
		ask("AUTH", who.user, password)
	case password != "":
		ask("AUTH", password)
	}
	if who.proto == 3 {
		ask("HELLO", "3")
	}
	if who.db != 0 {
		ask("SELECT", strconv.Itoa(who.db))
	}
	if b.realID == "" { // also tells that the connection works
		b.greeting++
		l.own(b, capture, (*loop).identified, "CLIENT", "ID")
	}
	b.greetingSize = len(b.out)
	b.ready = b.greeting == 0
}

// identified takes the id that a connection has at the server. Who may not ask
// has none.
func (l *loop) identified(b *backend, reply []byte) {
	if reply[0] == ':' {
		b.realID = string(bytes.TrimSpace(reply[1:]))
	} else if !notExecuted(string(reply)) {
		reply = []byte("+\r\n")
	}
	l.greeted(b, reply)
}

// greeted takes one answer to the greeting.
func (l *loop) greeted(b *backend, reply []byte) {
	if reply[0] == '-' {
		l.refusedGreeting(b, string(reply[:len(reply)-2]))
		return
	}
	if b.greeting--; b.greeting == 0 {
		b.ready, b.server.fails, b.server.refusal = true, 0, ""
		l.dirt(b)
	}
}

// refusedGreeting is for a server that does not let the identity in. Its clients
// hear why; most likely their password is no longer valid.
func (l *loop) refusedGreeting(b *backend, why string) {
	if notExecuted(why) || b.ident.login { // the cluster's password may be about to change
		if b.ident.login && why != b.server.refusal {
			l.log.Warn("log in", "server", b.server.addr, "answer", why)
		}
		b.server.refusal = why
		l.suspect(b.server)
		l.shared.ask(string(b.server.addr) + " answered " + why)
		l.broken(b, errRefused)
		return
	}
	l.log.Warn("log in", "server", b.server.addr, "user", b.ident.user, "answer", why)
	for _, c := range l.inFlight(b) {
		l.say(c, why)
		c.closing = true
	}
	if c := b.owner; c != nil && !c.gone && !c.closing { // it waits for what the proxy asked
		l.say(c, why)
		c.closing = true
	}
	l.shut(b)
}

// inFlight returns the clients that wait for replies of a backend.
func (l *loop) inFlight(b *backend) []*client {
	var found []*client
	for i := range b.ring.count {
		if c := b.ring.at(i).c; c != nil && !c.gone && !slices.Contains(found, c) {
			found = append(found, c)
		}
	}
	return found
}

// giveBack keeps a backend that nobody uses for the next who needs one.
func (l *loop) giveBack(b *backend) {
	if b.gone {
		return
	}
	if b.server.deposed || b.outdated || len(b.server.idle) >= maxIdle {
		l.shut(b)
		return
	}
	l.unblock(b) // it has no more for the one that does not read
	b.used = l.ns
	b.server.idle = append(b.server.idle, b)
}

// retire takes a backend from new requests: it is busy with one client. It is
// idle again when all that it was sent is answered.
func (l *loop) retire(b *backend) {
	if b.shared {
		b.shared, b.retired = false, true
		delete(b.server.shared, b.ident)
		l.gen++
	}
}

// shut closes a backend and forgets it; what was on its way is not looked at.
func (l *loop) shut(b *backend) {
	if b.gone {
		return
	}
	s := b.server
	delete(s.backends, b)
	if s.shared[b.ident] == b {
		delete(s.shared, b.ident)
		l.gen++
	}
	if i := slices.Index(s.idle, b); i >= 0 {
		s.idle = slices.Delete(s.idle, i, i+1)
	}
	for e := b.ring.front(); e != nil; e = b.ring.front() {
		l.outgone -= e.n
		if e.c != nil {
			e.c.outstanding -= e.n
			if e.c.outstanding == 0 && e.c.pin == nil {
				l.quiet(e.c)
			}
		}
		b.ring.pop()
	}
	for _, c := range b.waiters {
		if c.wait == waitRoom {
			c.wait = waitNothing
			l.wakeClient(c)
		}
	}
	b.waiters = nil
	l.unregister(&b.conn)
	b.close()
	if b.witness != nil {
		b.witness.lost(l)
	}
	if len(s.backends) == 0 && s != l.master && s.suspect <= l.ns {
		delete(l.servers, string(s.addr))
	}
}
