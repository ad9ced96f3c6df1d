package redistest

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"rsm/internal/resp"
)

// Reply is what a Fake answers to one command. The zero Reply leaves the answer
// to the Fake: PONG, OK to AUTH and CLIENT, else "ERR unknown command".
type Reply struct {
	raw   []byte
	hang  bool
	close bool
}

// The replies of RESP2, and some that no server should give.

// Simple is "+text".
func Simple(text string) Reply { return Raw("+" + text + "\r\n") }

// Err is "-text".
func Err(text string) Reply { return Raw("-" + text + "\r\n") }

// Int is ":n".
func Int(n int64) Reply { return Raw(fmt.Sprintf(":%d\r\n", n)) }

// Bulk is a bulk string.
func Bulk(text string) Reply { return Raw(fmt.Sprintf("$%d\r\n%s\r\n", len(text), text)) }

// Null is the null bulk string.
func Null() Reply { return Raw("$-1\r\n") }

// Array is an array of replies.
func Array(items ...Reply) Reply {
	raw := fmt.Appendf(nil, "*%d\r\n", len(items))
	for _, item := range items {
		raw = append(raw, item.raw...)
	}
	return Reply{raw: raw}
}

// Bulks is an array of bulk strings.
func Bulks(texts ...string) Reply { return Reply{raw: resp.AppendCommand(nil, texts...)} }

// Raw is any bytes, also such that are no RESP.
func Raw(bytes string) Reply { return Reply{raw: []byte(bytes)} }

// Hang answers nothing and keeps the connection open.
func Hang() Reply { return Reply{hang: true} }

// Close closes the connection without an answer.
func Close() Reply { return Reply{close: true} }

// Fake is a server on a loopback port that answers from a function.
type Fake struct {
	answer   func(args []string) Reply
	listener net.Listener
	mu       sync.Mutex
	conns    []net.Conn
	seen     []string
	work     sync.WaitGroup
}

// StartFake runs a Fake until the test ends. answer gets the words of each
// command, the first in upper case; it may be called from several goroutines.
func StartFake(t testing.TB, answer func(args []string) Reply) *Fake {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &Fake{answer: answer, listener: l}
	f.work.Go(f.accept)
	t.Cleanup(f.Stop)
	return f
}

// Addr is the fake's "host:port".
func (f *Fake) Addr() string { return f.listener.Addr().String() }

// Seen returns the commands that came so far, in order, words joined by blanks.
func (f *Fake) Seen() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.seen...)
}

// Stop closes the port and every connection.
func (f *Fake) Stop() {
	_ = f.listener.Close()
	f.mu.Lock()
	for _, conn := range f.conns {
		_ = conn.Close()
	}
	f.mu.Unlock()
	f.work.Wait()
}

func (f *Fake) accept() {
	for {
		conn, err := f.listener.Accept()
		if err != nil {
			return
		}
		f.mu.Lock()
		f.conns = append(f.conns, conn)
		f.mu.Unlock()
		f.work.Go(func() { f.serve(conn) })
	}
}

func (f *Fake) serve(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	for {
		args, err := resp.ReadCommand(r)
		if err != nil {
			return
		}
		args[0] = strings.ToUpper(args[0])
		f.mu.Lock()
		f.seen = append(f.seen, strings.Join(args, " "))
		f.mu.Unlock()
		reply := f.answer(args)
		switch {
		case reply.close:
			return
		case reply.hang:
			_, _ = r.Discard(1 << 30) // until the other side or Stop closes
			return
		case reply.raw == nil:
			reply = standard(args)
		}
		if _, err := conn.Write(reply.raw); err != nil {
			return
		}
	}
}

func standard(args []string) Reply {
	switch args[0] {
	case "PING":
		return Simple("PONG")
	case "AUTH", "CLIENT":
		return Simple("OK")
	}
	return Err("ERR unknown command '" + args[0] + "'")
}
