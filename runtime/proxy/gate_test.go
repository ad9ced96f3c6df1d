package proxy_test

import (
	"bytes"
	"net"
	"sync/atomic"
	"testing"
)

// gate stands between a proxy and its server. It passes everything on, until it
// is told to lose a reply.
type gate struct {
	to   string
	addr string
	// lose is a word: the reply to the first request that has it is not passed on,
	// and both connections are closed instead.
	lose atomic.Pointer[string]
}

func newGate(t testing.TB, to string) *gate {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	g := &gate{to: to, addr: l.Addr().String()}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go g.serve(client)
		}
	}()
	return g
}

func (g *gate) loseReplyTo(word string) { g.lose.Store(&word) }

func (g *gate) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", g.to)
	if err != nil {
		return
	}
	defer server.Close()
	var doomed atomic.Bool
	go func() {
		defer server.Close()
		buf := make([]byte, 64<<10)
		for {
			n, err := client.Read(buf)
			if word := g.lose.Load(); word != nil && bytes.Contains(buf[:n], []byte(*word)) && g.lose.CompareAndSwap(word, nil) {
				doomed.Store(true)
			}
			if _, writeErr := server.Write(buf[:n]); err != nil || writeErr != nil {
				return
			}
		}
	}()
	buf := make([]byte, 64<<10)
	for {
		n, err := server.Read(buf)
		if err != nil || doomed.Load() { // the server has done it
			return
		}
		if _, err := client.Write(buf[:n]); err != nil {
			return
		}
	}
}
