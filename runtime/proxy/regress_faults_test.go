package proxy_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rsm/internal/redistest"
	"rsm/schema"
)

// C5: a server that hung had its clients hang for ever, and with them those who
// did not need it.
func TestC5HungServer(t *testing.T) {
	t.Parallel()
	for name, hang := range map[string]func(*redistest.Server, *bridge) (again func()){
		"stopped": func(s *redistest.Server, _ *bridge) func() { s.Pause(); return s.Resume },
		"silent": func(_ *redistest.Server, b *bridge) func() {
			b.set(weather{deafFrom: true})
			return func() { b.set(weather{}) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, b := redistest.Start(t), newBridge(t)
			b.leadTo(server.Addr())
			role := newRole(t, b.addr, sentinel(t, b.addr).Addr())
			role.Proxy.Hold = 500 * time.Millisecond
			run(t, role)
			awaitTable(t, mainAddr(role))
			hungServer(t, role, func() func() { return hang(server, b) })
		})
	}
}

func hungServer(t *testing.T, role schema.ProxyRole, hang func() (again func())) {
	addr := mainAddr(role)
	blocked, subscriber, reader := dial(t, addr), dial(t, addr), dial(t, addr)
	blocked.send(pipeline("BLPOP l 0"))
	subscriber.ask("SUBSCRIBE", "c")
	reader.want("$-1\r\n", "GET", "k")
	asked := map[string]*peer{"BLPOP l 0": blocked, "SUBSCRIBE c": subscriber, "GET k": reader}
	for _, words := range []string{"SET k v", "MULTI", "XREAD BLOCK 0 STREAMS s 0", "PING", "nosuch"} {
		asked[words] = dial(t, addr)
	}
	again := hang()
	began := time.Now()
	for words, p := range asked {
		if p != blocked && p != subscriber {
			p.send(pipeline(words))
		}
	}
	for range 50 { // who needs no server does not notice
		asked := time.Now()
		if got := dial(t, addr).ask("CLIENT", "ID"); got[0] != ':' || time.Since(asked) > time.Second {
			t.Errorf("CLIENT ID is answered by %q after %s", got, time.Since(asked))
		}
	}
	limit := role.Cluster.Sentinel.DownAfter + role.Proxy.Hold
	for words, want := range map[string]string{
		"GET k": "-MASTERDOWN ", "PING": "-MASTERDOWN ", "MULTI": "-MASTERDOWN ", "XREAD BLOCK 0 STREAMS s 0": "-MASTERDOWN ", "SUBSCRIBE c": "-MASTERDOWN ",
		"nosuch":  "-MASTERDOWN ", // it needed a new connection, and was not sent
		"SET k v": "-INDOUBT ", "BLPOP l 0": "-INDOUBT ",
	} {
		if got, err := asked[words].reply(); err != nil || !strings.HasPrefix(string(got), want) {
			t.Errorf("%s is answered by %q, %v; want %s", words, got, err, want)
		}
	}
	if took := time.Since(began); took < limit*3/4 || took > limit+5*time.Second {
		t.Errorf("the last answer came after %s, want about %s", took, limit)
	}
	again()
	redistest.Wait(t, patience, func() error {
		if got := reader.ask("PING"); got != "+PONG\r\n" {
			return fmt.Errorf("when the server goes on, PING is answered by %q", got)
		}
		return nil
	})
}

// C5: reads of replicas go on while the master hangs, and writes when another leads.
func TestC5HungMasterIsLeft(t *testing.T) {
	t.Parallel()
	r := newReplicated(t, 3, nil, readsFrom("replica", schema.ReadReplica))
	rs := r.read("replica", 8)
	writer := dial(t, r.at["main"])
	writer.want("+OK\r\n", "SET", "k", "v")
	rs.slowest.Store(0)
	r.Redis[0].Pause()
	hung := time.Now()
	writer.want(bulk("v"), "GET", "k")
	writer.want("+OK\r\n", "SET", "k", "w")
	t.Logf("a read and a write were answered %s after the master hung", time.Since(hung).Round(time.Millisecond))
	rs.await(100)
	rs.end()
	if slow := time.Duration(rs.slowest.Load()); slow > 10*time.Second {
		t.Errorf("a read of a replica took %s", slow)
	}
}

// middleman stands between a proxy and its server, and is as slow and as rude to the
// proxy as it is told.
type middleman struct {
	addr   string
	slow   atomic.Bool // takes 16 kB in 5 ms
	reset  atomic.Bool // the next long reply is cut by an RST
	reject atomic.Bool // new connections get one
	// How many did.
	rejected atomic.Int64
}

func newMiddleman(t testing.TB, to string) *middleman {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	m := &middleman{addr: l.Addr().String()}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			client := conn.(*net.TCPConn)
			if m.reject.Load() {
				abort(client)
				m.rejected.Add(1)
				continue
			}
			server, err := net.Dial("tcp", to)
			if err != nil {
				abort(client)
				continue
			}
			go m.takes(server, client)
			go m.gives(client, server)
		}
	}()
	return m
}

// abort closes with an RST.
func abort(conn *net.TCPConn) {
	_ = conn.SetLinger(0)
	_ = conn.Close()
}

func (m *middleman) takes(server, client net.Conn) {
	defer server.Close()
	for buf := make([]byte, 16<<10); ; {
		n, err := client.Read(buf)
		if n == len(buf) && m.slow.Load() {
			time.Sleep(5 * time.Millisecond)
		}
		if _, writeErr := server.Write(buf[:n]); err != nil || writeErr != nil {
			return
		}
	}
}

func (m *middleman) gives(client *net.TCPConn, server net.Conn) {
	defer client.Close()
	for buf := make([]byte, 16<<10); ; {
		n, err := server.Read(buf)
		cut := n == len(buf) && m.reset.CompareAndSwap(true, false)
		if cut {
			n /= 2
		}
		_, writeErr := client.Write(buf[:n])
		if cut {
			time.Sleep(20 * time.Millisecond) // an RST takes back what was not read yet
			abort(client)
		}
		if cut || err != nil || writeErr != nil {
			return
		}
	}
}

// C7: a write to a slow connection stalled all the others, and an error of a socket
// that nobody had thought of ended the process.
func TestC7SlowAndBrokenConnections(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	m := newMiddleman(t, server.Addr())
	role := newRole(t, m.addr, sentinel(t, m.addr).Addr())
	role.Proxy.Threads = 1 // everybody is in the same loop
	run(t, role)
	addr := mainAddr(role)
	awaitTable(t, addr)
	large := strings.Repeat("x", 4<<20)
	server.Do("SET", "large", large)
	other := dial(t, addr)
	othersAreServed := func() {
		t.Helper()
		for range 20 {
			began := time.Now()
			if other.want("+PONG\r\n", "PING"); time.Since(began) > time.Second {
				t.Errorf("another client was answered after %s", time.Since(began))
			}
		}
	}

	t.Run("server that takes slowly", func(t *testing.T) {
		m.slow.Store(true)
		defer m.slow.Store(false)
		p := dial(t, addr)
		ended := make(chan string, 1)
		go func() { ended <- p.ask("SET", "k", large) }()
		for rounds := 1; ; rounds++ {
			othersAreServed()
			select {
			case got := <-ended:
				if got != "+OK\r\n" || rounds < 5 {
					t.Errorf("SET is answered by %q; meanwhile %d rounds of others", got, rounds)
				}
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	})
	t.Run("reset in a reply", func(t *testing.T) {
		for range 5 {
			p := dial(t, addr)
			m.reset.Store(true)
			p.send(pipeline("GET large", "PING"))
			if got, err := io.ReadAll(p.conn); err != nil || len(got) > len(large) || !strings.HasPrefix(bulk(large), string(got)) {
				t.Errorf("want a part of the reply and the end, got %d bytes, %.20q, %v", len(got), got, err)
			}
			othersAreServed()
		}
	})
	t.Run("reset after connect", func(t *testing.T) {
		p := dial(t, addr)
		p.want("$-1\r\n", "GET", "none")
		server.Do("CLIENT", "KILL", "TYPE", "normal") // so that everybody has to connect again
		m.reject.Store(true)
		p.send(pipeline("WATCH none", "GET none"))
		redistest.Wait(t, patience, func() error {
			if got := dial(t, addr).ask("CLIENT", "ID"); got[0] != ':' {
				t.Errorf("CLIENT ID is answered by %q", got)
			}
			if n := m.rejected.Load(); n < 10 {
				return fmt.Errorf("%d connections were reset", n)
			}
			return nil
		})
		m.reject.Store(false)
		for _, want := range []string{"+OK\r\n", "$-1\r\n"} {
			if got, err := p.reply(); string(got) != want {
				t.Errorf("%q, %v; want %q", got, err, want)
			}
		}
		othersAreServed()
	})
	t.Run("clients that reset", func(t *testing.T) {
		for i := range 30 {
			p := dial(t, addr)
			p.send(bytes.Repeat(pipeline([]string{"GET large", "XREAD BLOCK 0 STREAMS s 0", "PING"}[i%3]), 10))
			if i%3 != 1 {
				_, _ = p.r.ReadByte()
			}
			abort(p.conn.(*net.TCPConn))
		}
		othersAreServed()
		redistest.Wait(t, patience, func() error {
			if list := other.ask("CLIENT", "LIST"); strings.Count(list, "id=") > 5 {
				return fmt.Errorf("clients are left: %s", list)
			}
			return nil
		})
	})
}
