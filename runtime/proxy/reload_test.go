package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rsm/internal/redistest"
	"rsm/runtime/proxy"
	"rsm/schema"
)

// reload gives a proxy a role with other listeners.
func reload(t testing.TB, p *proxy.Proxy, role *schema.ProxyRole, change func(*schema.ProxyRole)) {
	t.Helper()
	role.Proxy.Listeners = append([]schema.Listener(nil), role.Proxy.Listeners...)
	change(role)
	if err := p.Reload(*role); err != nil {
		t.Fatal(err)
	}
}

// answers waits until a request is answered in some way: rules reach the event
// loops a moment after Reload has returned.
func (p *peer) answers(prefix string, args ...string) {
	p.t.Helper()
	redistest.Wait(p.t, patience, func() error {
		if got := p.ask(args...); !strings.HasPrefix(got, prefix) {
			return fmt.Errorf("%q is answered by %.200q, want %s", args, got, prefix)
		}
		return nil
	})
}

// Every rule of a listener is in force at once, for those who are connected.
func TestReloadRules(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	p, role := ruled(t, server, func(*schema.ProxyRole, *schema.Listener) {})
	addr := mainAddr(role)
	c, pinned := dial(t, addr), dial(t, addr)
	c.want("+OK\r\n", "SET", "k", "v")
	pinned.want("+OK\r\n", "WATCH", "k")
	main := func(change func(*schema.Listener)) {
		reload(t, p, &role, func(r *schema.ProxyRole) { change(&r.Proxy.Listeners[0]) })
	}
	main(func(l *schema.Listener) { l.Deny = []string{"get"}; l.Rename = map[string]string{"fetch": "strlen"} })
	c.answers("-NOPERM ", "GET", "k")
	c.want(":1\r\n", "FETCH", "k")
	pinned.refused("-NOPERM ", "GET", "k")
	main(func(l *schema.Listener) { l.Deny, l.Rename, l.ReadOnly = nil, nil, true })
	c.answers(bulk("v"), "GET", "k")
	c.refused("-NOPERM ", "SET", "k", "x")
	pinned.refused("-NOPERM ", "SET", "k", "x")
	main(func(l *schema.Listener) { l.ReadOnly, l.MaxRequest = false, 100 })
	c.answers("+OK\r\n", "SET", "k", "x")
	c.refused("-ERR request of more than 100 bytes", "SET", "k", strings.Repeat("x", 200))
	main(func(l *schema.Listener) { l.MaxRequest, l.Rate = 0, 1 })
	began := time.Now()
	c.send(pipeline("PING", "PING", "PING", "PING", "PING", "PING", "PING", "PING", "PING", "PING"))
	redistest.Wait(t, patience, func() error { // those that wait for their turn go on when it is over
		main(func(l *schema.Listener) { l.Rate = 0 })
		return nil
	})
	for range 10 {
		if got, err := c.reply(); string(got) != "+PONG\r\n" {
			t.Fatalf("%q, %v", got, err)
		}
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("without the limit it took %s", took)
	}
	main(func(l *schema.Listener) { l.Idle = 200 * time.Millisecond })
	if _, err := c.rest(); err != nil {
		t.Errorf("an idle client: %v", err)
	}
}

// Clients that are there count under new limits, and only once.
func TestReloadClientLimits(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	p, role := ruled(t, server, func(_ *schema.ProxyRole, l *schema.Listener) { l.MaxClients = 3 })
	addr := mainAddr(role)
	var inside []*peer
	for range 3 {
		inside = append(inside, served(t, addr)())
	}
	full := func(at string) error {
		replies, _ := dial(t, at).rest()
		if len(replies) != 1 || string(replies[0]) != "-ERR max number of clients reached\r\n" {
			return fmt.Errorf("one client too many gets %q", replies)
		}
		return nil
	}
	for range 3 {
		reload(t, p, &role, func(r *schema.ProxyRole) { r.Proxy.Listeners[0].MaxRequest += 1000 })
		if err := full(addr); err != nil {
			t.Fatal(err)
		}
	}
	reload(t, p, &role, func(r *schema.ProxyRole) { r.Proxy.Listeners[0].MaxClients = 4 })
	inside = append(inside, served(t, addr)())
	if err := full(addr); err != nil {
		t.Fatal(err)
	}
	// All listeners together; the address of the first is another one now.
	reload(t, p, &role, func(r *schema.ProxyRole) {
		r.Proxy.MaxClients = 4
		r.Proxy.Listeners[0].Addr = schema.NewAddr("127.0.0.1", redistest.Ports(t, 1)[0])
		r.Proxy.Listeners[0].MaxClients = 0
	})
	redistest.Wait(t, patience, func() error { return full(mainAddr(role)) })
	if err := full(role.Proxy.Listeners[1].Socket); err != nil {
		t.Error(err)
	}
	for _, c := range inside {
		c.want("+PONG\r\n", "PING")
		_ = c.conn.Close()
	}
	for range 3 { // and the one over the socket
		served(t, mainAddr(role))()
	}
	if err := full(mainAddr(role)); err != nil {
		t.Error(err)
	}
	if conn, err := net.Dial("tcp", addr); err == nil {
		t.Errorf("the old address still answers: %v", conn.LocalAddr())
	}
}

// Settings that cannot be taken leave everything as it was.
func TestReloadRefused(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	p, role := ruled(t, server, func(*schema.ProxyRole, *schema.Listener) {})
	c := dial(t, mainAddr(role))
	c.want("+OK\r\n", "SET", "k", "v")
	free := schema.NewAddr("127.0.0.1", redistest.Ports(t, 1)[0])
	for name, change := range map[string]func(*schema.ProxyRole){
		"port": func(r *schema.ProxyRole) {
			r.Proxy.Listeners[1] = schema.Listener{Name: "taken", Addr: schema.Addr(server.Addr())}
		},
		"certificate": func(r *schema.ProxyRole) { r.Proxy.Listeners[1].TLS = &schema.ServerTLS{Cert: "/none", Key: "/none"} },
		"authority":   func(r *schema.ProxyRole) { r.Proxy.TLS = &schema.ClientTLS{CA: "/none"} },
		"secret":      func(r *schema.ProxyRole) { r.Cluster.Auth.Password = &schema.Secret{File: "/none"} },
		"socket":      func(r *schema.ProxyRole) { r.Proxy.Listeners[1].Socket = "/none/socket" },
	} {
		bad := role
		bad.Proxy.Listeners = append([]schema.Listener{{Name: "fresh", Addr: free}}, role.Proxy.Listeners...)
		bad.Proxy.Listeners[1].ReadOnly = true
		bad.Proxy.Listeners = append(bad.Proxy.Listeners[:1:1], append([]schema.Listener{bad.Proxy.Listeners[1]}, bad.Proxy.Listeners[2:]...)...)
		swap := bad
		swap.Proxy.Listeners = []schema.Listener{bad.Proxy.Listeners[1], bad.Proxy.Listeners[2], bad.Proxy.Listeners[0]}
		change(&swap)
		if err := p.Reload(swap); err == nil {
			t.Errorf("%s: it is taken", name)
		}
		if conn, err := net.Dial("tcp", string(free)); err == nil {
			t.Errorf("%s: a new address is open: %v", name, conn.LocalAddr())
		}
		c.want("+OK\r\n", "SET", "k", "v")
		dial(t, role.Proxy.Listeners[1].Socket).want(bulk("v"), "GET", "k")
	}
}

// TLS is added to a listener, and the others come and go, while clients stay.
func TestReloadListeners(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	a := newAuthority(t)
	a.make("server", nil)
	p, role := ruled(t, server, func(*schema.ProxyRole, *schema.Listener) {})
	addr, socket := mainAddr(role), role.Proxy.Listeners[1].Socket
	plain, overSocket := dial(t, addr), dial(t, socket)
	plain.want("+PONG\r\n", "PING")
	overSocket.want("+PONG\r\n", "PING")
	other := filepath.Join(t.TempDir(), "other")
	reload(t, p, &role, func(r *schema.ProxyRole) {
		r.Proxy.Listeners[0].TLS = &schema.ServerTLS{Cert: a.path("server.crt"), Key: a.path("server.key")}
		r.Proxy.Listeners[1] = schema.Listener{Name: "other", Socket: other, Read: schema.ReadMaster}
	})
	dial(t, addr).encrypt(a.config("")).want("+PONG\r\n", "PING")
	dial(t, other).want("+PONG\r\n", "PING")
	if conn, err := net.Dial("unix", socket); err == nil {
		t.Errorf("a listener that was removed still answers: %v", conn.LocalAddr())
	}
	plain.want("+PONG\r\n", "PING")
	overSocket.want("+PONG\r\n", "PING")
	// A password that is set while the proxy runs is asked for, though it has
	// connections from before.
	dial(t, other).want("$-1\r\n", "GET", "k")
	dial(t, other).want("*-1\r\n", "BLPOP", "l", "0.01")
	server.Do("CONFIG", "SET", "requirepass", "pw")
	dial(t, other).answers("-NOAUTH ", "GET", "k")
	dial(t, other).refused("-NOAUTH ", "BLPOP", "l", "0.01")
}

// The Sentinels and nodes of the cluster are other ones: requests follow, and no
// connection is dropped.
func TestReloadCluster(t *testing.T) {
	t.Parallel()
	first, second := redistest.Start(t), redistest.Start(t)
	p, role := ruled(t, first, func(r *schema.ProxyRole, _ *schema.Listener) { r.Proxy.Fence = time.Second })
	c, pinned := dial(t, mainAddr(role)), dial(t, mainAddr(role))
	c.want("+OK\r\n", "SET", "k", "first")
	pinned.want("*3\r\n"+bulk("subscribe")+bulk("c")+":1\r\n", "SUBSCRIBE", "c")

	// Another Sentinel that names the same master: nothing is cut.
	reload(t, p, &role, func(r *schema.ProxyRole) {
		r.Cluster.Sentinel.Nodes = []schema.SentinelNode{{Name: "other", Addr: schema.Addr(sentinel(t, first.Addr()).Addr())}}
		r.Proxy.Fence = 2 * time.Second
	})
	for until := time.Now().Add(500 * time.Millisecond); time.Now().Before(until); {
		c.want(bulk("first"), "GET", "k")
	}
	first.Do("PUBLISH", "c", "hello")
	if got, err := pinned.reply(); !strings.Contains(string(got), "hello") {
		t.Errorf("the subscriber gets %q, %v", got, err)
	}

	// Another cluster altogether, with a password.
	watcher := sentinel(t, second.Addr())
	second.Do("SET", "k", "second")
	reload(t, p, &role, func(r *schema.ProxyRole) {
		r.Cluster.Redis.Nodes = []schema.RedisNode{{Name: "redis-2", Addr: schema.Addr(second.Addr())}}
		r.Cluster.Sentinel.Nodes = []schema.SentinelNode{{Name: "other", Addr: schema.Addr(watcher.Addr())}}
	})
	c.answers(bulk("second"), "GET", "k")
}

// A proxy that ends answers what it was asked.
func TestDrain(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "enable-debug-command yes")
	role := newRole(t, server.Addr(), sentinel(t, server.Addr()).Addr())
	p, err := proxy.New(role, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	addr := mainAddr(role)
	awaitTable(t, addr)
	idle, busy, blocked, transaction, subscriber := dial(t, addr), dial(t, addr), dial(t, addr), dial(t, addr), dial(t, addr)
	for _, c := range []*peer{idle, busy, blocked} {
		c.want("+PONG\r\n", "PING")
	}
	transaction.want("+OK\r\n", "MULTI")
	subscriber.want("*3\r\n"+bulk("subscribe")+bulk("c")+":1\r\n", "SUBSCRIBE", "c")
	blocked.send(pipeline("BLPOP l 0"))
	redistest.Wait(t, patience, redistest.Want("blocked_clients", "1", func() string { return server.Info("blocked_clients") }))
	busy.send(pipeline("DEBUG SLEEP 0.5", "SET k v", "GET k"))
	cancel()
	// Idle ones are closed, blocked ones hear of it.
	if got, err := idle.rest(); len(got) > 0 || err != nil {
		t.Errorf("an idle client gets %q, %v", got, err)
	}
	if got, err := blocked.rest(); len(got) != 1 || !strings.HasPrefix(string(got[0]), "-UNBLOCKED ") || err != nil {
		t.Errorf("a blocked client gets %q, %v", got, err)
	}
	if _, err := subscriber.rest(); err != nil {
		t.Errorf("a subscriber: %v", err)
	}
	if conn, err := net.Dial("tcp", addr); err == nil {
		t.Errorf("it still accepts: %v", conn.LocalAddr())
	}
	if err := p.Reload(role); err == nil {
		t.Error("it takes settings though it ends")
	}
	if got, err := busy.rest(); len(got) != 3 || string(got[2]) != bulk("v") || err != nil {
		t.Errorf("a busy client gets %q, %v", got, err)
	}
	transaction.want("+QUEUED\r\n", "GET", "k")
	transaction.want("*1\r\n"+bulk("v"), "EXEC")
	if _, err := transaction.rest(); err != nil {
		t.Errorf("after EXEC: %v", err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(drainLimit):
		t.Error("it does not end")
	}
	redistest.Wait(t, patience, func() error {
		if n := server.Info("blocked_clients"); n != "0" {
			return errors.New("somebody is still blocked")
		}
		return nil
	})
}

const drainLimit = 2 * time.Second

// lateListener returns a client only after it was closed: what may happen on a
// busy machine.
type lateListener struct {
	net.Listener
	accepted, closed chan struct{}
}

func (l *lateListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		close(l.accepted)
		<-l.closed
		time.Sleep(50 * time.Millisecond) // nothing else tells that Run has gone on
	}
	return conn, err
}

func (l *lateListener) Close() error {
	defer close(l.closed)
	return l.Listener.Close()
}

// Who was accepted at the moment in which the proxy ends is served.
func TestDrainLatecomer(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	role := newRole(t, server.Addr(), sentinel(t, server.Addr()).Addr())
	inner, err := net.Listen("tcp", mainAddr(role))
	if err != nil {
		t.Fatal(err)
	}
	late := &lateListener{Listener: inner, accepted: make(chan struct{}), closed: make(chan struct{})}
	p, err := proxy.New(role, slog.New(slog.NewTextHandler(io.Discard, nil)), proxy.Socket{Name: "main", Listener: late})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	client := dial(t, mainAddr(role))
	client.send(pipeline("PING"))
	<-late.accepted
	cancel()
	if got, err := client.rest(); len(got) != 1 || string(got[0]) != "+PONG\r\n" || err != nil {
		t.Errorf("who was accepted last gets %q, %v", got, err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
