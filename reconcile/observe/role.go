package observe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"

	"rsm/reconcile"
	"rsm/schema"
)

// role looks at one role of rsm: on this machine at its process, and at a proxy
// anywhere whether it accepts connections. It says nothing on the connections.
func (p *pass) role(ctx context.Context, want reconcile.Declared, r *reconcile.RoleState) {
	role, host := want.RoleRef, p.o.Host
	local := host != nil && host.Local(role.Addr)
	answers := func() (reconcile.Reach, string) { return reconcile.Up, "" }
	if want.Proxy != nil {
		answers = func() (reconcile.Reach, string) { return p.accepts(ctx, want.Proxy.Proxy, local) }
	}
	switch {
	case !local && want.Proxy != nil:
		r.Reach, r.Why = answers()
		return
	case !local: // it tells Redis, see presence
		r.Reach, r.Why = reconcile.Unknown, whyNoMaster
		return
	}
	r.Process = host.Process(ctx, role)
	if r.Process.Running {
		r.Loaded = host.Loaded(role)
		r.Reach, r.Why = answers()
		if r.Reach == reconcile.Up && r.Digest == "" {
			r.Reach, r.Why = reconcile.Unknown, "it does not tell its settings"
		}
		if r.Reach != reconcile.Up {
			r.Reach = reconcile.Unknown
			r.Why = fmt.Sprintf("process %d runs, but %s", r.Process.PID, r.Why)
		}
		return
	}
	// Others may share its ports, so that only the process tells that it is gone.
	r.Reach, r.Process.Foreign = reconcile.Down, ""
	for _, addr := range want.Owned() {
		role.Addr = addr
		if who := host.Process(ctx, role).Foreign; who != "" {
			r.Reach, r.Process.Foreign = reconcile.Unknown, who
			r.Why = fmt.Sprintf("%s is held by %s", addr, who)
			return
		}
	}
}

// accepts connects to every address of a proxy, and to its sockets when it is on
// this machine.
func (p *pass) accepts(ctx context.Context, want schema.Proxy, local bool) (reconcile.Reach, string) {
	timeout := p.o.timeout()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for _, addr := range want.Addrs() {
		if reach, why := p.accept(ctx, "tcp", string(addr)); reach != reconcile.Up {
			return reach, why
		}
	}
	for _, l := range want.Listeners {
		if l.Socket == "" || !local {
			continue
		}
		if reach, why := p.accept(ctx, "unix", l.Socket); reach != reconcile.Up {
			return reach, why
		}
	}
	if !local && len(want.Addrs()) == 0 {
		return reconcile.Unknown, "it only listens on sockets of another machine"
	}
	return reconcile.Up, ""
}

func (p *pass) accept(ctx context.Context, network, addr string) (reconcile.Reach, string) {
	conn, err := p.o.dialTo(ctx, network, addr)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOENT):
		return reconcile.Down, "nothing listens on " + addr
	case err != nil && isTimeout(err):
		return reconcile.Unknown, fmt.Sprintf("no answer from %s within %s", addr, p.o.timeout())
	case err != nil:
		return reconcile.Unknown, err.Error()
	}
	_ = conn.Close()
	return reconcile.Up, ""
}

// dialTo is dial for any network.
func (o *Observer) dialTo(ctx context.Context, network, addr string) (net.Conn, error) {
	if o.Dial != nil {
		return o.Dial(ctx, network, addr)
	}
	var d net.Dialer
	return d.DialContext(ctx, network, addr)
}
