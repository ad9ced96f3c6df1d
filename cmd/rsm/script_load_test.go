package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"rsm/internal/resp"
)

// load is a client that writes key after key to the master that s1 names. It
// writes a key again only if that was refused.
type load struct {
	stop  context.CancelFunc
	done  chan struct{}
	acked []string
}

// cmdLoad starts to write; it returns when the first writes are acknowledged.
func cmdLoad(ts *testscript.TestScript, neg bool, words []string) {
	args(ts, neg, len(words) == 0, "load")
	l := labOf(ts)
	ctx, stop := context.WithCancel(context.Background())
	l.load = &load{stop: stop, done: make(chan struct{})}
	ts.Defer(stop)
	begun := make(chan struct{})
	go l.load.run(ctx, l.addr(ts, "s1"), begun)
	select {
	case <-begun:
	case <-time.After(patience):
		ts.Fatalf("no write was acknowledged")
	}
}

// cmdLoaded ends the writing, and looks for every acknowledged key on the master.
func cmdLoaded(ts *testscript.TestScript, neg bool, words []string) {
	l := labOf(ts)
	args(ts, neg, len(words) == 0 && l.load != nil, "loaded after load")
	before := time.Now()
	l.load.stop()
	<-l.load.done
	node, err := l.leader(ts)
	ts.Check(err)
	reply, err := l.send(ts, node, append([]string{"EXISTS"}, l.load.acked...)...)
	ts.Check(err)
	fmt.Fprintf(ts.Stdout(), "%v of %d acknowledged writes, stopped in %s\n", reply, len(l.load.acked), time.Since(before))
	if reply != int64(len(l.load.acked)) {
		ts.Fatalf("%s has %v of %d acknowledged writes", node, reply, len(l.load.acked))
	}
}

func (w *load) run(ctx context.Context, sentinel string, begun chan struct{}) {
	defer close(w.done)
	for n := 0; ctx.Err() == nil; {
		conn, err := dialMaster(ctx, sentinel)
		if err != nil {
			time.Sleep(5 * time.Millisecond)
			continue
		}
		for ; err == nil && ctx.Err() == nil; n++ {
			key := fmt.Sprint("load:", n)
			if _, err = conn.Do(ctx, "SET", key, "1"); err == nil {
				if w.acked = append(w.acked, key); len(w.acked) == 100 {
					close(begun)
				}
			}
		}
		if refused := resp.Error(""); errors.As(err, &refused) {
			n--
		}
		_ = conn.Close()
	}
}

func dialMaster(ctx context.Context, sentinel string) (*resp.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	conn, err := resp.Dial(ctx, sentinel)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	reply, err := conn.Do(ctx, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", clusterName)
	at, _ := reply.([]any)
	if err != nil || len(at) != 2 {
		return nil, fmt.Errorf("s1 names no master: %w", err)
	}
	return resp.Dial(ctx, net.JoinHostPort(fmt.Sprint(at[0]), fmt.Sprint(at[1])))
}
