package proxy

import (
	"context"
	"strings"
	"time"

	"rsm/internal/resp"
)

// lockedEvery is how often it is looked whether the master wants a password.
const lockedEvery = time.Second

// keepLocked looks whether the master lets in who sends no AUTH. Redis asks for a
// password that was set later only on connections that come later, and so clients
// that come later must not share those that were there before.
func (p *Proxy) keepLocked(ctx context.Context) error {
	was := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(lockedEvery):
		}
		t := p.follower.Load().Target()
		if t.Master == "" {
			continue
		}
		locked, err := p.locked(ctx, string(t.Master))
		if err != nil {
			continue // the follower tells who does not answer
		}
		if locked && !was {
			p.log.Info("the master wants a password now", "server", t.Master)
			p.relay.Lock()
		}
		was = locked
	}
}

// locked asks a server something on a connection that is not logged in.
func (p *Proxy) locked(ctx context.Context, addr string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	raw, err := p.dial(ctx, addr)
	if err != nil {
		return false, err
	}
	conn := resp.NewConn(raw)
	defer conn.Close()
	_, err = conn.Do(ctx, "PING")
	if err != nil && strings.HasPrefix(err.Error(), "NOAUTH") {
		return true, nil
	}
	return false, err
}
