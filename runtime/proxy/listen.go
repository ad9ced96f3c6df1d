package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"

	"rsm/schema"
)

// door is one open address.
type door struct {
	net.Listener
	// What follows may be replaced while it is open; Proxy.mu guards it.
	settings
}

// settings are what a door does with a connection before the relay gets it.
type settings struct {
	name          string
	proxyProtocol bool
	tls           *tls.Config   // nil for plain
	patience      time.Duration // with a client that has not said who it is
}

func (d *door) close() { _ = d.Close() }

// Reload takes the settings of another role. Listeners that stay are not closed,
// clients keep their connections. Certificates are read again, for connections to
// come. An error leaves everything as it was. Threads count at the next start.
func (p *Proxy) Reload(role schema.ProxyRole) error {
	for _, secret := range role.Secrets() {
		if _, err := secret.Read(); err != nil {
			return err
		}
	}
	backend, err := clientTLS(role.Proxy.TLS)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ending.Load() {
		return errors.New("the proxy ends")
	}
	next, fresh, err := p.openAll(role.Proxy.Listeners)
	if err != nil {
		return err
	}
	for key, d := range p.open {
		if next[key] == nil {
			d.close()
		}
	}
	if before := p.role.Load().Proxy.Threads; before != role.Proxy.Threads {
		p.log.Warn("threads count at the next start", "have", before, "want", role.Proxy.Threads)
	}
	p.open = next
	p.role.Store(&role)
	p.backend.Store(backend)
	p.refollow(role)
	p.relay.Reload(role)
	for _, d := range fresh {
		p.coming.Go(func() { p.accept(d) })
	}
	p.tendAdmin()
	return nil
}

// openAll opens the listeners that are not open yet, and then gives all their
// settings. With an error nothing has changed.
func (p *Proxy) openAll(wanted []schema.Listener) (next map[string]*door, fresh []*door, err error) {
	next = map[string]*door{}
	defer func() {
		for _, d := range fresh {
			if err != nil {
				d.close()
			}
		}
	}()
	plan := map[string]settings{}
	for _, l := range wanted {
		s := settings{name: l.Name, proxyProtocol: l.ProxyProtocol, patience: welcomeTime}
		if s.tls, err = serverTLS(l.TLS); err != nil {
			return nil, fresh, fmt.Errorf("listener %s: %w", l.Name, err)
		}
		d := p.open[address(l)]
		if d == nil {
			listener, err := p.listen(l.Name, l)
			if err != nil {
				return nil, fresh, fmt.Errorf("listener %s: %w", l.Name, err)
			}
			d = &door{Listener: listener}
			fresh = append(fresh, d)
		}
		next[address(l)], plan[address(l)] = d, s
	}
	for _, l := range wanted {
		d := next[address(l)]
		d.settings = plan[address(l)]
		if raw, ok := d.Listener.(*net.TCPListener); ok && l.ReusePort {
			p.share(raw)
		}
	}
	return next, fresh, nil
}

func address(l schema.Listener) string {
	if l.Socket != "" {
		return l.Socket
	}
	return string(l.Addr)
}

// listen opens an address, or takes the socket that was passed on for it.
func (p *Proxy) listen(name string, l schema.Listener) (net.Listener, error) {
	if passed := p.take(name, address(l)); passed != nil {
		return passed, nil
	}
	if l.Socket != "" {
		return listenUnix(l.Socket)
	}
	config := net.ListenConfig{}
	if l.ReusePort {
		config.Control = func(_, _ string, c syscall.RawConn) error { return reusePort(c) }
	}
	listener, err := config.Listen(context.Background(), "tcp", string(l.Addr))
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	return listener, nil
}

// socketMode lets the owner and the group of the proxy connect.
const socketMode = 0o770

// listenUnix opens a socket in the file system. The file that a dead process left
// is replaced; anything else is not.
func listenUnix(path string) (net.Listener, error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("listen: %w", err)
	case info.Mode().Type() != fs.ModeSocket:
		return nil, fmt.Errorf("listen on %s: there is a file that is no socket", path)
	default:
		conn, err := net.Dial("unix", path)
		if err == nil {
			_ = conn.Close()
		}
		if !errors.Is(err, syscall.ECONNREFUSED) {
			return nil, fmt.Errorf("listen on %s: another process uses it", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("remove old socket: %w", err)
		}
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	if err := os.Chmod(path, socketMode); err != nil {
		_ = listener.Close()
		return nil, fmt.Errorf("let others connect: %w", err)
	}
	return listener, nil
}

// share has others listen on the address, too. Linux takes the option after bind,
// for those who come later (inet_csk_get_port looks at both sockets).
func (p *Proxy) share(l *net.TCPListener) {
	raw, err := l.SyscallConn()
	if err == nil {
		err = reusePort(raw)
	}
	if err != nil {
		p.log.Warn("share port", "addr", l.Addr(), "error", err)
	}
}

func reusePort(c syscall.RawConn) error {
	var failed error
	err := c.Control(func(fd uintptr) {
		const soReusePort = 0xf // Linux
		failed = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, soReusePort, 1)
	})
	return errors.Join(err, failed)
}
