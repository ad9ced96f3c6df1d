package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"rsm/runtime/proxy/relay"
	"rsm/schema"
)

// door is one open address.
type door struct {
	net.Listener
	rules *relay.Listener
	tls   *tls.Config
}

func (d *door) close() { _ = d.Close() }

// Reload takes the settings of another role. Listeners that stay are not closed,
// clients keep their connections. An error leaves everything as it was.
func (p *Proxy) Reload(role schema.ProxyRole) error {
	for _, secret := range role.Secrets() {
		if _, err := secret.Read(); err != nil {
			return err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	next, fresh := map[string]*door{}, []*door{}
	for _, l := range role.Proxy.Listeners {
		d, isNew, err := p.openDoor(l)
		if err != nil {
			for _, d := range fresh {
				d.close()
			}
			return err
		}
		if next[address(l)] = d; isNew {
			fresh = append(fresh, d)
		}
	}
	for key, d := range p.open {
		if next[key] == nil {
			d.close()
		}
	}
	p.open = next
	for _, d := range fresh {
		go p.accept(d)
	}
	p.role.Store(&role)
	p.relay.Reload(role)
	p.tendAdmin()
	return nil
}

func address(l schema.Listener) string {
	if l.Socket != "" {
		return l.Socket
	}
	return string(l.Addr)
}

// openDoor opens a listener, or gives the one that is open new rules.
func (p *Proxy) openDoor(l schema.Listener) (d *door, isNew bool, err error) {
	d = p.open[address(l)]
	if d == nil {
		d, isNew = &door{}, true
	}
	d.rules = &relay.Listener{Listener: l}
	if l.TLS != nil {
		if d.tls, err = serverTLS(l.TLS); err != nil {
			return nil, false, err
		}
	}
	if !isNew {
		return d, false, nil
	}
	config := net.ListenConfig{Control: reuse(l.ReusePort)}
	if l.Socket != "" {
		_ = os.Remove(l.Socket)
		d.Listener, err = config.Listen(context.Background(), "unix", l.Socket)
	} else {
		d.Listener, err = config.Listen(context.Background(), "tcp", string(l.Addr))
	}
	if err != nil {
		return nil, false, fmt.Errorf("listen: %w", err)
	}
	return d, true, nil
}

func reuse(wanted bool) func(network, address string, c syscall.RawConn) error {
	if !wanted {
		return nil
	}
	return func(_, _ string, c syscall.RawConn) error {
		var failed error
		err := c.Control(func(fd uintptr) {
			const soReusePort = 0xf // Linux
			failed = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, soReusePort, 1)
		})
		return errors.Join(err, failed)
	}
}

// accept hands connections to the relay. When there are no descriptors left it
// waits for some: the clients that are there are not to blame.
func (p *Proxy) accept(d *door) {
	for {
		conn, err := d.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			p.log.Warn("accept", "listener", d.rules.Name, "error", err)
			time.Sleep(100 * time.Millisecond)
			continue
		}
		p.mu.Lock()
		rules, secure := d.rules, d.tls
		p.mu.Unlock()
		from := conn.RemoteAddr().String()
		if secure == nil && !rules.ProxyProtocol {
			p.relay.Serve(conn, rules, from)
			continue
		}
		go p.welcome(conn, rules, secure, from)
	}
}

// welcomeTime is for how long a client may take to say who it is.
const welcomeTime = 10 * time.Second

// welcome does what has to be waited for before a client is served.
func (p *Proxy) welcome(conn net.Conn, rules *relay.Listener, secure *tls.Config, from string) {
	_ = conn.SetDeadline(time.Now().Add(welcomeTime))
	if rules.ProxyProtocol {
		real, err := readProxyHeader(conn)
		if err != nil {
			p.log.Warn("read PROXY header", "from", from, "error", err)
			_ = conn.Close()
			return
		}
		if real != "" {
			from = real
		}
	}
	if secure != nil {
		encrypted := tls.Server(conn, secure)
		if err := encrypted.Handshake(); err != nil {
			p.log.Warn("TLS handshake", "from", from, "error", err)
			_ = conn.Close()
			return
		}
		conn = encrypted
	}
	_ = conn.SetDeadline(time.Time{})
	p.relay.Serve(conn, rules, from)
}
