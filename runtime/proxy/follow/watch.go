package follow

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"rsm/internal/resp"
)

// A subscription is given up when nothing came for earLimit although a PING goes
// out every earPing: a frozen Sentinel keeps its connections open.
const (
	earPing  = time.Second
	earLimit = 2200 * time.Millisecond
	earRetry = 100 * time.Millisecond
	earMost  = 2 * time.Second
)

// watchSentinel listens to the events of one Sentinel, for ever.
func (f *Follower) watchSentinel(ctx context.Context, i int) {
	pause := earRetry
	for ctx.Err() == nil {
		began := f.config.Now()
		err := f.listen(ctx, i)
		if ctx.Err() != nil || !f.learn(ctx, listening{i, f.config.Now(), brief(err)}) {
			return
		}
		if pause *= 2; pause > earMost {
			pause = earMost
		}
		if f.config.Now().Sub(began) > earMost {
			pause = earRetry
		}
		select {
		case <-ctx.Done():
		case <-time.After(f.jitter(pause)):
		}
	}
}

// listen subscribes and passes events on until the connection is of no more use.
func (f *Follower) listen(ctx context.Context, i int) error {
	dialing, cancel := context.WithTimeoutCause(ctx, sentinelLimit, errSilent)
	defer cancel()
	conn, err := connect(dialing, f.config.Dial, f.config.Sentinels[i], f.config.SentinelPassword)
	if err != nil {
		if dialing.Err() != nil {
			err = context.Cause(dialing)
		}
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	var pings sync.WaitGroup
	ended := make(chan struct{})
	pings.Go(func() { ping(conn, ended) })
	defer pings.Wait()
	defer close(ended)
	defer conn.Close()

	if err := conn.Send(time.Now().Add(earLimit), append([]string{"SUBSCRIBE"}, channels()...)); err != nil {
		return err
	}
	return f.receive(ctx, conn, i)
}

func (f *Follower) receive(ctx context.Context, conn *resp.Conn, i int) error {
	subscribed := false
	for {
		reply, err := conn.Receive(time.Now().Add(earLimit))
		if timeout := interface{ Timeout() bool }(nil); errors.As(err, &timeout) && timeout.Timeout() {
			return errSilent
		}
		if err != nil {
			return err
		}
		if refused, ok := reply.(resp.Error); ok {
			return refused
		}
		words := texts(reply)
		switch {
		case len(words) == 3 && words[0] == "subscribe" && !subscribed:
			subscribed = true
			f.learn(ctx, listening{sentinel: i, at: f.config.Now()})
		case len(words) == 3 && words[0] == "message":
			f.learn(ctx, event{i, f.config.Now(), f.config.Cluster, words[1], words[2]})
		case len(words) == 0:
			return fmt.Errorf("read event: %w", resp.ErrProtocol)
		}
	}
}

// ping keeps a sign of life coming.
func ping(conn *resp.Conn, ended <-chan struct{}) {
	ticker := time.NewTicker(earPing)
	defer ticker.Stop()
	for {
		select {
		case <-ended:
			return
		case <-ticker.C:
			_ = conn.Send(time.Now().Add(earPing), []string{"PING"}) // receive notices
		}
	}
}
