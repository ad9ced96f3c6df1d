package proxy_test

import (
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"rsm/internal/redistest"
	"rsm/schema"
)

// bridge is the address at which a server is known. Servers and Sentinels cross it
// unharmed, by their address; everybody else has to bear its weather.
type bridge struct {
	t        testing.TB
	to, addr string
	mu       sync.Mutex
	listener net.Listener
	crossing map[*crossing]bool
	weather  weather
	changed  chan struct{} // closed when the weather changes
}

// insiders is where servers and Sentinels connect from.
const insiders = "127.0.0.2"

// weather is what happens to those who cross.
type weather struct {
	delay time.Duration // of each piece
	// Nothing goes to the server, or comes back. It is kept for better weather, as
	// TCP does.
	deafTo, deafFrom bool
	refuse           bool // new connections are cut
}

// crossing is one connection.
type crossing struct {
	client, server net.Conn
}

func newBridge(t testing.TB) *bridge {
	b := &bridge{t: t, addr: string(schema.NewAddr("127.0.0.1", redistest.Ports(t, 1)[0])), crossing: map[*crossing]bool{}, changed: make(chan struct{})}
	b.open()
	t.Cleanup(b.close)
	return b
}

// leadTo tells where the server is.
func (b *bridge) leadTo(addr string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.to = addr
}

// open lets clients in.
func (b *bridge) open() {
	var l net.Listener
	redistest.Wait(b.t, patience, func() (err error) {
		l, err = net.Listen("tcp", b.addr)
		return err
	})
	b.mu.Lock()
	b.listener = l
	b.mu.Unlock()
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go b.serve(client)
		}
	}()
}

// close is for a server that is dead: nobody listens.
func (b *bridge) close() {
	b.mu.Lock()
	_ = b.listener.Close()
	b.mu.Unlock()
	b.cut(false, true)
}

// cut ends all connections, with an RST if it is abrupt; those of insiders only
// if all is set.
func (b *bridge) cut(abrupt, all bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for x := range b.crossing {
		if !all && inside(x.client) {
			continue
		}
		if abrupt {
			_ = x.client.(*net.TCPConn).SetLinger(0)
		}
		_ = x.client.Close()
		_ = x.server.Close()
	}
}

func inside(conn net.Conn) bool {
	return strings.HasPrefix(conn.RemoteAddr().String(), insiders)
}

// set changes the weather.
func (b *bridge) set(w weather) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.weather = w
	close(b.changed)
	b.changed = make(chan struct{})
}

func (b *bridge) now() (weather, chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.weather, b.changed
}

func (b *bridge) serve(client net.Conn) {
	defer client.Close()
	if w, _ := b.now(); w.refuse && !inside(client) {
		return
	}
	b.mu.Lock()
	to := b.to
	b.mu.Unlock()
	server, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer server.Close()
	x := &crossing{client, server}
	b.mu.Lock()
	b.crossing[x] = true
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.crossing, x)
	}()
	sheltered := inside(client)
	there := make(chan struct{})
	go func() {
		defer close(there)
		b.carry(server, client, sheltered, func(w weather) bool { return w.deafTo })
		_ = server.(*net.TCPConn).CloseWrite()
	}()
	b.carry(client, server, sheltered, func(w weather) bool { return w.deafFrom })
	_ = client.Close()
	_ = server.Close()
	<-there
}

// carry copies until either side ends.
func (b *bridge) carry(to, from net.Conn, sheltered bool, deaf func(weather) bool) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		for !sheltered {
			w, changed := b.now()
			if !deaf(w) {
				time.Sleep(w.delay)
				break
			}
			<-changed
		}
		if _, writeErr := to.Write(buf[:n]); err != nil || writeErr != nil {
			return
		}
	}
}
