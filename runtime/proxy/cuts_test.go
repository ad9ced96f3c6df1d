package proxy_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"runtime"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// endOfReplies is what the last reply of a pipeline has.
const endOfReplies = "all-replies-are-there"

// cutPipelines leave their connection as it was, so that one connection can play
// them again and again.
func cutPipelines() map[string][]byte {
	end := command("PING", endOfReplies)
	return map[string][]byte{
		"plain": join([]byte("\r\n*0\r\nset 'a b' \"\\x00\\n\"\r\n get 'a b' \n*-1\r\n"), join(pipeline(
			"GET k", "SET k value", "APPEND k 12", "GET k", "nosuch a", "GET", "DEL l", "LPUSH l 1 2", "LRANGE l 0 -1", "BLPOP l 1",
			"BLPOP none 0.001", "MULTI", "INCR n", "nosuch", "DEL n", "EXEC", "MULTI", "SET k 2", "GET k", "EXEC", "DEL k l"), end)),
		"values": join(join(command("SET", "k", "\r\n$3\r\nabc\r\n"), command("MSET", "", "+OK\r\n", "k2", "*1\r\n$4\r\nPING\r\n")),
			join(pipeline("MGET k k2", "STRLEN k", "ECHO -ERR", "LLEN k"), end)),
		"state": join(join(pipeline("SELECT 3", "SET k 3", "SELECT 0", "GET k", "WATCH k", "MULTI", "PING", "EXEC", "CLIENT SETNAME me",
			"CLIENT GETNAME", "CLIENT REPLY SKIP", "PING lost", "CLIENT REPLY OFF", "PING lost", "CLIENT REPLY ON"),
			command("EVAL", "return {1, ARGV[1], {redis.call('get', 'nokey')}}", "0", "\r\n")), join(pipeline("SELECT 99", "RESET"), end)),
		"resp3": join(pipeline("HELLO 3", "HSET h a 1 b 2", "HGETALL h", "ZADD z 1.5 a", "ZSCORE z a", "GET nokey", "SUBSCRIBE ch1 ch2",
			"PUBLISH ch1 hello", "GET nokey", "UNSUBSCRIBE ch1", "DEL h z", "RESET"), end),
		"pubsub": join(pipeline("SUBSCRIBE ch1 ch2", "PSUBSCRIBE x*", "PING", "PING a", "GET k", "UNSUBSCRIBE ch1 ch2", "PUNSUBSCRIBE x*", "GET k"), end),
	}
}

// closedPipelines make the server close.
func closedPipelines() map[string][]byte {
	return map[string][]byte{
		"quit":     pipeline("SET k 1", "GET k", "QUIT", "GET k"),
		"count":    join(pipeline("GET k", "BLPOP none 0.001"), []byte("*x\r\n")),
		"length":   join(pipeline("GET k", "MULTI"), []byte("*2\r\n$3\r\nGET\r\n$-5\r\n")),
		"no bulk":  join(pipeline("GET k"), []byte("*2\r\n$3\r\nGET\r\nk\r\n")),
		"quotes":   []byte("get k\r\nget \"k\r\n"),
		"too long": join(pipeline("GET k"), []byte("*2\r\n$3\r\nGET\r\n$536870913\r\n")),
	}
}

// TestCuts writes each pipeline in two parts, cut at every byte, and in single
// bytes. Whatever the cut, the replies are those of a server that got it whole.
func TestCuts(t *testing.T) {
	t.Parallel()
	l := newPair(t)
	for name, request := range cutPipelines() {
		l.fresh()
		cutter := cutter{t: t, name: name, want: l.sides[0].whole(t, request, false)}
		p := dial(t, l.socket)
		for cut := range request {
			if cutter.try(p, request[:cut], request[cut:], false); t.Failed() {
				return
			}
		}
		cutter.bytewise(p, request, false)
	}
}

// TestCutsAndClose does the same with what ends the connection.
func TestCutsAndClose(t *testing.T) {
	t.Parallel()
	l := newPair(t)
	for name, request := range closedPipelines() {
		l.fresh()
		cutter := cutter{t: t, name: name, want: l.sides[0].whole(t, request, true)}
		for cut := range request {
			p := dial(t, l.socket)
			if cutter.try(p, request[:cut], request[cut:], true); t.Failed() {
				return
			}
			_ = p.conn.Close()
		}
		cutter.bytewise(dial(t, l.socket), request, true)
	}
}

// whole is what the server answers to a request in one piece, twice the same.
func (s *side) whole(t testing.TB, request []byte, closes bool) string {
	t.Helper()
	var answers [2]string
	for i := range answers {
		p := dial(t, s.addr)
		p.send(request)
		answers[i], _ = answer(p, closes)
	}
	if answers[0] != answers[1] {
		t.Fatalf("a pipeline for cuts must always have the same replies:\n%q\n%q", answers[0], answers[1])
	}
	return answers[0]
}

func answer(p *peer, closes bool) (string, error) {
	read := p.rest
	if !closes {
		read = func() ([][]byte, error) { return p.until(endOfReplies) }
	}
	replies, err := read()
	return helloID.ReplaceAllString(string(bytes.Join(replies, nil)), "${1}N"), err
}

// cutter sends one pipeline in pieces.
type cutter struct {
	t    testing.TB
	name string
	want string
}

func (c cutter) try(p *peer, first, second []byte, closes bool) {
	c.t.Helper()
	p.send(first)
	awaitRead(p)
	p.send(second)
	c.compare(p, fmt.Sprintf("cut at %d, before %.20q", len(first), second), closes)
}

func (c cutter) bytewise(p *peer, request []byte, closes bool) {
	c.t.Helper()
	for i := range request {
		p.send(request[i : i+1])
		awaitRead(p)
	}
	c.compare(p, "in single bytes", closes)
}

func (c cutter) compare(p *peer, how string, closes bool) {
	c.t.Helper()
	got, err := answer(p, closes)
	if closes && errors.Is(err, syscall.ECONNRESET) {
		err = nil // by what was sent after the server had closed
	}
	if got != c.want || err != nil {
		c.t.Errorf("%s, %s: %v\n got %q\nwant %q", c.name, how, err, got, c.want)
	}
}

// awaitRead waits until the other side has read all that was sent, which the
// kernel tells of Unix sockets: what is read no longer counts as output.
func awaitRead(p *peer) {
	p.t.Helper()
	raw, err := p.conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		p.t.Fatal(err)
	}
	var unread int32
	for deadline := time.Now().Add(patience); ; {
		err := raw.Control(func(fd uintptr) {
			_, _, _ = syscall.Syscall(syscall.SYS_IOCTL, fd, syscall.TIOCOUTQ, uintptr(unsafe.Pointer(&unread)))
		})
		if err != nil {
			p.t.Fatal(err)
		}
		if unread == 0 {
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("%d bytes are never read", unread)
		}
		runtime.Gosched()
	}
}
