package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"

	"rsm/internal/sdnotify"
	"rsm/reconcile"
	"rsm/reconcile/execute"
	"rsm/reconcile/host"
	"rsm/reconcile/observe"
	"rsm/reconcile/source"
	"rsm/runtime/controller"
	"rsm/runtime/controller/hook"
	"rsm/runtime/controller/lease"
	"rsm/runtime/controller/ledger"
	"rsm/runtime/controller/notify"
	"rsm/schema"
)

// service is a controller of this process.
type service struct {
	*schema.Service
	stateDir string
	interval time.Duration // between two looks at a cluster
	allow    reconcile.Allow
}

// run serves until ctx ends.
func (s *service) run(ctx context.Context, con *console) error {
	log := slog.New(sdnotify.Handler(con.err, os.Getenv("JOURNAL_STREAM")))
	git, err := source.NewGit(gitConfig(s.Source, s.stateDir))
	if err != nil {
		return err
	}
	defer git.Close()
	book := ledger.Open(ledgerDir(s.stateDir), nil)
	if other, err := book.Service(); err != nil {
		return err
	} else if other != nil {
		return &exit{exitLocked, fmt.Errorf("another service (pid %d) works with %s", other.PID, s.stateDir)}
	}
	sender := notify.New(notify.Sinks(s.Notify, log), log)
	c := s.controller(git, book, log)
	receiver, err := s.receiver(c, log)
	if err != nil {
		return err
	}
	listening, stop, err := s.serveHTTP(c.Handler(s.readToken(), receiver), log)
	if err != nil {
		return err
	}
	defer stop()
	defer hangups(c.Reload)()
	if err := book.Serving(ledger.ServeRecord{Listen: listening}); err != nil {
		return err
	}
	defer func() { _ = book.Ended() }()
	return s.runAll(ctx, c, book, sender)
}

// runAll runs the controller, and what lives as long as it.
func (s *service) runAll(ctx context.Context, c *controller.Controller, book *ledger.Ledger, sender *notify.Sender) error {
	inner, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	manager := sdnotify.Open(os.Getenv)
	var telling, beside sync.WaitGroup
	hear, deaf := context.WithCancel(inner)
	from := book.End()
	telling.Go(func() { // by way of the ledger, as commands tell what people decide
		_ = book.FollowFrom(hear, from, func(e ledger.Event) error { sender.Tell(e); return nil })
	})
	beside.Go(func() { _ = sender.Run(inner) })
	beside.Go(func() { manager.Watch(inner, c.Alive) })
	_ = manager.Ready("follows " + s.Source.URL + " " + s.Source.Branch)
	err := c.Run(ctx)
	_ = manager.Stopping()
	deaf()
	telling.Wait()
	stop()
	beside.Wait()
	return err
}

// hangups calls f at each SIGHUP until it is stopped.
func hangups(f func()) (stop func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP)
	go func() {
		for range signals {
			f()
		}
	}()
	return func() { signal.Stop(signals); close(signals) }
}

// controller wires the parts together.
func (s *service) controller(git *source.Git, book *ledger.Ledger, log *slog.Logger) *controller.Controller {
	machine := &host.Host{Dir: s.stateDir, Version: version}
	logs := slices.ContainsFunc(s.Notify, func(n schema.Notify) bool { return n.Type == "log" })
	observer := &observe.Observer{Host: machine}
	return controller.New(controller.Config{
		Name: s.Source.URL + " " + s.Source.Branch, Source: git, Git: &s.Source, Evaluate: evaluateTree, Ledger: book,
		Applier: func(c *schema.Cluster) *reconcile.Applier {
			return &reconcile.Applier{Observer: observer, Executor: &execute.Executor{Auth: c.Auth, Host: machine}, Allow: s.allow}
		},
		Lease: s.lease,
		Lock: func(ctx context.Context) (func(), error) {
			ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
			defer cancel()
			lock, err := machine.Lock(ctx, "rsm serve")
			if err != nil {
				return nil, err
			}
			return func() { _ = lock.Release() }, nil
		},
		Poll: s.Source.Interval, Interval: s.interval, Budget: s.Budget, Heal: s.Heal, Window: windowOf, Expiring: git.Expiring, Log: log,
		Tell: func(e ledger.Event) {
			if !logs {
				logEvent(log, e)
			}
		},
	})
}

// windowOf says that no maintenance window of a cluster is open, "" when one is.
func windowOf(c *schema.Cluster, now time.Time) string {
	if closed := closedAt(c, now); closed != nil {
		return closed.String()
	}
	return ""
}

// lease is that of a cluster, on its Sentinels.
func (s *service) lease(c *schema.Cluster) controller.Lease {
	var sentinels []schema.Addr
	for _, n := range c.Sentinel.Nodes {
		sentinels = append(sentinels, n.Addr)
	}
	name, err := os.Hostname()
	if err != nil {
		name = "unknown"
	}
	return lease.New(c.Name, sentinels, lease.Options{Owner: fmt.Sprintf("%s:%d", name, os.Getpid()), TTL: s.LeaseTTL, Password: func() (user, password string, err error) {
		if c.Auth.SentinelPassword == nil {
			return "", "", nil
		}
		password, err = c.Auth.SentinelPassword.Read()
		return "", password, err
	}})
}

// readToken reads the token of the API; it is nil when there is none.
func (s *service) readToken() func() (string, error) {
	if s.Token == nil {
		return nil
	}
	return s.Token.Read
}

// receiver takes webhooks; it is nil when nobody may send any.
func (s *service) receiver(c *controller.Controller, log *slog.Logger) (*hook.Receiver, error) {
	if len(s.Webhook) == 0 {
		return nil, nil
	}
	var secrets []func() (string, error)
	for _, secret := range s.Webhook {
		secrets = append(secrets, secret.Read)
	}
	return hook.New(hook.Config{Branch: s.Source.Branch, Secrets: secrets, Ask: c.Ask, Log: log})
}

// serveHTTP listens, unless nothing is to be listened on.
func (s *service) serveHTTP(handler http.Handler, log *slog.Logger) (addr string, stop func(), err error) {
	if s.Listen == "" {
		return "", func() {}, nil
	}
	listener, err := net.Listen("tcp", s.Listen)
	if err != nil {
		return "", nil, fmt.Errorf("listen for HTTP: %w", err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn)}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error("serve HTTP", "error", err)
		}
	}()
	log.Info("listening", "addr", listener.Addr())
	return listener.Addr().String(), func() { _ = server.Close() }, nil
}

// logEvent writes an event for whoever reads the log.
func logEvent(log *slog.Logger, e ledger.Event) {
	level := map[string]slog.Level{"warning": slog.LevelWarn, "error": slog.LevelError}[e.Level]
	attrs := []any{"event", e.Type}
	if e.Cluster != "" {
		attrs = append(attrs, "cluster", e.Cluster)
	}
	if e.Commit != "" {
		attrs = append(attrs, "commit", controller.Short(e.Commit))
	}
	if e.Attempt != 0 {
		attrs = append(attrs, "attempt", e.Attempt)
	}
	log.Log(context.Background(), level, e.Message, attrs...)
}
