package proxy_test

import (
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rsm/internal/redistest"
	"rsm/runtime/proxy"
	"rsm/schema"
)

// ruled runs a proxy whose first listener has other rules; the second has none.
func ruled(t testing.TB, server *redistest.Server, change func(*schema.ProxyRole, *schema.Listener)) (*proxy.Proxy, schema.ProxyRole) {
	t.Helper()
	role := newRole(t, server.Addr(), sentinel(t, server.Addr()).Addr())
	change(&role, &role.Proxy.Listeners[0])
	p := run(t, role)
	awaitTable(t, role.Proxy.Listeners[1].Socket)
	return p, role
}

// awaitTable waits until the commands of the server are known.
func awaitTable(t testing.TB, addr string) {
	t.Helper()
	dial(t, addr).want("$-1\r\n", "GET", "nokey")
}

func (p *peer) refused(prefix string, args ...string) {
	p.t.Helper()
	if got := p.ask(args...); !strings.HasPrefix(got, prefix) {
		p.t.Errorf("%q is answered by %.200q, want %s", args, got, prefix)
	}
}

func TestDenyAndRename(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	_, role := ruled(t, server, func(_ *schema.ProxyRole, l *schema.Listener) {
		l.Deny = []string{"flushall", "config|set", "client|kill", "monitor"}
		l.Rename = map[string]string{"secretkeys": "keys", "get": "strlen"}
	})
	p := dial(t, mainAddr(role))
	p.want("+OK\r\n", "SET", "k", "four")
	for _, args := range [][]string{{"FLUSHALL"}, {"FlushAll", "ASYNC"}, {"CONFIG", "SET", "maxmemory", "1"}, {"config", "Set", "maxmemory", "1"},
		{"CLIENT", "KILL", "ID", "1"}, {"MONITOR"}, {"KEYS", "*"}, {"STRLEN", "k"}} {
		p.refused("-NOPERM ", args...)
	}
	p.send([]byte("FLUSHALL\r\n"))
	if got, err := p.reply(); !strings.HasPrefix(string(got), "-NOPERM ") || err != nil {
		t.Errorf("inline: %q, %v", got, err)
	}
	p.want("*1\r\n"+bulk("k"), "SecretKeys", "*")
	p.want(":4\r\n", "GET", "k") // an alias comes before a command of its name
	p.refused("*2\r\n", "CONFIG", "GET", "maxmemory")
	p.refused(":", "CLIENT", "ID")
	// Order in a pipeline, and a transaction of which a part was refused fails.
	p.send(pipeline("SET k five5", "FLUSHALL", "GET k", "MULTI", "SET k x", "FLUSHALL", "EXEC", "GET k"))
	for _, want := range []string{"+OK\r\n", "-NOPERM ", ":5\r\n", "+OK\r\n", "+QUEUED\r\n", "-NOPERM ", "-EXECABORT ", ":5\r\n"} {
		if got, err := p.reply(); !strings.HasPrefix(string(got), want) {
			t.Fatalf("%q, %v; want %q", got, err, want)
		}
	}
	other := dial(t, role.Proxy.Listeners[1].Socket)
	other.want("+OK\r\n", "FLUSHALL")
}

func TestReadOnly(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	server.Do("SET", "k", "v")
	_, role := ruled(t, server, func(_ *schema.ProxyRole, l *schema.Listener) {
		l.ReadOnly = true
		l.Rename = map[string]string{"put": "set"}
	})
	p := dial(t, mainAddr(role))
	for _, args := range [][]string{
		{"SET", "k", "x"}, {"PUT", "k", "x"}, {"DEL", "k"}, {"EVAL", "return 1", "0"}, {"PUBLISH", "c", "x"}, {"FLUSHALL"}, {"BLPOP", "l", "0"}, {"nosuch"},
		{"CONFIG", "SET", "maxmemory", "1"}, {"REPLICAOF", "NO", "ONE"}, {"SHUTDOWN"}, {"FUNCTION", "FLUSH"}, {"SCRIPT", "FLUSH"}, {"DEBUG", "JMAP"},
		{"SORT", "l", "STORE", "m"}, {"GETEX", "k", "PERSIST"}, {"SYNC"}, {"REPLCONF", "ACK", "1"},
	} {
		p.refused("-NOPERM ", args...)
	}
	p.want(bulk("v"), "GET", "k")
	p.want("+PONG\r\n", "PING")
	p.want("+OK\r\n", "MULTI")
	p.refused("-NOPERM ", "SET", "k", "x")
	p.refused("-EXECABORT ", "EXEC")
	p.want("*1\r\n"+bulk("k"), "KEYS", "*")
	// A long write is refused, too, and what comes after is in order.
	p.send(command("SET", "k", strings.Repeat("x", 300_000)), pipeline("GET k"))
	for _, want := range []string{"-NOPERM ", bulk("v")} {
		if got, err := p.reply(); !strings.HasPrefix(string(got), want) {
			t.Fatalf("%.100q, %v; want %q", got, err, want)
		}
	}
}

func TestRate(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	_, role := ruled(t, server, func(_ *schema.ProxyRole, l *schema.Listener) { l.Rate = 50 })
	p, other := dial(t, mainAddr(role)), dial(t, role.Proxy.Listeners[1].Socket)
	began := time.Now()
	request := pipeline("MULTI", "PING", "EXEC", "BLPOP none 0.001")
	for range 29 {
		request = append(request, pipeline("PING", "PING", "PING", "FLUSHALL")...)
	}
	p.send(request)
	for range 1000 {
		other.want("+PONG\r\n", "PING")
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Logf("the others took %s", took)
	}
	for i := range 120 {
		if got, err := p.reply(); err != nil {
			t.Fatalf("reply %d: %q, %v", i, got, err)
		}
	}
	if took := time.Since(began); took < time.Second || took > 15*time.Second {
		t.Errorf("120 requests at 50 per second took %s", took)
	}
}

func TestMaxRequest(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	_, role := ruled(t, server, func(_ *schema.ProxyRole, l *schema.Listener) { l.MaxRequest = 200_000 })
	many := []string{"RPUSH", "l"}
	for range 30_000 {
		many = append(many, "0123456789")
	}
	for name, request := range map[string][]byte{
		"a bulk":    command("SET", "k", strings.Repeat("x", 1<<20)),
		"arguments": command(many...),
		"a header":  []byte("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\n"),
	} {
		p := dial(t, mainAddr(role))
		p.send(pipeline("PING"), request)
		replies, _ := p.rest()
		if len(replies) != 2 || !strings.HasPrefix(string(replies[1]), "-ERR Protocol error: request of more than 200000 bytes") {
			t.Errorf("%s that is too long: %.200q", name, replies)
		}
	}
	p := dial(t, mainAddr(role))
	p.want("+OK\r\n", "SET", "k", strings.Repeat("x", 190_000))
	p.want(":10000\r\n", many[:10_002]...)
	redistest.Wait(t, patience, redistest.Want[any]("LLEN l", int64(10_000), func() any { return server.Do("LLEN", "l") }))
}

// What waits for a master is bounded.
func TestHoldMemory(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	_, role := ruled(t, server, func(r *schema.ProxyRole, _ *schema.Listener) {
		r.Proxy.HoldMemory, r.Proxy.Threads, r.Proxy.Hold = 200_000, 1, 5*time.Second
	})
	waits := dial(t, mainAddr(role))
	waits.want("+PONG\r\n", "PING")
	server.Pause()
	defer server.Resume()
	redistest.Wait(t, patience, func() error { // until nobody is the master
		p := dial(t, mainAddr(role))
		_ = p.conn.SetDeadline(time.Now().Add(patience))
		var floods []*peer
		for range 8 {
			f := dial(t, mainAddr(role))
			f.send(command("SET", "k", strings.Repeat("x", 50_000)))
			floods = append(floods, f)
		}
		for _, f := range floods {
			_ = f.conn.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
			if got, err := f.reply(); err == nil && strings.HasPrefix(string(got), "-MASTERDOWN ") {
				return nil
			}
		}
		return errors.New("all wait")
	})
}

func TestIdle(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	_, role := ruled(t, server, func(_ *schema.ProxyRole, l *schema.Listener) { l.Idle = 300 * time.Millisecond })
	addr := mainAddr(role)
	subscriber, blocked := dial(t, addr), dial(t, addr)
	subscriber.want("*3\r\n"+bulk("subscribe")+bulk("c")+":1\r\n", "SUBSCRIBE", "c")
	blocked.send(pipeline("BLPOP l 0"))
	idle := map[string]*peer{}
	for name, first := range map[string][]byte{"silent": nil, "idle": pipeline("PING"), "transaction": pipeline("MULTI"), "half a request": []byte("*2\r\n$3\r\nGET\r\n"),
		"half a long one": []byte("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$200000\r\nabc" + strings.Repeat("x", 70_000))} {
		idle[name] = dial(t, addr)
		idle[name].send(first)
	}
	for name, p := range idle {
		if _, err := p.rest(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	server.Do("PUBLISH", "c", "still")
	if got, err := subscriber.reply(); !strings.Contains(string(got), "still") {
		t.Errorf("a subscriber gets %q, %v", got, err)
	}
	server.Do("RPUSH", "l", "1")
	if got, err := blocked.reply(); string(got) != "*2\r\n"+bulk("l")+bulk("1") {
		t.Errorf("a blocked client gets %q, %v", got, err)
	}
}

// proxyHeader is a PROXY header of version 2.
func proxyHeader(command, family byte, body []byte) []byte {
	h := append([]byte("\r\n\r\n\x00\r\nQUIT\n"), 0x20|command, family)
	return append(binary.BigEndian.AppendUint16(h, uint16(len(body))), body...)
}

func addresses(from string) []byte {
	a := netip.MustParseAddrPort(from)
	b := append(a.Addr().AsSlice(), a.Addr().AsSlice()...)
	b = binary.BigEndian.AppendUint16(b, a.Port())
	return binary.BigEndian.AppendUint16(b, 6379)
}

func TestPROXYProtocol(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	_, role := ruled(t, server, func(_ *schema.ProxyRole, l *schema.Listener) { l.ProxyProtocol = true })
	for name, c := range map[string]struct {
		header []byte
		addr   string
	}{
		"v4":         {proxyHeader(1, 0x11, addresses("203.0.113.9:4711")), "addr=203.0.113.9:4711 "},
		"v4 and TLV": {proxyHeader(1, 0x11, append(addresses("203.0.113.9:4711"), 4, 0, 3, 1, 2, 3)), "addr=203.0.113.9:4711 "},
		"v6":         {proxyHeader(1, 0x21, addresses("[2001:db8::7]:99")), "addr=[2001:db8::7]:99 "},
		"LOCAL":      {proxyHeader(0, 0, nil), "addr=127.0.0.1:"},
		"unspec":     {proxyHeader(1, 0, []byte{1, 2, 3}), "addr=127.0.0.1:"},
	} {
		p := dial(t, mainAddr(role))
		for _, b := range append(c.header, pipeline("CLIENT INFO")...) { // byte by byte
			p.send([]byte{b})
		}
		if got, err := p.reply(); !strings.Contains(string(got), c.addr) {
			t.Errorf("%s: %q, %v; want %s", name, got, err, c.addr)
		}
	}
	for name, garbage := range map[string][]byte{
		"none": pipeline("PING", "PING"), "version 1": []byte("PROXY TCP4 203.0.113.9 203.0.113.1 4711 6379\r\n"),
		"command": proxyHeader(7, 0x11, addresses("203.0.113.9:4711")), "short": proxyHeader(1, 0x11, []byte{1, 2}),
	} {
		p := dial(t, mainAddr(role))
		p.send(garbage, pipeline("PING"))
		if got, err := p.reply(); err == nil {
			t.Errorf("%s: PING is answered by %q", name, got)
		}
	}
}

func TestUnixSocketFile(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	role := newRole(t, server.Addr(), sentinel(t, server.Addr()).Addr())
	path := role.Proxy.Listeners[1].Socket
	// The file of a process that died.
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	_ = dead.Close()
	run(t, role)
	awaitTable(t, path)
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != fs.ModeSocket|0o770 {
		t.Errorf("the socket is %v, %v", info.Mode(), err)
	}
	if got := dial(t, path).ask("CLIENT", "INFO"); !strings.Contains(got, "addr="+path+":0 ") {
		t.Errorf("CLIENT INFO over the socket: %q", got)
	}
	// One that is in use, and a file that is something else, stay.
	other := role
	other.Proxy.Listeners = []schema.Listener{role.Proxy.Listeners[1]}
	for _, p := range []string{path, filepath.Join(t.TempDir(), "file")} {
		if p != path {
			if err := os.WriteFile(p, []byte("precious"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		other.Proxy.Listeners[0].Socket = p
		if _, err := proxy.New(other, slog.New(slog.NewTextHandler(io.Discard, nil))); err == nil || !strings.Contains(err.Error(), p) {
			t.Errorf("%s is taken: %v", p, err)
		}
	}
	dial(t, path).want("+PONG\r\n", "PING")
}

// Two proxies that share an address share its clients.
func TestReusePort(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	first := newRole(t, server.Addr(), sentinel(t, server.Addr()).Addr())
	second := newRole(t, server.Addr(), string(first.Cluster.Sentinel.Nodes[0].Addr))
	second.Proxy.Listeners[0] = first.Proxy.Listeners[0]
	second.Proxy.Listeners[0].ReusePort = true
	p := run(t, first)
	// The option is set for an address that is open, too.
	first.Proxy.Listeners = append([]schema.Listener{second.Proxy.Listeners[0]}, first.Proxy.Listeners[1:]...)
	if err := p.Reload(first); err != nil {
		t.Fatal(err)
	}
	run(t, second)
	awaitTable(t, first.Proxy.Listeners[1].Socket)
	awaitTable(t, second.Proxy.Listeners[1].Socket)
	for range 64 {
		dial(t, mainAddr(first)).want("+PONG\r\n", "PING")
	}
	for _, role := range []schema.ProxyRole{first, second} {
		list := dial(t, role.Proxy.Listeners[1].Socket).ask("CLIENT", "LIST")
		if n := strings.Count(list, "id="); n < 10 || n > 60 {
			t.Errorf("one of two has %d of 64 clients", n)
		}
	}
}
