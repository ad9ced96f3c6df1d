package proxy

import (
	"crypto/tls"
	"errors"
	"net"
	"syscall"
	"time"
)

// How often it is looked whether there are descriptors again.
const acceptPause = 20 * time.Millisecond

// How often the log has that there are none.
const tellEvery = 10 * time.Second

// accept hands connections to the relay. When there are hardly any descriptors
// left it waits for some: the clients that are there are not to blame, and need
// some for their own.
func (p *Proxy) accept(d *door) {
	limit := descriptorLimit()
	var told time.Time
	for {
		if !spare(limit) {
			if time.Since(told) > tellEvery {
				p.log.Warn("accept nobody until there are descriptors again", "addr", d.Addr(), "limit", limit)
				told = time.Now()
			}
			if p.closed(d) {
				return
			}
			time.Sleep(acceptPause)
			continue
		}
		conn, err := d.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			p.log.Warn("accept", "addr", d.Addr(), "error", err)
			time.Sleep(acceptPause)
			continue
		}
		p.mu.Lock()
		now := d.settings
		p.mu.Unlock()
		from := remote(conn)
		if now.tls == nil && !now.proxyProtocol {
			p.relay.Serve(conn, now.name, from)
			continue
		}
		select {
		case p.hall <- struct{}{}:
			p.coming.Go(func() {
				defer func() { <-p.hall }()
				p.welcome(conn, now, from)
			})
		default:
			_ = conn.Close()
			p.log.Warn("refuse a client: too many have not said yet who they are", "from", from)
		}
	}
}

// remote is the address of a client; those of a unix socket have none.
func remote(conn net.Conn) string {
	if addr := conn.RemoteAddr().String(); addr != "" && addr != "@" {
		return addr
	}
	return conn.LocalAddr().String() + ":0" // as Redis shows them
}

// closed reports whether a door is open no more.
func (p *Proxy) closed(d *door) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, open := range p.open {
		if open == d {
			return false
		}
	}
	return true
}

// descriptorLimit is how many files the process may have open; 0 is unknown.
func descriptorLimit() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur > 1<<30 {
		return 0
	}
	return int(limit.Cur)
}

// spare reports whether enough descriptors are left for connections to servers.
// The kernel gives the lowest number that is free.
func spare(limit int) bool {
	if limit == 0 {
		return true
	}
	fd, err := syscall.Open("/", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	_ = syscall.Close(fd)
	return fd < limit-min(64, limit/4)
}

// welcomeTime is for how long a client may take to say who it is.
const welcomeTime = 10 * time.Second

// hallSize is how many such clients there may be; they count in no other limit.
const hallSize = 1024

// welcome does what has to be waited for before a client is served.
func (p *Proxy) welcome(conn net.Conn, at settings, from string) {
	_ = conn.SetDeadline(time.Now().Add(at.patience))
	if at.proxyProtocol {
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
	if at.tls != nil {
		encrypted := tls.Server(conn, at.tls)
		if err := encrypted.Handshake(); err != nil {
			p.log.Warn("TLS handshake", "from", from, "error", err)
			_ = conn.Close()
			return
		}
		conn = encrypted
	}
	_ = conn.SetDeadline(time.Time{})
	p.relay.Serve(conn, at.name, from)
}
