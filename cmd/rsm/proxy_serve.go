package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"rsm/reconcile"
	"rsm/runtime/proxy"
)

// serve runs a proxy until ctx ends. At SIGHUP it loads its settings again, at
// SIGUSR2 it hands over to a process that it starts.
func serve(ctx context.Context, con *console, from proxySource) error {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGUSR2)
	defer signal.Stop(signals)
	passed, err := proxy.Sockets()
	if err != nil {
		return err
	}
	role, digest, err := from.load(ctx)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(con.err, nil)).With("proxy", role.Proxy.Name)
	p, err := proxy.New(role, log, passed...)
	if err != nil {
		return fmt.Errorf("start proxy %s: %w", role.Proxy.Name, err)
	}
	p.SetVersion(version)
	ctx, cancel := context.WithCancel(ctx)
	r := &reloader{proxySource: from, proxy: p, log: log, end: cancel, now: reconcile.Loaded{Version: version, Digest: digest}}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.Ready(ctx) // before all else: whoever is to be replaced still tells what it runs with
		r.say()
		r.run(ctx, signals)
	}()
	err = p.Run(ctx)
	cancel()
	<-ended
	return err
}

// reloader gives a running proxy new settings, or a successor.
type reloader struct {
	proxySource
	proxy *proxy.Proxy
	log   *slog.Logger
	end   context.CancelFunc
	now   reconcile.Loaded
}

// run does what signals ask for until ctx ends.
func (r *reloader) run(ctx context.Context, signals <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-signals:
			if s != syscall.SIGUSR2 {
				r.reload(ctx)
				continue
			}
			if r.handover(ctx) {
				r.end()
				return
			}
		}
	}
}

// reload keeps the settings that it has when it cannot take new ones.
func (r *reloader) reload(ctx context.Context) {
	role, digest, err := r.load(ctx)
	if err == nil {
		err = r.proxy.Reload(role)
	}
	if err != nil {
		r.refuse(digest, err)
		r.log.Error("keep the settings", "error", err)
	} else {
		r.now = reconcile.Loaded{Version: version, Digest: digest}
		r.log.Info("reload")
	}
	r.say()
}

// handover reports whether a successor serves now. If not, this process goes on.
func (r *reloader) handover(ctx context.Context) bool {
	path, err := r.successor()
	if err == nil {
		err = r.proxy.Handover(ctx, path)
	}
	if err == nil {
		return true
	}
	_, digest, _ := r.load(ctx)
	r.refuse(digest, err)
	r.log.Error("go on without a successor", "error", err)
	r.say()
	return false
}

// successor is the binary that takes over: by now it may be another file at the
// path of this one.
func (r *reloader) successor() (string, error) {
	if r.binary != nil {
		if path := r.binary(); path != "" {
			return path, nil
		}
	}
	return os.Executable()
}

func (r *reloader) refuse(digest string, err error) {
	r.now.Refused, r.now.Refusal = digest, strings.Join(strings.Fields(err.Error()), " ")
}

func (r *reloader) say() {
	if r.tell == nil {
		return
	}
	if err := r.tell(r.now); err != nil {
		r.log.Error("tell what is loaded", "error", err)
	}
}
