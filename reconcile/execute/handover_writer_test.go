package execute_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"rsm/internal/redistest"
	"rsm/internal/resp"
)

// writers set keys of their own, one after the other. They ask a Sentinel for the
// master, and write a key again only if it was refused.
type writers struct {
	sentinel *redistest.Server
	ctx      context.Context
	end      func()
	work     sync.WaitGroup

	mu      sync.Mutex
	acked   []string
	doubt   int // writes without an answer
	refused int
	longest time.Duration // between two acknowledged writes of one of them
}

func startWriters(t *testing.T, sentinel *redistest.Server, n int) *writers {
	w := &writers{sentinel: sentinel}
	w.ctx, w.end = context.WithCancel(t.Context())
	for i := range n {
		w.work.Go(func() { w.run(i) })
	}
	t.Cleanup(w.stop)
	return w
}

// stop ends all writers; what they counted may be read then.
func (w *writers) stop() {
	w.end()
	w.work.Wait()
}

// wrote is a condition for redistest.Wait.
func (w *writers) wrote(n int) func() error {
	return func() error {
		if have := len(w.snapshot()); have < n {
			return fmt.Errorf("%d writes were acknowledged, want %d", have, n)
		}
		return nil
	}
}

func (w *writers) snapshot() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.acked
}

func (w *writers) run(id int) {
	for n, last := 0, time.Now(); w.ctx.Err() == nil; {
		conn, err := w.connect()
		if err != nil {
			time.Sleep(2 * time.Millisecond)
			continue
		}
		for ; err == nil && w.ctx.Err() == nil; n++ {
			key := fmt.Sprintf("w%d:%d", id, n)
			if err = w.set(conn, key); err == nil {
				w.ack(key, time.Since(last))
				last = time.Now()
			}
		}
		_ = conn.Close()
		w.failed(err)
	}
}

func (w *writers) ack(key string, gap time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.acked, w.longest = append(w.acked, key), max(w.longest, gap)
}

func (w *writers) failed(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var refused resp.Error
	switch {
	case errors.As(err, &refused):
		w.refused++
	case err != nil && w.ctx.Err() == nil:
		w.doubt++
	}
}

func (w *writers) set(conn *resp.Conn, key string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, err := conn.Do(ctx, "SET", key, "1")
	return err
}

func (w *writers) connect() (*resp.Conn, error) {
	reply, err := w.sentinel.TryDo("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "cache")
	list, _ := reply.([]any)
	if err != nil || len(list) != 2 {
		return nil, fmt.Errorf("no master: %w", err)
	}
	ctx, cancel := context.WithTimeout(w.ctx, time.Second)
	defer cancel()
	return resp.Dial(ctx, net.JoinHostPort(fmt.Sprint(list[0]), fmt.Sprint(list[1])))
}

// lost lists the acknowledged keys that a server does not have.
func (w *writers) lost(t *testing.T, s *redistest.Server) []string {
	t.Helper()
	var missing []string
	for i := 0; i < len(w.acked); i += 500 {
		keys := w.acked[i:min(i+500, len(w.acked))]
		reply, _ := s.Do(append([]string{"MGET"}, keys...)...).([]any)
		for j, value := range reply {
			if value == nil {
				missing = append(missing, keys[j])
			}
		}
	}
	return missing
}
