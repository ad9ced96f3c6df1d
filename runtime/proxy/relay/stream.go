package relay

import (
	"context"
	"net"
	"sync"
	"time"
)

// stream is a wire over a connection that can only block, such as TLS. Two
// goroutines do the waiting; the loop hears of them by letters.
type stream struct {
	loop *loop
	peer peer

	mu       sync.Mutex
	changed  sync.Cond
	conn     net.Conn
	in, out  []byte
	inErr    error
	outErr   error
	told     bool // a letter is on its way
	wantRead bool
	wantRoom bool
	closed   bool
}

// streamWindow bounds what waits on either side of a stream.
const streamWindow = 256 << 10

// newStream starts a stream over conn, or over one that is dialled first.
func newStream(l *loop, p peer, conn net.Conn, dial func(context.Context, string) (net.Conn, error), addr string) *stream {
	s := &stream{loop: l, peer: p, conn: conn, wantRead: true}
	s.changed.L = &s.mu
	go func() {
		if conn == nil {
			ctx, cancel := context.WithTimeout(context.Background(), time.Duration(openTime))
			dialled, err := dial(ctx, addr)
			cancel()
			if !s.connected(dialled, err) {
				return
			}
		}
		go s.writes()
		s.reads()
	}()
	return s
}

func (s *stream) connected(conn net.Conn, err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.inErr, s.outErr = err, err
		s.tell()
		return false
	}
	if s.conn = conn; s.closed {
		_ = conn.Close()
		return false
	}
	return true
}

func (s *stream) reads() {
	buf := make([]byte, 32<<10)
	for {
		n, err := s.conn.Read(buf)
		s.mu.Lock()
		s.in = append(s.in, buf[:n]...)
		s.inErr = err
		s.tell()
		for len(s.in) > streamWindow && !s.closed {
			s.changed.Wait()
		}
		done := err != nil || s.closed
		s.mu.Unlock()
		if done {
			return
		}
	}
}

func (s *stream) writes() {
	var buf []byte
	for {
		s.mu.Lock()
		for len(s.out) == 0 && !s.closed {
			s.changed.Wait()
		}
		buf, s.out = s.out, buf[:0]
		closed := s.closed
		s.tell()
		s.mu.Unlock()
		if _, err := s.conn.Write(buf); err != nil {
			s.mu.Lock()
			s.outErr = err
			s.tell()
			s.mu.Unlock()
			return
		}
		if closed {
			_ = s.conn.Close()
			return
		}
	}
}

// tell has the loop look at the stream. The lock is held.
func (s *stream) tell() {
	if s.told || s.closed {
		return
	}
	s.told = true
	s.loop.post(func(l *loop) {
		s.mu.Lock()
		s.told = false
		r := ready{read: s.wantRead && (len(s.in) > 0 || s.inErr != nil), write: s.wantRoom && (len(s.out) < streamWindow || s.outErr != nil)}
		closed := s.closed
		s.mu.Unlock()
		if !closed {
			l.handle(s.peer, r)
		}
	})
}

func (s *stream) read(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.in) == 0 {
		if s.inErr != nil {
			return 0, s.inErr
		}
		return 0, errAgain
	}
	n := copy(b, s.in)
	if s.in = s.in[:copy(s.in, s.in[n:])]; len(s.in) > 0 || s.inErr != nil {
		s.tell()
	}
	s.changed.Broadcast()
	return n, nil
}

func (s *stream) write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.outErr != nil:
		return 0, s.outErr
	case len(s.out) >= streamWindow:
		return 0, errAgain
	}
	n := min(len(b), streamWindow-len(s.out))
	s.out = append(s.out, b[:n]...)
	s.changed.Broadcast()
	return n, nil
}

func (s *stream) watch(read, write bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wantRead, s.wantRoom = read, write
	if read && (len(s.in) > 0 || s.inErr != nil) || write && len(s.out) < streamWindow {
		s.tell()
	}
	return nil
}

// close closes the connection once what was written has gone out.
func (s *stream) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.conn != nil {
		_ = s.conn.SetDeadline(time.Now().Add(time.Second))
	}
	s.changed.Broadcast()
}
