// Package execute performs reconcile's actions: over the wire, and through a
// Host for what happens on this machine. It sends exactly the commands that the
// plan shows and decides nothing, but for a Handover, whose next command depends on
// what it sees (handover_next.go).
//
//	e := &execute.Executor{Auth: cluster.Auth, Host: host}
//	err := e.Do(ctx, step.Action)
//
// Do returns when the servers have accepted; whether it took effect is for the
// next observation to say.
package execute

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"rsm/reconcile"
	"rsm/schema"
)

// DefaultTimeout is the default of Executor.Timeout.
const DefaultTimeout = 5 * time.Second

// Executor performs the actions of one cluster. It is safe for concurrent use
// and holds no connection between calls.
type Executor struct {
	// Auth tells where the cluster's passwords are; they are read at each use.
	Auth schema.Auth
	// Host is this machine; nil when no role of it may be touched.
	Host Host
	// Timeout is the most that a connection or one command may take;
	// DefaultTimeout when 0. Starting, stopping and saving a snapshot take as long
	// as their context allows.
	Timeout time.Duration
	// Dial opens connections; net.Dialer's DialContext when nil.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Handed, if set, hears how a Handover went, once the new master leads and the
	// old one follows it.
	Handed func(Handed)
}

// Host is this machine, as far as actions touch it.
type Host interface {
	Roles
	Files
}

// Roles starts, stops and reloads role processes on this machine.
type Roles interface {
	// Start writes the role's configuration and starts its process.
	Start(ctx context.Context, action reconcile.StartRole) error
	// Stop ends the role's process; its data stays.
	Stop(ctx context.Context, action reconcile.StopRole) error
	// Reload gives the role's process its new settings while it runs.
	Reload(ctx context.Context, action reconcile.ReloadRole) error
}

// Files writes what rsm keeps on this machine's disk.
type Files interface {
	// Publish writes the cluster's registration.
	Publish(r reconcile.Registration) error
	// Keep copies the RDB file at path as the role's data set of that history,
	// saved in that second, and returns where the copy is.
	Keep(role reconcile.RoleRef, path, replid string, saved int64) (string, error)
}

// ErrNoHost means that an action needs a machine and the Executor has none.
var ErrNoHost = errors.New("no role is run on this machine")

// Do performs one action. Waiting is the caller's, who observes: for the Wait
// actions Do does nothing. An error reply of a server is an error; no error
// holds a secret.
func (e *Executor) Do(ctx context.Context, action reconcile.Action) error {
	switch a := action.(type) {
	case reconcile.ConfigSet, reconcile.Replicate, reconcile.Promote,
		reconcile.Monitor, reconcile.MonitorAll, reconcile.SetSentinel, reconcile.ResetSentinel:
		return e.send(ctx, a.Commands())
	case reconcile.Handover:
		return e.handover(ctx, a)
	case reconcile.WaitSync, reconcile.WaitFailover, reconcile.WaitGossip, reconcile.WaitKnown:
		return nil
	case reconcile.PublishOperations:
		return e.transact(ctx, a.Commands())
	case reconcile.StartRole, reconcile.StopRole, reconcile.ReloadRole, reconcile.Publish, reconcile.Snapshot:
		return e.onHost(ctx, a)
	}
	return fmt.Errorf("do %T: unknown action", action)
}

// transact sends commands that are a transaction: all of them, so that one that is
// refused ends it.
func (e *Executor) transact(ctx context.Context, commands []reconcile.Command) error {
	s, err := e.open(ctx, commands[0].Addr, false)
	if err != nil {
		return err
	}
	defer s.close()
	var refused error
	for _, c := range commands {
		if _, err := s.send(ctx, c); err != nil && refused == nil {
			refused = err
		}
	}
	return refused
}

// onHost performs the actions that need a machine.
func (e *Executor) onHost(ctx context.Context, action reconcile.Action) error {
	if e.Host == nil {
		return fmt.Errorf("%s: %w", action.Subject(), ErrNoHost)
	}
	switch a := action.(type) {
	case reconcile.StartRole:
		return e.Host.Start(ctx, a)
	case reconcile.StopRole:
		return e.Host.Stop(ctx, a)
	case reconcile.ReloadRole:
		return e.Host.Reload(ctx, a)
	case reconcile.Publish:
		return e.Host.Publish(a.Registration)
	case reconcile.Snapshot:
		return e.snapshot(ctx, a)
	}
	return fmt.Errorf("do %T: unknown action", action)
}

// send sends the commands in order, on one connection per server, and stops at
// the first that is refused.
func (e *Executor) send(ctx context.Context, commands []reconcile.Command) error {
	open := map[schema.Addr]*session{}
	defer func() {
		for _, s := range open {
			s.close()
		}
	}()
	for _, c := range commands {
		s := open[c.Addr]
		if s == nil {
			var err error
			if s, err = e.open(ctx, c.Addr, c.Sentinel); err != nil {
				return err
			}
			open[c.Addr] = s
		}
		if _, err := s.send(ctx, c); err != nil && !tolerable(c, err) {
			return err
		}
	}
	return nil
}

func (e *Executor) timeout() time.Duration {
	if e.Timeout > 0 {
		return e.Timeout
	}
	return DefaultTimeout
}
