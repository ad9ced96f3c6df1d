// Package proxy is the process that clients connect to instead of the servers of
// one cluster: one address, behind which is whoever is the master now.
//
// It has three parts. Package follow finds the master and proves it. Package
// relay passes requests and replies between clients and servers. This package
// opens the listeners, takes new settings without a dropped connection, and
// ends in order.
package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"rsm/internal/resp"
	"rsm/runtime/proxy/command"
	"rsm/runtime/proxy/follow"
	"rsm/runtime/proxy/relay"
	"rsm/schema"
)

// Proxy serves the listeners of one role.
type Proxy struct {
	log      *slog.Logger
	role     atomic.Pointer[schema.ProxyRole]
	follower *follow.Follower
	relay    *relay.Relay
	backend  *tls.Config // nil for plain TCP to the servers
	changed  chan struct{}
	started  time.Time
	version  atomic.Pointer[string]
	ending   atomic.Bool
	readers  chan struct{} // of the access log

	mu   sync.Mutex
	open map[string]*door

	adminMu  sync.Mutex
	admin    *admin // nil when there is none
	adminErr string // why it is not the one that is wanted
}

// New makes a proxy that listens at once; an error leaves nothing open. Run
// closes what it opened.
func New(role schema.ProxyRole, log *slog.Logger) (*Proxy, error) {
	p := &Proxy{
		log: log, open: map[string]*door{}, changed: make(chan struct{}, 1),
		started: time.Now(), readers: make(chan struct{}, accessReaders),
	}
	p.role.Store(&role)
	if role.Proxy.TLS != nil {
		var err error
		if p.backend, err = clientTLS(role.Proxy.TLS); err != nil {
			return nil, err
		}
	}
	var sentinels, nodes []schema.Addr
	for _, s := range role.Cluster.Sentinel.Nodes {
		sentinels = append(sentinels, s.Addr)
	}
	lag := false
	for _, l := range role.Proxy.Listeners {
		lag = lag || l.MaxLag > 0 || l.ReadYourWrites
	}
	for _, n := range role.Cluster.Redis.Nodes {
		nodes = append(nodes, n.Addr)
	}
	p.follower = follow.New(follow.Config{
		Cluster: role.Cluster.Name, Sentinels: sentinels, Nodes: nodes,
		Password: secret(role.Cluster.Auth.Password), SentinelPassword: secret(role.Cluster.Auth.SentinelPassword),
		DownAfter: role.Cluster.Sentinel.DownAfter, Fence: role.Proxy.Fence, Lag: lag,
		Dial: p.dialOf(), Changed: p.turn, Log: log,
	})
	var err error
	p.relay, err = relay.New(relay.Config{
		Role: role, Target: p.follower.Target, Ask: p.follower.Ask, Password: secret(role.Cluster.Auth.Password), Log: log,
		Dial: p.relayDial(),
	})
	if err != nil {
		return nil, err
	}
	return p, p.Reload(role)
}

// secret returns how to read a secret, nil when there is none.
func secret(s *schema.Secret) func() (string, error) {
	if s == nil {
		return nil
	}
	return s.Read
}

// SetVersion says what the admin listener tells to be the version of rsm.
func (p *Proxy) SetVersion(version string) { p.version.Store(&version) }

// turn is called when requests go elsewhere.
func (p *Proxy) turn(*follow.Target) {
	if p.relay != nil {
		p.relay.Wake()
	}
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

// drainTime is for how long clients may go on after the proxy was told to end.
const drainTime = 5 * time.Second

// Run serves until ctx ends, then takes no more clients, gives those that are
// busy a few seconds, and closes everything.
func (p *Proxy) Run(ctx context.Context) error {
	inner, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var parts sync.WaitGroup
	errs := make(chan error, 4)
	for _, part := range []func(context.Context) error{p.follower.Run, p.relay.Run, p.keepTable, p.keepAdmin} {
		parts.Go(func() {
			if err := part(inner); err != nil && !errors.Is(err, context.Canceled) {
				errs <- err
				stop()
			}
		})
	}
	select {
	case <-ctx.Done():
	case <-inner.Done():
	}
	p.shut()
	p.relay.Drain(inner, drainTime)
	stop()
	parts.Wait()
	close(errs)
	return <-errs
}

// shut closes every listener.
func (p *Proxy) shut() {
	p.ending.Store(true)
	p.mu.Lock()
	defer p.mu.Unlock()
	for key, d := range p.open {
		d.close()
		delete(p.open, key)
	}
}

// keepTable reads the command table of each new master.
func (p *Proxy) keepTable(ctx context.Context) error {
	have := ""
	for {
		t := p.follower.Target()
		if t.Master != "" && t.RunID != have {
			if err := p.readTable(ctx, t.Master); err != nil {
				p.log.Warn("read commands", "server", t.Master, "error", err)
				if have == "" {
					p.relay.SetTable(command.Fallback()) // everything works, but nothing is shared
				}
			} else {
				have = t.RunID
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-p.changed:
		case <-time.After(5 * time.Second):
		}
	}
}

func (p *Proxy) readTable(ctx context.Context, addr schema.Addr) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	raw, err := p.dial(ctx, string(addr))
	if err != nil {
		return err
	}
	conn := resp.NewConn(raw)
	defer conn.Close()
	if read := secret(p.role.Load().Cluster.Auth.Password); read != nil {
		password, err := read()
		if err != nil {
			return err
		}
		if _, err := conn.Do(ctx, "AUTH", password); err != nil {
			return fmt.Errorf("log in: %w", err)
		}
	}
	table, err := command.Fetch(ctx, conn)
	if err != nil {
		return err
	}
	p.relay.SetTable(table)
	return nil
}

// dial opens a connection to a server of the cluster.
func (p *Proxy) dial(ctx context.Context, addr string) (net.Conn, error) {
	if p.backend == nil {
		return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	}
	return (&tls.Dialer{Config: p.backend}).DialContext(ctx, "tcp", addr)
}

func (p *Proxy) relayDial() func(context.Context, string) (net.Conn, error) {
	if p.backend == nil {
		return nil // the relay connects by itself
	}
	return p.dial
}

func (p *Proxy) dialOf() func(context.Context, schema.Addr) (net.Conn, error) {
	if p.backend == nil {
		return nil
	}
	return func(ctx context.Context, addr schema.Addr) (net.Conn, error) { return p.dial(ctx, string(addr)) }
}
