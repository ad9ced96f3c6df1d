package relay

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
)

// connect begins a connection to the backend's server. It does not wait for it.
func (l *loop) connect(b *backend) error {
	if dial := l.shared.dial(); dial != nil {
		b.wire = newStream(l, b, nil, dial, string(b.server.addr))
		b.reads = true
		return nil
	}
	addr, err := netip.ParseAddrPort(string(b.server.addr))
	if err != nil {
		return fmt.Errorf("parse address: %w", err)
	}
	var to syscall.Sockaddr = &syscall.SockaddrInet6{Port: int(addr.Port()), Addr: addr.Addr().As16()}
	family := syscall.AF_INET6
	if addr.Addr().Is4() {
		to, family = &syscall.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}, syscall.AF_INET
	}
	fd, err := syscall.Socket(family, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	tune(fd)
	if err := syscall.Connect(fd, to); err != nil && err != syscall.EINPROGRESS {
		_ = syscall.Close(fd)
		return os.NewSyscallError("connect", err)
	}
	b.wire, b.reads = &socket{fd: fd, poll: l.poll}, true
	if err := l.register(fd, b, false); err != nil {
		_ = syscall.Close(fd)
		return err
	}
	return nil
}

// tune sets what every connection needs: no delay for small writes, and an end
// for peers that vanished.
func tune(fd int) {
	_ = syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
	_ = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1)
	_ = syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE, 60)
	_ = syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL, 10)
}

// adopt takes a connection's descriptor from the net package; conn is closed. A
// connection that has none (TLS) stays what it is.
func (l *loop) adopt(c *client, conn net.Conn) error {
	raw, ok := conn.(syscall.Conn)
	if !ok {
		c.wire, c.reads = newStream(l, c, conn, nil, ""), true
		return nil
	}
	control, err := raw.SyscallConn()
	if err != nil {
		return fmt.Errorf("take connection: %w", err)
	}
	fd, dupErr := -1, error(nil)
	err = control.Control(func(from uintptr) { fd, dupErr = dup(int(from)) })
	if errors.Is(dupErr, syscall.EMFILE) { // it needs no second descriptor to stay what it is
		c.wire, c.reads = newStream(l, c, conn, nil, ""), true
		return nil
	}
	if err != nil || dupErr != nil {
		return fmt.Errorf("take connection: %w", firstError(err, dupErr))
	}
	_ = conn.Close()
	fd = lower(fd)
	tune(fd)
	c.wire, c.reads = &socket{fd: fd, poll: l.poll}, true
	if err := l.register(fd, c, false); err != nil {
		_ = syscall.Close(fd)
		return err
	}
	return nil
}

func dup(fd int) (int, error) {
	n, _, err := syscall.RawSyscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_DUPFD_CLOEXEC, 3)
	if err != 0 {
		return -1, os.NewSyscallError("dup", err)
	}
	return int(n), nil
}

// lower gives a descriptor the lowest number that is free, so that the next free
// one tells how many there are.
func lower(fd int) int {
	low, err := dup(fd)
	switch {
	case err != nil:
		return fd
	case low > fd:
		_ = syscall.Close(low)
		return fd
	}
	_ = syscall.Close(fd)
	return low
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// unregister forgets a connection's descriptor before it is closed.
func (l *loop) unregister(c *conn) {
	if s, ok := c.wire.(*socket); ok {
		l.peers[s.fd] = nil
	}
}
