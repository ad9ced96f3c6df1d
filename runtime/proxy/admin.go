package proxy

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"rsm/internal/web"
	"rsm/schema"
)

// admin is the HTTP server for those who watch the proxy. It is not needed for
// anything that clients do: when it fails, they do not notice.
type admin struct {
	addr     schema.Addr
	server   *http.Server
	listener net.Listener
}

// adminName is what a successor knows its socket by; no listener has that name.
const adminName = "-admin"

// adminConns is how many connections it has at a time.
const adminConns = 64

// tendAdmin opens the admin listener that the role wants, and closes the one that
// it no longer wants. When that cannot be opened, it is tried again later.
func (p *Proxy) tendAdmin() {
	p.adminMu.Lock()
	defer p.adminMu.Unlock()
	want := p.role.Load().Proxy.Admin
	if p.admin != nil && p.admin.addr == want || p.admin == nil && want == "" {
		return
	}
	old := p.admin
	if p.admin = nil; want != "" {
		listener, err := p.take(adminName, string(want)), error(nil)
		if listener == nil {
			listener, err = net.Listen("tcp", string(want))
		}
		if err != nil {
			if err.Error() != p.adminErr {
				p.log.Error("listen for admin", "error", err)
			}
			p.admin, p.adminErr = old, err.Error()
			return
		}
		p.admin, p.adminErr = p.serveAdmin(want, listener), ""
	}
	if old != nil {
		go old.end(p.log)
	}
}

func (p *Proxy) serveAdmin(addr schema.Addr, listener net.Listener) *admin {
	a := &admin{addr: addr, listener: listener, server: &http.Server{
		Handler:           p.handler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(p.log.Handler(), slog.LevelWarn),
	}}
	go func() {
		err := a.server.Serve(&capped{Listener: listener, slots: make(chan struct{}, adminConns)})
		if !errors.Is(err, http.ErrServerClosed) {
			p.log.Error("serve admin", "error", err)
		}
	}()
	return a
}

// end gives requests a moment to be answered.
func (a *admin) end(log *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := a.server.Shutdown(ctx); err == nil {
		return
	}
	if err := a.server.Close(); err != nil {
		log.Warn("close admin", "error", err)
	}
}

// keepAdmin tries again to open the listener when that failed, and closes it in
// the end.
func (p *Proxy) keepAdmin(ctx context.Context) error {
	again := time.NewTicker(time.Second)
	defer again.Stop()
	for {
		select {
		case <-again.C:
			p.tendAdmin()
		case <-ctx.Done():
			p.adminMu.Lock()
			defer p.adminMu.Unlock()
			if p.admin != nil {
				_ = p.admin.server.Close()
			}
			return nil
		}
	}
}

// handler answers what needs no token, and asks for it before all else.
func (p *Proxy) handler() http.Handler {
	inner := http.NewServeMux()
	inner.Handle("GET /metrics", p.metricsHandler())
	inner.HandleFunc("GET /status", p.serveStatus)
	inner.HandleFunc("GET /clients", p.serveClients)
	inner.HandleFunc("GET /slowlog", p.serveSlow)
	inner.HandleFunc("GET /hotkeys", p.serveHotKeys)
	inner.HandleFunc("GET /bigreplies", p.serveBigReplies)
	inner.HandleFunc("GET /accesslog", p.serveAccess)
	outer := http.NewServeMux()
	outer.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	outer.HandleFunc("GET /readyz", p.serveReady)
	outer.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if p.admit(w, r) {
			inner.ServeHTTP(w, r)
		}
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		outer.ServeHTTP(w, r)
	})
}

// admit reports whether a request has the token.
func (p *Proxy) admit(w http.ResponseWriter, r *http.Request) bool {
	var read func() (string, error)
	if token := p.role.Load().Proxy.AdminToken; token != nil {
		read = token.Read
	}
	return web.Admit(w, r, read, p.log)
}

// serveReady answers whether requests can be served now.
func (p *Proxy) serveReady(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), time.Second)
	defer cancel()
	why := p.unready(time.Now())
	if why == "" && p.relay.Alive(ctx) != nil {
		why = "an event loop does not answer"
	}
	if why != "" {
		http.Error(w, why, http.StatusServiceUnavailable)
		return
	}
	_, _ = w.Write([]byte("ready\n"))
}

// unready says why no request can be served, "" when some can. A short hold is no
// reason: requests wait for its end, while those that go elsewhere would fail.
func (p *Proxy) unready(now time.Time) string {
	target, role := p.follower.Load().Target(), p.role.Load()
	switch {
	case p.ending.Load():
		return "the proxy ends"
	case target.Master != "" && now.Sub(target.Proof) <= role.Proxy.Fence:
		return ""
	case target.Master != "":
		return "the master " + string(target.Master) + " has not proved to be one in time"
	case target.Why == "":
		return "no master is known yet"
	}
	return target.Why
}

// writeJSON answers with a value, or with what went wrong.
func writeJSON(w http.ResponseWriter, value any, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	web.WriteJSON(w, value)
}

// capped is a listener that closes connections at once of which it has enough.
type capped struct {
	net.Listener
	slots chan struct{}
}

// Accept waits for a connection for which there is a slot.
func (c *capped) Accept() (net.Conn, error) {
	for {
		conn, err := c.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case c.slots <- struct{}{}:
			return &cappedConn{Conn: conn, free: sync.OnceFunc(func() { <-c.slots })}, nil
		default:
			_ = conn.Close()
		}
	}
}

type cappedConn struct {
	net.Conn
	free func()
}

// Close frees the slot.
func (c *cappedConn) Close() error {
	c.free()
	return c.Conn.Close()
}
