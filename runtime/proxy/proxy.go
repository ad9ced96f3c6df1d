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
	follower atomic.Pointer[follow.Follower]
	next     chan *follow.Follower // that takes its place
	followed string                // what the newest follower was made for
	relay    *relay.Relay
	backend  atomic.Pointer[tls.Config] // nil for plain TCP to the servers
	changed  chan struct{}
	started  time.Time
	version  atomic.Pointer[string]
	ending   atomic.Bool
	readers  chan struct{} // of the access log
	hall     chan struct{} // clients that must say who they are before they are served

	coming sync.WaitGroup // who may still hand a client to the relay

	mu   sync.Mutex
	open map[string]*door
	// passed are listening sockets from the process before that nobody took yet.
	passed []Socket
	handed bool // another process has the listeners now

	adminMu  sync.Mutex
	admin    *admin // nil when there is none
	adminErr string // why it is not the one that is wanted
}

// New makes a proxy that listens at once; an error leaves nothing open. Run
// closes what it opened. Sockets that were passed on are used for the addresses
// that they listen on; the others are closed.
func New(role schema.ProxyRole, log *slog.Logger, passed ...Socket) (*Proxy, error) {
	p := &Proxy{
		log: log, open: map[string]*door{}, changed: make(chan struct{}, 1), next: make(chan *follow.Follower, 1),
		started: time.Now(), readers: make(chan struct{}, accessReaders), hall: make(chan struct{}, hallSize), passed: passed,
	}
	defer p.closePassed()
	p.role.Store(&role)
	p.follower.Store(p.newFollower(role))
	var err error
	p.relay, err = relay.New(relay.Config{
		Role: role, Log: log, Password: p.password, Dial: p.relayDial,
		Target: func() *follow.Target { return p.follower.Load().Target() },
		Ask:    func(why string) { p.follower.Load().Ask(why) },
	})
	if err != nil {
		return nil, err
	}
	return p, p.Reload(role)
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
	errs := make(chan error, 5)
	for _, part := range []func(context.Context) error{p.follow, p.relay.Run, p.keepTable, p.keepLocked, p.keepAdmin} {
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
	p.drain(inner)
	stop()
	parts.Wait()
	close(errs)
	return <-errs
}

// drain lets the clients end, also those that were accepted at the last moment.
func (p *Proxy) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, drainTime)
	defer cancel()
	served := make(chan struct{})
	go func() { p.coming.Wait(); close(served) }()
	select {
	case <-served:
	case <-ctx.Done():
	}
	p.relay.Drain(ctx)
}

// shut closes every listener.
func (p *Proxy) shut() {
	p.ending.Store(true)
	p.mu.Lock()
	defer p.mu.Unlock()
	for key, d := range p.open {
		if l, ok := d.Listener.(*net.UnixListener); ok && p.handed {
			l.SetUnlinkOnClose(false) // it is the path of another process now
		}
		d.close()
		delete(p.open, key)
	}
	p.adminMu.Lock()
	defer p.adminMu.Unlock()
	if p.admin != nil && p.handed { // whoever asks now means the successor
		go p.admin.end(p.log)
	}
}

// keepTable reads the command table of each new master.
func (p *Proxy) keepTable(ctx context.Context) error {
	have := ""
	for {
		t := p.follower.Load().Target()
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
	password, err := p.password()
	if err != nil {
		return err
	}
	if password != "" {
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
