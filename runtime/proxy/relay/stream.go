package relay

import (
	"bytes"
	"context"
	"net"
	"sync"
	"time"
)

// stream is a wire over a connection that can only block, such as TLS. Two
// goroutines do the waiting; the loop hears of them by letters. Both end within a
// second of close.
type stream struct {
	loop *loop
	peer peer

	mu       sync.Mutex
	changed  sync.Cond
	conn     net.Conn // nil while it is dialled
	in       bytes.Buffer
	out      []byte
	inErr    error
	outErr   error
	told     bool // a letter is on its way
	wantRead bool
	wantRoom bool
	closed   bool
}

const (
	// streamWindow bounds what waits on either side of a stream.
	streamWindow = 256 << 10
	// streamPiece is read at once: the most that a TLS record has.
	streamPiece = 16 << 10
	// streamGrace is for how long what was written may still go out after close.
	streamGrace = time.Second
)

// newStream starts a stream over conn, or over one that is dialled first.
func newStream(l *loop, p peer, conn net.Conn, dial Dial, addr string) *stream {
	s := &stream{loop: l, peer: p, conn: conn, wantRead: true}
	s.changed.L = &s.mu
	go func() {
		if conn == nil && !s.connect(dial, addr) {
			return
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			s.writes()
		}()
		s.reads()
		<-ended
		_ = s.conn.Close()
	}()
	return s
}

// connect dials. It returns false when that came to nothing, or too late.
func (s *stream) connect(dial Dial, addr string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(openTime))
	defer cancel()
	conn, err := dial(ctx, addr)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.inErr, s.outErr = err, err
		s.tell()
		return false
	}
	if s.closed {
		_ = conn.Close()
		return false
	}
	s.conn = conn
	return true
}

// reads reads until an error or close.
func (s *stream) reads() {
	buf := make([]byte, streamPiece)
	for {
		n, err := s.conn.Read(buf)
		s.mu.Lock()
		s.in.Write(buf[:n])
		s.inErr = err
		s.tell()
		for s.in.Len() > streamWindow && !s.closed {
			s.changed.Wait()
		}
		done := err != nil || s.closed
		s.mu.Unlock()
		if done {
			return
		}
	}
}

// writes writes until an error, or until all is written after close.
func (s *stream) writes() {
	var buf []byte
	for {
		s.mu.Lock()
		for len(s.out) == 0 && !s.closed {
			s.changed.Wait()
		}
		if cap(buf) > bufferSize {
			buf = nil // an idle connection holds none
		}
		buf, s.out = s.out, buf[:0]
		closed := s.closed
		s.tell()
		s.mu.Unlock()
		if len(buf) > 0 {
			if _, err := s.conn.Write(buf); err != nil {
				s.fail(err)
				return
			}
		}
		if closed {
			// Wakes the reader, who may wait for a peer that has nothing to say.
			_ = s.conn.Close()
			return
		}
	}
}

// fail is for a connection that takes no more; then it gives no more, either.
func (s *stream) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outErr = err
	_ = s.conn.SetReadDeadline(time.Now().Add(streamGrace))
	s.tell()
}

// tell has the loop look at the stream if it waits for what there is now. The
// lock is held.
func (s *stream) tell() {
	if r := s.ready(); s.told || s.closed || !r.read && !r.write {
		return
	}
	s.told = true
	s.loop.post(func(l *loop) {
		s.mu.Lock()
		s.told = false
		r, closed := s.ready(), s.closed
		s.mu.Unlock()
		if !closed {
			l.handle(s.peer, r)
		}
	})
}

func (s *stream) ready() ready {
	return ready{
		read:  s.wantRead && (s.in.Len() > 0 || s.inErr != nil),
		write: s.wantRoom && (len(s.out) < streamWindow || s.outErr != nil),
	}
}

func (s *stream) read(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.in.Len() == 0 {
		if s.inErr != nil {
			return 0, s.inErr
		}
		return 0, errAgain
	}
	full := s.in.Len() > streamWindow
	n, _ := s.in.Read(b)
	switch {
	case s.in.Len() > 0 || s.inErr != nil:
		s.tell()
	case s.in.Cap() > bufferSize:
		s.in = bytes.Buffer{}
	}
	if full {
		s.changed.Broadcast()
	}
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
	if len(s.out) == 0 {
		s.changed.Broadcast()
	}
	s.out = append(s.out, b[:n]...)
	return n, nil
}

func (s *stream) watch(read, write bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wantRead, s.wantRoom = read, write
	s.tell()
	return nil
}

// close closes the connection once what was written has gone out, in a second at
// most. It does not wait for that.
func (s *stream) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.conn != nil {
		_ = s.conn.SetDeadline(time.Now().Add(streamGrace))
	}
	s.changed.Broadcast()
}
