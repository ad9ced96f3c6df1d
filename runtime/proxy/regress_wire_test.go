package proxy_test

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"rsm/internal/redistest"
	"rsm/schema"
)

// A browser that is made to send an HTTP request to the proxy's port has nothing
// executed: a server closes at "POST" and "Host:", and the proxy has to do so itself.
func TestBrowserExecutesNothing(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	addr, socket := front(t, server)
	for _, head := range []string{"POST / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: x\r\n", "CLIENT REPLY OFF\r\npost\r\n", "MULTI\r\nhost:\r\n", "*1\r\n$4\r\nPost\r\n"} {
		p := dial(t, addr)
		p.send([]byte(head), []byte("\r\nSET taken 1\r\nEXEC\r\n"))
		replies, _ := p.rest()
		if said := string(bytes.Join(replies, nil)); strings.Contains(said, "INDOUBT") {
			t.Errorf("%q is answered by %q", head, said)
		}
	}
	if got := server.Do("GET", "taken"); got != nil {
		t.Errorf("a browser has set a key: %v", got)
	}
	dial(t, socket).want("+PONG\r\n", "PING")
}

// C10: the data port took commands of administration, without a password; there
// was IPv4 only.
func TestC10AdminIsNotTheDataPort(t *testing.T) {
	t.Parallel()
	w := watch(t, nil)
	for _, path := range append(guarded, "/healthz", "/readyz") {
		for _, method := range []string{"GET", "POST"} {
			request := fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", method, path, adminToken)
			var said [2]string
			for i, addr := range []string{w.server.Addr(), mainAddr(w.role)} {
				p := dial(t, addr)
				p.send(request)
				replies, _ := p.rest()
				said[i] = string(bytes.Join(replies, nil))
			}
			if said[0] != said[1] {
				t.Errorf("%s %s on the data port is answered by %q, a server says %q", method, path, said[1], said[0])
			}
		}
	}
	p := dial(t, mainAddr(w.role))
	for _, words := range []string{"SETREMOTES 127.0.0.1 1", "UPDATESLOTMAP", "PROXY", "STATUS", "RELOAD", adminToken} {
		p.refused("-ERR unknown command '"+fields(words)[0]+"'", fields(words)...)
	}
	for _, request := range [][]byte{pipeline("PING"), []byte("PING\r\n"), []byte("CONFIG GET *\r\n\r\n")} {
		p := dial(t, string(w.role.Proxy.Admin))
		p.send(request)
		if rest, err := io.ReadAll(p.conn); err != nil || !bytes.HasPrefix(rest, []byte("HTTP/1.1 400 ")) {
			t.Errorf("the admin port answers %q to %q, %v", rest, request, err)
		}
	}
}

func TestC10IPv6(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "bind 127.0.0.1 ::1")
	role := newRole(t, fmt.Sprintf("[::1]:%d", server.Port()), sentinel(t, fmt.Sprintf("[::1]:%d", server.Port())).Addr())
	ports := redistest.Ports(t, 2)
	role.Proxy.Listeners[0].Addr, role.Proxy.Admin = schema.NewAddr("::1", ports[0]), schema.NewAddr("::1", ports[1])
	run(t, role)
	awaitTable(t, mainAddr(role))
	p := dial(t, mainAddr(role))
	if got := p.ask("CLIENT", "INFO"); !strings.Contains(got, "addr=[::1]:") || !strings.Contains(got, " laddr="+mainAddr(role)+" ") {
		t.Errorf("CLIENT INFO is %q", got)
	}
	p.want("*-1\r\n", "BLPOP", "none", "0.01")
	if status, body, err := get(role.Proxy.Admin, "/readyz", ""); status != 200 || err != nil {
		t.Errorf("/readyz: %d %q, %v", status, body, err)
	}
}

// C11: nobody checked how many arguments there were, and a command with many keys
// went where the first one was.
func TestC11ArgumentsAreTheServersMatter(t *testing.T) {
	t.Parallel()
	l := newPair(t)
	table := l.sides[0].server.Do("COMMAND").([]any)
	if len(table) < 200 {
		t.Fatalf("COMMAND lists %d", len(table))
	}
	for _, entry := range table {
		requests := wrongCounts(entry.([]any), nil)
		l.run(turn{request: pipeline(requests...), text: strings.Join(requests, "; ")})
	}
	l.run(turn{request: pipeline("MULTI", "SET k", "GET k", "EXEC", "MULTI x", "EXEC x", "GET k"), text: "MULTI"})
}

// wrongCounts is a command with too few arguments and with too many, and the same
// of its subcommands.
func wrongCounts(entry []any, container []string) (requests []string) {
	_, name, isSub := strings.Cut(entry[0].(string), "|")
	if !isSub {
		name = entry[0].(string)
	}
	words, arity := append(container, name), int(entry[1].(int64))
	wrong := func(n int) {
		args := slices.Repeat([]string{"x"}, n-len(words))
		requests = append(requests, strings.Join(append(slices.Clone(words), args...), " "))
	}
	for n := len(words); n < max(arity, -arity); n++ {
		wrong(n)
	}
	if arity > 0 {
		wrong(arity + 1)
	}
	for _, sub := range entry[9].([]any) {
		requests = append(requests, wrongCounts(sub.([]any), words)...)
	}
	return requests
}

func TestC11ManyKeys(t *testing.T) {
	t.Parallel()
	addr, _ := front(t, redistest.Start(t))
	p := dial(t, addr)
	mset, half := []string{"MSET"}, []string{}
	for i := range 100 {
		mset = append(mset, fmt.Sprint("k", i), fmt.Sprint("v", i))
		half = append(half, fmt.Sprint("k", 2*i)) // half of them are there
	}
	with := func(name string, more ...string) []string { return append(append([]string{name}, half...), more...) }
	p.want("+OK\r\n", mset...)
	p.want(":50\r\n", with("EXISTS")...)
	p.want(":53\r\n", with("EXISTS", "k1", "k1", "k2")...)
	p.want(":50\r\n", with("TOUCH")...)
	values := "*100\r\n"
	for i := range 50 {
		values += bulk(fmt.Sprint("v", 2*i))
	}
	p.want(values+strings.Repeat("$-1\r\n", 50), with("MGET")...)
	p.want(":0\r\n", append([]string{"MSETNX", "fresh", "1"}, mset[1:]...)...)
	p.want("$-1\r\n", "GET", "fresh")
	p.want(":25\r\n", append([]string{"DEL"}, half[:25]...)...)
	p.want(":25\r\n", with("UNLINK")...)
	p.want(":50\r\n", "DBSIZE")
}
