package relay

import (
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"rsm/internal/frame"
	"rsm/runtime/proxy/command"
	"rsm/runtime/proxy/follow"
	"rsm/schema"
)

// memory is a wire that takes everything and gives what the test puts in.
type memory struct {
	in, out []byte
	closed  bool
	full    bool // takes nothing
}

func (m *memory) read(b []byte) (int, error) {
	if len(m.in) == 0 {
		return 0, errAgain
	}
	n := copy(b, m.in)
	m.in = m.in[n:]
	return n, nil
}

func (m *memory) write(b []byte) (int, error) {
	if m.full {
		return 0, errAgain
	}
	m.out = append(m.out, b...)
	return len(b), nil
}

func (m *memory) watch(bool, bool) error { return nil }
func (m *memory) close()                 { m.closed = true }

// bench is a loop without sockets, with a clock of its own.
type bench struct {
	*loop
	t      testing.TB
	target *follow.Target
	rules  *Listener
}

const (
	addrA schema.Addr = "10.0.0.1:6379"
	addrB schema.Addr = "10.0.0.2:6379"
)

func newBench(t testing.TB) *bench {
	b := &bench{t: t, rules: &Listener{}}
	poll, err := newPoller()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(poll.close)
	role := schema.ProxyRole{}
	role.Proxy.Fence, role.Proxy.Hold = 3*time.Second, 10*time.Second
	s := &shared{counts: map[string]int{}, loops: 1}
	s.Config = Config{Target: func() *follow.Target { return b.target }, Ask: func(string) {}, Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	s.role.Store(&role)
	b.loop = newLoop(s, poll)
	s.all = []*loop{b.loop}
	b.setTable(benchTable(t))
	b.lead(addrA)
	return b
}

func benchTable(t testing.TB) *command.Table {
	entry := func(name string, flags ...any) any {
		return []any{name, int64(-1), flags, int64(1), int64(1), int64(1)}
	}
	table, err := command.Parse([]any{
		entry("get", "readonly", "fast"), entry("set", "write"), entry("incr", "write"), entry("multi"), entry("exec"), entry("discard"),
		entry("watch"), entry("blpop", "write", "blocking"), entry("subscribe", "pubsub"), entry("client"), entry("ping", "fast"),
	})
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// lead makes a server the master.
func (b *bench) lead(addr schema.Addr) {
	b.target = &follow.Target{Master: addr, Proof: b.now}
	b.loop.follow()
	b.settleAll()
}

// client connects one.
func (b *bench) client() *client {
	c := &client{id: b.shared.ids.Add(1), listener: b.rules}
	c.wire, c.reads = &memory{}, true
	c.rules, c.ident = b.rulesOf(b.rules), b.baseIdentity(b.rules)
	b.clients[c.id] = c
	return c
}

// backend connects one that is ready, for the next who needs one.
func (b *bench) backend(addr schema.Addr) *backend {
	s := b.server(addr)
	x := &backend{server: s, ready: true, ident: b.identity(identity{proto: 2})}
	x.wire, x.reads = &memory{}, true
	s.backends[x] = true
	s.idle = append(s.idle, x)
	return x
}

// sends has a client send words, each list one request.
func (b *bench) sends(c *client, requests ...string) {
	var in []byte
	for _, request := range requests {
		in = append(in, words(strings.Fields(request)...)...)
	}
	c.wire.(*memory).in = in
	c.readable(b.loop)
	b.settleAll()
}

// replies has a server reply.
func (b *bench) replies(x *backend, text string) {
	x.wire.(*memory).in = []byte(text)
	x.readable(b.loop)
	b.settleAll()
}

// settleAll does what a turn does after reading.
func (b *bench) settleAll() {
	for range 4 {
		b.proceed()
		b.flushBackends()
		b.flushClients()
	}
}

// got returns and forgets what a wire was written.
func got(w wire) string {
	m := w.(*memory)
	out := string(m.out)
	m.out = nil
	return out
}

// names lists the commands in what a server was sent.
func names(text string) string {
	var list []string
	for b := []byte(text); len(b) > 0; {
		r, err := frame.Next(b)
		if err != nil || r.Size == 0 {
			return "?" + text
		}
		var args []string
		for _, arg := range frame.Args(b[:r.Size]) {
			args = append(args, string(arg))
		}
		list, b = append(list, strings.Join(args, " ")), b[r.Size:]
	}
	return strings.Join(list, "; ")
}

func (b *bench) want(what, have, want string) {
	b.t.Helper()
	if have != want {
		b.t.Errorf("%s: %q, want %q", what, have, want)
	}
}
