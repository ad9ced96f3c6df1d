package relay

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"
)

// tap counts how often a connection was closed.
type tap struct {
	net.Conn
	closed atomic.Int32
}

func (c *tap) Close() error { c.closed.Add(1); return c.Conn.Close() }

type deafPeer struct{}

func (deafPeer) readable(*loop) {}
func (deafPeer) writable(*loop) {}

// Both goroutines of a stream end after close, whatever the other side does, and
// what was written before still goes out.
func TestStreamEnds(t *testing.T) {
	t.Parallel()
	poll, err := newPoller()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(poll.close)
	l := &loop{poll: poll}
	for name, c := range map[string]struct {
		reads  bool // the other side does
		leaves bool // before
	}{"well": {reads: true}, "deaf": {}, "gone": {leaves: true}} {
		ours, theirs := net.Pipe()
		conn := &tap{Conn: ours}
		s := newStream(l, deafPeer{}, conn, nil, "")
		got := make(chan string, 1)
		if c.reads {
			go func() {
				all, _ := io.ReadAll(theirs)
				got <- string(all)
			}()
		}
		if c.leaves {
			_ = theirs.Close()
		}
		if n, err := s.write([]byte("last words")); !c.leaves && (n != 10 || err != nil) {
			t.Errorf("%s: wrote %d, %v", name, n, err)
		}
		s.close()
		for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			if conn.closed.Load() > 0 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: the connection is not closed", name)
			}
		}
		if c.reads {
			if text := <-got; text != "last words" {
				t.Errorf("%s: the other side got %q", name, text)
			}
		}
	}
}

// A stream that cannot be dialled says so, and one that was closed meanwhile
// closes what it gets.
func TestStreamDials(t *testing.T) {
	t.Parallel()
	poll, err := newPoller()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(poll.close)
	l := &loop{poll: poll}
	failed := errors.New("no")
	done := make(chan struct{})
	s := newStream(l, deafPeer{}, nil, func(context.Context, string) (net.Conn, error) { defer close(done); return nil, failed }, "")
	<-done
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if _, err = s.read(make([]byte, 1)); err != errAgain {
			break
		}
	}
	if err != failed {
		t.Errorf("read after a failed dial: %v", err)
	}
	ours, _ := net.Pipe()
	conn, dial := &tap{Conn: ours}, make(chan struct{})
	s = newStream(l, deafPeer{}, nil, func(context.Context, string) (net.Conn, error) { <-dial; return conn, nil }, "")
	s.close()
	close(dial)
	for deadline := time.Now().Add(5 * time.Second); conn.closed.Load() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("what was dialled too late is not closed")
		}
	}
}
