package proxy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"rsm/internal/redistest"
)

// What earlier proxies got wrong; the numbers are those of the project's list.

// C1: a pipeline with BLPOP or SUBSCRIBE in it lost the replies before and the
// commands after it.
func TestC1PipelineWithBlockingCommand(t *testing.T) {
	t.Parallel()
	addr, _ := front(t, redistest.Start(t))
	p := dial(t, addr)
	p.send(pipeline("SET k v", "GET k", "RPUSH l x", "BLPOP l 1", "GET k", "SUBSCRIBE c", "UNSUBSCRIBE c", "GET k"))
	for i, want := range []string{
		"+OK\r\n", bulk("v"), ":1\r\n", "*2\r\n" + bulk("l") + bulk("x"), bulk("v"),
		"*3\r\n" + bulk("subscribe") + bulk("c") + ":1\r\n", "*3\r\n" + bulk("unsubscribe") + bulk("c") + ":0\r\n", bulk("v"),
	} {
		if got, err := p.reply(); string(got) != want {
			t.Fatalf("reply %d is %q, %v; want %q", i, got, err, want)
		}
	}
}

// C2: MSET was always OK, even when nothing was set.
func TestC2MSETThatFails(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	addr, _ := front(t, server)
	server.Do("CONFIG", "SET", "maxmemory", "1")
	p := dial(t, addr)
	if got := p.ask("MSET", "a", "1", "b", "2"); !strings.HasPrefix(got, "-OOM ") {
		t.Errorf("MSET without memory is answered by %q", got)
	}
	p.want("$-1\r\n", "GET", "a")
}

// C3: DEL counted the replies with a 1 in it and swallowed errors.
func TestC3DELCountsAndFails(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	addr, _ := front(t, server)
	del := []string{"DEL", "none"}
	for i := range 21 {
		server.Do("SET", fmt.Sprint(i), "x")
		del = append(del, fmt.Sprint(i))
	}
	server.Do("ACL", "SETUSER", "reader", "on", ">pw", "~*", "+get")
	p := dial(t, addr)
	p.want("+OK\r\n", "AUTH", "reader", "pw")
	if got := p.ask(del...); !strings.HasPrefix(got, "-NOPERM ") {
		t.Errorf("DEL without the permission is answered by %q", got)
	}
	p = dial(t, addr)
	p.want(":21\r\n", del...)
	p.want(":0\r\n", del...)
}

// C6: what was sent and not answered was sent again: INCR ran twice.
func TestC6NothingIsExecutedTwice(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	gate := newGate(t, server.Addr())
	role := newRole(t, gate.addr, sentinel(t, gate.addr).Addr())
	run(t, role)
	addr := string(role.Proxy.Listeners[0].Addr)
	awaitPong(t, addr)
	for name, request := range map[string][]byte{
		"shared":      pipeline("INCR n", "ECHO after"),
		"pinned":      pipeline("WATCH w", "INCR n", "ECHO after"),
		"transaction": pipeline("MULTI", "INCR n", "EXEC", "ECHO after"),
		"script":      join(command("EVAL", "return redis.call('incr', 'n')", "0"), pipeline("ECHO after")),
		"blocking":    pipeline("DEL q", "RPUSH q 1 2 3", "SET n 1", "BLPOP q 1", "ECHO after"),
	} {
		server.Do("SET", "n", "0")
		word := "INCR"
		switch name {
		case "script":
			word = "EVAL"
		case "blocking":
			word = "BLPOP"
		case "transaction":
			word = "EXEC"
		}
		p := dial(t, addr)
		p.want("+PONG\r\n", "PING")
		gate.loseReplyTo(word)
		p.send(request)
		replies, err := p.until("after")
		doubts := 0
		for _, reply := range replies {
			if strings.HasPrefix(string(reply), "-INDOUBT ") {
				doubts++
			}
		}
		if n := strings.Count(string(request), "\r\n*") + 1; err != nil || len(replies) != n || doubts == 0 {
			t.Errorf("%s: %d replies, %d in doubt, to %d commands: %q, %v", name, len(replies), doubts, n, replies, err)
		}
		if n := server.Do("GET", "n"); n != "1" {
			t.Errorf("%s: was executed %v times", name, n)
		}
		if name == "blocking" {
			if left := server.Do("LLEN", "q"); left != int64(2) {
				t.Errorf("%s: %v of 3 elements are left", name, left)
			}
		}
	}
}

// A read that got no answer is repeated, so that the client does not notice.
func TestC6ReadsAreRepeated(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	gate := newGate(t, server.Addr())
	role := newRole(t, gate.addr, sentinel(t, gate.addr).Addr())
	run(t, role)
	addr := string(role.Proxy.Listeners[0].Addr)
	awaitPong(t, addr)
	server.Do("SET", "k", "v")
	p := dial(t, addr)
	for range 10 {
		gate.loseReplyTo("STRLEN")
		p.send(pipeline("GET k", "STRLEN k", "GET k", "ECHO after"))
		replies, err := p.until("after")
		if got := fmt.Sprintf("%q", replies); got != `["$1\r\nv\r\n" ":1\r\n" "$1\r\nv\r\n" "$5\r\nafter\r\n"]` || err != nil {
			t.Fatalf("replies %s, %v", got, err)
		}
	}
}

// C8: INFO was a simple string with line feeds in it, and had no sections.
func TestC8INFOIsLegal(t *testing.T) {
	t.Parallel()
	addr, _ := front(t, redistest.Start(t))
	p := dial(t, addr)
	for _, kind := range []string{"$", "="} {
		all, one := p.ask("INFO"), p.ask("INFO", "replication")
		if !strings.HasPrefix(all, kind) || !strings.Contains(all, "# Server\r\n") || !strings.Contains(all, "redis_version:") {
			t.Errorf("INFO is %.100q", all)
		}
		if !strings.HasPrefix(one, kind) || !strings.Contains(one, "role:master\r\n") || strings.Contains(one, "# Server") {
			t.Errorf("INFO replication is %.100q", one)
		}
		p.ask("HELLO", "3")
	}
}

// C9: inline commands closed the connection, and what client libraries send first
// was unknown.
func TestC9InlineAndConnectionCommands(t *testing.T) {
	t.Parallel()
	addr, _ := front(t, redistest.Start(t))
	p := dial(t, addr)
	p.send([]byte("SET k 'a b'\r\nget k\nPING\r\n"))
	for _, want := range []string{"+OK\r\n", bulk("a b"), "+PONG\r\n"} {
		if got, err := p.reply(); string(got) != want {
			t.Fatalf("%q, %v; want %q", got, err, want)
		}
	}
	if got := p.ask("AUTH", "pw"); !strings.HasPrefix(got, "-ERR AUTH <password> called without any password") {
		t.Errorf("AUTH: %q", got)
	}
	if got := p.ask("HELLO", "3"); !strings.HasPrefix(got, "%7\r\n") {
		t.Errorf("HELLO: %q", got)
	}
	p.want("+OK\r\n", "SELECT", "1")
	p.want("_\r\n", "GET", "k")
	p.want("+OK\r\n", "CLIENT", "SETNAME", "me")
	if got := p.ask("CLIENT", "LIST"); !strings.Contains(got, "name=me ") || !strings.Contains(got, "db=1 ") {
		t.Errorf("CLIENT LIST: %q", got)
	}
	if a, b := p.ask("CLIENT", "ID"), dial(t, addr).ask("CLIENT", "ID"); a == b || a[0] != ':' {
		t.Errorf("CLIENT ID is %q and %q", a, b)
	}
	if got := p.ask("CLIENT", "SETINFO", "lib-name", "x"); got[0] != '+' && got[0] != '-' {
		t.Errorf("CLIENT SETINFO: %q", got)
	}
	p.want("+OK\r\n", "QUIT")
	if rest, err := p.rest(); len(rest) > 0 || err != nil {
		t.Errorf("after QUIT: %q, %v", rest, err)
	}
}

// W14: the limit of clients was counted down twice per client.
func TestW14ClientLimit(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	role := newRole(t, server.Addr(), sentinel(t, server.Addr()).Addr())
	role.Proxy.Listeners[0].MaxClients = 3
	run(t, role)
	addr := string(role.Proxy.Listeners[0].Addr)
	awaitPong(t, addr)
	for range 20 {
		served(t, addr)().conn.Close()
	}
	var inside []*peer
	for range 3 {
		inside = append(inside, served(t, addr)())
	}
	for range 5 {
		replies, _ := dial(t, addr).rest()
		if len(replies) != 1 || string(replies[0]) != "-ERR max number of clients reached\r\n" {
			t.Fatalf("one client too many gets %q", replies)
		}
	}
	_ = inside[0].conn.Close()
	served(t, addr)()
	for _, p := range inside[1:] {
		p.want("+PONG\r\n", "PING")
	}
}

// served dials until it is let in: a client that has left is counted for a moment.
func served(t testing.TB, addr string) func() *peer {
	return func() (p *peer) {
		redistest.Wait(t, patience, func() error {
			p = dial(t, addr)
			p.send(pipeline("PING"))
			if reply, err := p.reply(); string(reply) != "+PONG\r\n" {
				return fmt.Errorf("PING is answered by %q, %v", reply, err)
			}
			return nil
		})
		return p
	}
}

// W15: who shut down the sending side lost replies.
func TestW15HalfClose(t *testing.T) {
	t.Parallel()
	addr, socket := front(t, redistest.Start(t))
	for i := range 50 {
		to := addr
		if i%5 == 0 {
			to = socket
		}
		p := dial(t, to)
		request := pipeline("SELECT 1", "DEL l", "MULTI", "PING", "EXEC", "RPUSH l 1", "BLPOP l 1")
		for range 100 {
			request = append(request, command("ECHO", strings.Repeat("x", 1000))...)
		}
		_ = p.conn.SetDeadline(time.Now().Add(patience))
		go func() {
			_, _ = p.conn.Write(request)
			_ = p.conn.(halfCloser).CloseWrite()
		}()
		if replies, err := p.rest(); len(replies) != 107 || err != nil {
			t.Fatalf("connection %d: %d of 107 replies, then %v", i, len(replies), err)
		}
	}
}
