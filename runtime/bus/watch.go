package bus

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"rsm/internal/resp"
	"rsm/schema"
)

// watcher closes the connections to a server that is no longer the master. A
// master that is frozen or cut off keeps a reader that waits for years: TCP
// accepts its silence, and go-redis does not look for another server meanwhile.
type watcher struct {
	finder *finder
	conns  *conns
	wake   chan struct{}
}

const (
	// pollEvery is how often the Sentinels are asked, whatever they have announced.
	pollEvery = 5 * time.Second
	// pingEvery is how often a Sentinel is asked for a sign of life, and how long it
	// has for it.
	pingEvery = 5 * time.Second
	// listenAgain is the pause before a Sentinel is listened to again, at first and
	// at most.
	listenAgain, listenAgainMax = 200 * time.Millisecond, 10 * time.Second
)

// run watches until ctx ends.
func (w *watcher) run(ctx context.Context) {
	var listeners sync.WaitGroup
	defer listeners.Wait()
	for _, sentinel := range w.finder.access.Sentinels {
		listeners.Go(func() { w.listen(ctx, sentinel) })
	}
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-w.wake:
		}
		w.check(ctx)
	}
}

// check compares the open connections with what the Sentinels say now.
func (w *watcher) check(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	if master, err := w.finder.ask(ctx); err == nil {
		w.conns.closeOthers(master)
	}
}

// listen wakes run whenever the Sentinel announces a switch, until ctx ends.
func (w *watcher) listen(ctx context.Context, sentinel schema.Addr) {
	pause := listenAgain
	for ctx.Err() == nil {
		if w.subscribe(ctx, sentinel) {
			pause = listenAgain
			w.check(ctx) // a switch may have been announced meanwhile
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, listenAgainMax)
	}
}

// subscribe listens until the connection ends. It reports whether there was one.
func (w *watcher) subscribe(ctx context.Context, sentinel schema.Addr) bool {
	password, err := read(w.finder.access.Auth.SentinelPassword)
	if err != nil {
		return false
	}
	opening, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	conn, err := hello(opening, sentinel, password)
	if err != nil {
		return false
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if err := conn.Send(time.Now().Add(dialLimit), []string{"SUBSCRIBE", "+switch-master"}); err != nil {
		return false
	}
	w.hear(conn)
	return true
}

// hear reads announcements until the connection ends or the Sentinel is silent.
func (w *watcher) hear(conn *resp.Conn) {
	pings := time.NewTicker(pingEvery)
	defer pings.Stop()
	done := make(chan struct{})
	defer close(done)
	go func() {
		for {
			select {
			case <-done:
				return
			case <-pings.C:
				_ = conn.Send(time.Now().Add(pingEvery), []string{"PING"})
			}
		}
	}()
	for {
		reply, err := conn.Receive(time.Now().Add(2 * pingEvery))
		if err != nil {
			return
		}
		// "message", the channel, "<name> <old ip> <old port> <new ip> <new port>".
		words, _ := reply.([]any)
		if len(words) == 3 && words[0] == "message" &&
			strings.HasPrefix(fmt.Sprint(words[2]), w.finder.access.Cluster+" ") {
			select {
			case w.wake <- struct{}{}:
			default:
			}
		}
	}
}
