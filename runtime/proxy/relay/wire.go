package relay

import (
	"errors"
	"io"
	"syscall"
)

// errAgain is returned by a wire that cannot go on now; its poller tells when.
var errAgain = errors.New("try again")

// wire is a stream of bytes that never blocks. All calls come from one loop.
type wire interface {
	// read returns errAgain when nothing is there, io.EOF at the end.
	read(b []byte) (int, error)
	// write takes what it can, errAgain when that is nothing.
	write(b []byte) (int, error)
	// watch tells the poller what to wait for.
	watch(read, write bool) error
	// close closes it at once.
	close()
}

// socket is a wire over a descriptor of the kernel.
type socket struct {
	fd   int
	poll *poller
}

func (s *socket) read(b []byte) (int, error) {
	n, err := rawRead(s.fd, b)
	switch {
	case err == syscall.EAGAIN, err == syscall.EINTR:
		return 0, errAgain
	case err != nil:
		return 0, err
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

func (s *socket) write(b []byte) (int, error) {
	n, err := rawWrite(s.fd, b)
	if err == syscall.EAGAIN || err == syscall.EINTR {
		return 0, errAgain
	}
	return n, err
}

func (s *socket) watch(read, write bool) error { return s.poll.change(s.fd, read, write) }

func (s *socket) close() { _ = syscall.Close(s.fd) }
