package relay

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	"rsm/runtime/proxy/follow"
	"rsm/schema"
)

// shared is what the loops of a relay have in common.
type shared struct {
	Config
	role      atomic.Pointer[schema.ProxyRole]
	listeners atomic.Pointer[map[string]*Listener] // by name
	zones     atomic.Pointer[map[schema.Addr]string]
	all       []*loop
	loops     int
	ids       atomic.Uint64
	mu        sync.Mutex
	counts    map[string]int // of clients, by the name of their listener
	total     int
	rejected  uint64 // clients that found no place
	password  string // the last one that could be read
}

// set makes settings those of clients and connections to come.
func (s *shared) set(role schema.ProxyRole) {
	listeners, zones := map[string]*Listener{}, map[schema.Addr]string{}
	for _, l := range role.Proxy.Listeners {
		listeners[l.Name] = &Listener{Listener: l}
	}
	for _, node := range role.Cluster.Redis.Nodes {
		zones[node.Addr] = role.Zones[node.Name]
	}
	s.role.Store(&role)
	s.listeners.Store(&listeners)
	s.zones.Store(&zones)
}

func (s *shared) listener(name string) *Listener { return (*s.listeners.Load())[name] }
func (s *shared) target() *follow.Target         { return s.Config.Target() }
func (s *shared) ask(why string)                 { s.Config.Ask(why) }
func (s *shared) fence() time.Duration           { return s.role.Load().Proxy.Fence }
func (s *shared) near(addr schema.Addr) bool {
	zone := s.role.Load().Zone
	return zone != "" && (*s.zones.Load())[addr] == zone
}

// dial returns how to connect to servers, nil for plain TCP.
func (s *shared) dial() Dial {
	if s.Config.Dial == nil {
		return nil
	}
	return s.Config.Dial()
}

// left counts a client that is gone.
func (s *shared) left(from string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total--
	if s.counts[from]--; s.counts[from] == 0 {
		delete(s.counts, from)
	}
}

// enter counts a client that has come; it returns why there is no place for it.
func (s *shared) enter(at *Listener) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	limit := s.role.Load().Proxy.MaxClients
	if limit > 0 && s.total >= limit || at.MaxClients > 0 && s.counts[at.Name] >= at.MaxClients {
		s.rejected++
		return "-ERR max number of clients reached"
	}
	s.counts[at.Name]++
	s.total++
	return ""
}

// clusterPassword is read for each connection, so that another one in the same
// place works at once. While it cannot be read, the last one does.
func (l *loop) clusterPassword() string {
	s := l.shared
	if s.Config.Password == nil {
		return ""
	}
	password, err := s.Config.Password()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		l.log.Warn("read password", "error", err)
		return s.password
	}
	s.password = password
	return password
}

// Serve takes over a connection of a client of the named listener. from is the
// client's address.
func (r *Relay) Serve(conn net.Conn, name, from string) {
	at := r.shared.listener(name)
	if at == nil { // it was removed in this moment
		_ = conn.Close()
		return
	}
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
	if now := l.shared.listener(at.Name); now != nil {
		at = now
	}
	c := &client{id: l.shared.ids.Add(1), listener: at, since: l.ns, last: l.ns, addr: from, laddr: conn.LocalAddr().String()}
	c.rules, c.ident, c.tokens = l.rulesOf(at), l.baseIdentity(at), at.Rate
	if err := l.adopt(c, conn); err != nil {
		l.log.Warn("accept client", "error", err)
		_ = conn.Close()
		l.shared.left(at.Name)
		return
	}
	l.stats.came(c)
	l.clients[c.id] = c
}

// baseIdentity is who clients of a listener are before they log in.
func (l *loop) baseIdentity(at *Listener) *identity {
	return l.identity(identity{proto: 2, login: at.Login == schema.LoginProxy})
}

// Reload takes new settings. Clients stay, under the new rules of their listener;
// those of a listener that is no more stay under the rules that they have.
func (r *Relay) Reload(role schema.ProxyRole) {
	before := r.shared.role.Load().Proxy.TLS
	r.shared.set(role)
	renew := (before == nil) != (role.Proxy.TLS == nil) || before != nil && *before != *role.Proxy.TLS
	for _, l := range r.shared.all {
		l.post(func(l *loop) {
			l.seen.slow = int64(role.Proxy.SlowLog)
			l.adapt()
			if renew {
				l.renew(func(*identity) bool { return true })
			}
		})
	}
}

// adapt gives every client the present rules of its listener.
func (l *loop) adapt() {
	l.rules = map[*Listener]*rules{}
	for _, c := range l.clients {
		at := l.shared.listener(c.listener.Name)
		if at == nil {
			at = c.listener
		}
		if c.listener.Rate != at.Rate {
			c.tokens = at.Rate
		}
		c.listener, c.rules, c.gen = at, l.rulesOf(at), 0
		if c.ident.user == "" && c.ident.password == "" {
			who := *c.ident
			who.login = at.Login == schema.LoginProxy
			c.ident = l.identity(who)
		}
	}
	l.nextTurn()
}

// nextTurn lets those go on who had sent more than they may.
func (l *loop) nextTurn() {
	for _, c := range l.delayed {
		if c.wait == waitTurn {
			c.wait = waitNothing
			l.wakeClient(c)
		}
	}
	l.delayed = nil
}

// Lock has those who sent no AUTH come in over new connections.
func (r *Relay) Lock() {
	for _, l := range r.shared.all {
		l.post(func(l *loop) { l.renew((*identity).anonymous) })
	}
}

// renew has the next requests of identities go over new connections, as those that
// there are were made in another way.
func (l *loop) renew(of func(*identity) bool) {
	for _, s := range l.servers {
		for b := range s.backends {
			switch {
			case b.owner != nil || b.ident == nil || !of(b.ident):
			case b.ring.count == 0:
				l.shut(b)
			default:
				l.retire(b)
				b.outdated = true
			}
		}
	}
}

// anonymous reports whether nobody logs in for it.
func (who *identity) anonymous() bool { return who.user == "" && who.password == "" && !who.login }
