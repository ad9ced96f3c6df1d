// Package proxy is the process that clients connect to instead of the servers of
// one cluster.
package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"

	"rsm/schema"
)

// Proxy serves the listeners of one role.
type Proxy struct {
	log *slog.Logger

	mu   sync.Mutex
	open map[string]net.Listener // by network and address
}

// New makes a proxy that listens at once; an error leaves nothing open.
func New(role schema.ProxyRole, log *slog.Logger) (*Proxy, error) {
	p := &Proxy{log: log, open: map[string]net.Listener{}}
	return p, p.Reload(role)
}

// Run serves until ctx ends and closes the listeners.
func (p *Proxy) Run(ctx context.Context) error {
	<-ctx.Done()
	p.mu.Lock()
	defer p.mu.Unlock()
	var err error
	for _, l := range p.open {
		err = errors.Join(err, l.Close())
	}
	return err
}

// Reload takes the settings of another role; an error leaves everything as it was.
func (p *Proxy) Reload(role schema.ProxyRole) error {
	for _, secret := range role.Secrets() {
		if _, err := secret.Read(); err != nil {
			return err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	next, fresh := map[string]net.Listener{}, []net.Listener{}
	for _, address := range addresses(role.Proxy) {
		if l := p.open[address[0]+address[1]]; l != nil {
			next[address[0]+address[1]] = l
			continue
		}
		l, err := net.Listen(address[0], address[1])
		if err != nil {
			for _, l := range fresh {
				_ = l.Close()
			}
			return fmt.Errorf("listen: %w", err)
		}
		next[address[0]+address[1]], fresh = l, append(fresh, l)
	}
	for _, l := range fresh {
		go refuse(l)
	}
	for key, l := range p.open {
		if next[key] == nil {
			_ = l.Close()
		}
	}
	p.open = next
	return nil
}

func addresses(p schema.Proxy) [][2]string {
	var list [][2]string
	for _, l := range p.Listeners {
		if l.Socket != "" {
			_ = os.Remove(l.Socket)
			list = append(list, [2]string{"unix", l.Socket})
			continue
		}
		list = append(list, [2]string{"tcp", string(l.Addr)})
	}
	if p.Admin != "" {
		list = append(list, [2]string{"tcp", string(p.Admin)})
	}
	return list
}

func refuse(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = conn.Write([]byte("-ERR this proxy does not serve yet\r\n"))
		_ = conn.Close()
	}
}
