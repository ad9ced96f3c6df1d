package proxy

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"time"

	"rsm/runtime/proxy/follow"
	"rsm/runtime/proxy/relay"
	"rsm/schema"
)

// followerTime is for how long the follower of new settings may look for the
// master before it counts, with or without one.
const followerTime = 5 * time.Second

// newFollower makes the follower that a role wants.
func (p *Proxy) newFollower(role schema.ProxyRole) *follow.Follower {
	config := follow.Config{
		Cluster:  role.Cluster.Name,
		Password: secret(role.Cluster.Auth.Password), SentinelPassword: secret(role.Cluster.Auth.SentinelPassword),
		DownAfter: role.Cluster.Sentinel.DownAfter, Fence: role.Proxy.Fence, Changed: p.turn, Log: p.log,
		Dial: func(ctx context.Context, addr schema.Addr) (net.Conn, error) { return p.dial(ctx, string(addr)) },
	}
	for _, s := range role.Cluster.Sentinel.Nodes {
		config.Sentinels = append(config.Sentinels, s.Addr)
	}
	for _, n := range role.Cluster.Redis.Nodes {
		config.Nodes = append(config.Nodes, n.Addr)
	}
	for _, l := range role.Proxy.Listeners {
		config.Lag = config.Lag || l.MaxLag > 0 || l.ReadYourWrites
	}
	p.followed = wanted(role, config)
	return follow.New(config)
}

// wanted tells followers apart: another text needs another one.
func wanted(role schema.ProxyRole, c follow.Config) string {
	text, err := json.Marshal([]any{c.Cluster, c.Sentinels, c.Nodes, c.DownAfter, c.Fence, c.Lag, role.Cluster.Auth, role.Proxy.TLS})
	if err != nil {
		return fmt.Sprint(err)
	}
	return string(text)
}

// refollow makes another follower if the settings want it. The lock is held.
func (p *Proxy) refollow(role schema.ProxyRole) {
	before := p.followed
	f := p.newFollower(role)
	if p.followed == before {
		return
	}
	select {
	case <-p.next: // nobody has looked at that one yet
	default:
	}
	p.next <- f
}

// follow runs the follower until ctx ends. When the settings want another one,
// that takes its place once it knows the master, so that nothing is cut meanwhile.
func (p *Proxy) follow(ctx context.Context) error {
	stop := p.runFollower(ctx, p.follower.Load())
	defer func() { stop() }()
	for {
		select {
		case <-ctx.Done():
			return nil
		case f := <-p.next:
			stopNext := p.runFollower(ctx, f)
			p.found(ctx, f)
			p.follower.Store(f)
			p.turn(f.Target())
			stop()
			stop = stopNext
		}
	}
}

// runFollower returns how to end it.
func (p *Proxy) runFollower(ctx context.Context, f *follow.Follower) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := f.Run(ctx); err != nil {
			p.log.Error("follow", "error", err)
		}
	}()
	return func() { cancel(); <-ended }
}

// found waits until a follower knows the master, for a time.
func (p *Proxy) found(ctx context.Context, f *follow.Follower) {
	ctx, cancel := context.WithTimeout(ctx, followerTime)
	defer cancel()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for f.Target().Master == "" && len(p.next) == 0 {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
	}
}

// secret returns how to read a secret, nil when there is none.
func secret(s *schema.Secret) func() (string, error) {
	if s == nil {
		return nil
	}
	return s.Read
}

// password is that of the cluster, "" when it has none.
func (p *Proxy) password() (string, error) {
	if s := p.role.Load().Cluster.Auth.Password; s != nil {
		return s.Read()
	}
	return "", nil
}

// dial opens a connection to a server of the cluster.
func (p *Proxy) dial(ctx context.Context, addr string) (net.Conn, error) {
	if config := p.backend.Load(); config != nil {
		return (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", addr)
	}
	return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
}

// relayDial returns nil while the relay can connect by itself.
func (p *Proxy) relayDial() relay.Dial {
	if p.backend.Load() == nil {
		return nil
	}
	return p.dial
}
