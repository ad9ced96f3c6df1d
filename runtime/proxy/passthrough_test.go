package proxy_test

import (
	"io"
	"net"
	"path/filepath"
	"testing"
)

// passThrough forwards bytes between clients and one server: what a proxy does
// that gets everything right and nothing else.
func passThrough(t testing.TB, to string) (addr, socket string) {
	t.Helper()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	socket = filepath.Join(t.TempDir(), "socket")
	unix, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range []net.Listener{tcp, unix} {
		t.Cleanup(func() { _ = l.Close() })
		go forward(l, to)
	}
	return tcp.Addr().String(), socket
}

// halfCloser is what can be closed in one direction.
type halfCloser interface {
	net.Conn
	CloseWrite() error
}

func forward(l net.Listener, to string) {
	for {
		client, err := l.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", to)
		if err != nil {
			_ = client.Close()
			continue
		}
		go pump(server.(halfCloser), client)
		go pump(client.(halfCloser), server)
	}
}

// pump ends what it writes to when there is nothing more to read.
func pump(to halfCloser, from net.Conn) {
	_, _ = io.Copy(to, from)
	_ = to.CloseWrite()
}
