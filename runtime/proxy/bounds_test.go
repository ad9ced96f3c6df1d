package proxy_test

import (
	"bytes"
	"errors"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"rsm/internal/redistest"
)

// heap is how much memory the test and its proxies use. The tests that ask do not
// run beside others.
func heap() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapInuse
}

// C13: buffers grew without a bound. A client that does not read is no longer
// read either; the others do not notice.
func TestC13ClientThatDoesNotRead(t *testing.T) {
	addr, _ := front(t, redistest.Start(t))
	p := dial(t, addr)
	p.want("+OK\r\n", "SET", "k", strings.Repeat("x", 10_000))
	before := heap()
	for _, state := range [][]byte{pipeline("PING"), pipeline("WATCH k"), pipeline("HELLO 3")} {
		deaf := dial(t, addr)
		deaf.send(state)
		request := bytes.Repeat(pipeline("GET k"), 10_000)
		sent := 0
		for {
			_ = deaf.conn.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
			n, err := deaf.conn.Write(request)
			sent += n
			if err != nil { // it is no longer read, or was cut
				break
			}
			if sent > 100<<20 {
				t.Fatalf("%q: %d bytes of requests were taken from a client that reads nothing", state, sent)
			}
		}
	}
	if now := heap(); now > before+64<<20 {
		t.Errorf("%d MB for three clients that do not read", (now-before)>>20)
	}
	for range 20 {
		began := time.Now()
		p.want("+PONG\r\n", "PING")
		if took := time.Since(began); took > 6*time.Second {
			t.Errorf("a PING took %s beside clients that do not read", took)
		}
	}
}

// C13: what is only announced costs nothing.
func TestC13AnnouncedAndNotSent(t *testing.T) {
	addr, _ := front(t, redistest.Start(t))
	before := heap()
	for range 20 {
		for _, start := range []string{
			"*2\r\n$3\r\nGET\r\n$536870912\r\nabc", "*2\r\n$536870912\r\nabc", "*1048576\r\n$3\r\nDEL\r\n$1\r\nk\r\n", "*2147483647\r\n$4\r\nMGET\r\n",
			"*1\r\n$5", "inline without an end",
		} {
			p := dial(t, addr)
			p.send(pipeline("PING"))
			if reply, err := p.reply(); string(reply) != "+PONG\r\n" {
				t.Fatalf("%q, %v", reply, err)
			}
			p.send([]byte(start))
		}
	}
	dial(t, addr).want("+PONG\r\n", "PING")
	if now := heap(); now > before+64<<20 {
		t.Errorf("%d MB for 120 clients that sent some bytes", (now-before)>>20)
	}
}

// C13: there was no limit to idle clients.
func TestC13IdleClients(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	role := newRole(t, server.Addr(), sentinel(t, server.Addr()).Addr())
	role.Proxy.Listeners[0].Idle = time.Second
	run(t, role)
	awaitPong(t, mainAddr(role))
	p := dial(t, mainAddr(role))
	p.want("+PONG\r\n", "PING")
	began := time.Now()
	p.send(nil)
	if rest, err := p.rest(); len(rest) > 0 || err != nil {
		t.Errorf("an idle client gets %q, %v", rest, err)
	}
	if took := time.Since(began); took < 900*time.Millisecond || took > 15*time.Second {
		t.Errorf("an idle client was closed after %s", took)
	}
}

// A client that sends no more and one that vanishes leave nothing behind.
func TestClientsLeaveNothing(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	addr, _ := front(t, server)
	for _, last := range []string{"PING", "MULTI", "WATCH k", "SUBSCRIBE c", "SELECT 3", "BLPOP l 0", "MONITOR", "HELLO 3"} {
		for _, abrupt := range []bool{false, true} {
			p := dial(t, addr)
			p.send(pipeline("PING", last))
			if _, err := p.reply(); err != nil {
				t.Fatal(err)
			}
			if abrupt {
				_ = p.conn.(*net.TCPConn).SetLinger(0)
			}
			_ = p.conn.Close()
		}
	}
	watcher := dial(t, addr)
	redistest.Wait(t, patience, func() error {
		if list := watcher.ask("CLIENT", "LIST"); strings.Count(list, "id=") != 1 {
			return errors.New("clients are left: " + list)
		}
		if blocked := server.Info("blocked_clients"); blocked != "0" {
			return errors.New(blocked + " connections are still blocked")
		}
		if channels := server.Do("PUBSUB", "CHANNELS", "c"); len(channels.([]any)) > 0 {
			return errors.New("somebody is still subscribed")
		}
		return nil
	})
	p := dial(t, addr)
	for _, args := range [][]string{{"GET", "none"}, {"EXEC"}, {"RPUSH", "l", "1"}, {"LLEN", "l"}} {
		got := p.ask(args...)
		want := map[string]string{"GET": "$-1\r\n", "EXEC": "-ERR EXEC without MULTI\r\n", "RPUSH": ":1\r\n", "LLEN": ":1\r\n"}[args[0]]
		if got != want {
			t.Errorf("%q is answered by %q, want %q", args, got, want)
		}
	}
}
