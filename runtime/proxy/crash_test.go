package proxy_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"rsm/internal/redistest"
	"rsm/internal/resp"
)

var crashes = flag.Int("crashes", 1, "how often TestW18CrashThroughProxy kills the master")

// startWriters is a crew whose requests may fail; the errors are counted.
func startWriters(t testing.TB, addr, prefix string) *crew {
	w := &crew{addr: addr}
	w.ctx, w.end = context.WithCancel(t.Context())
	for i := range 50 {
		m := &member{crew: w, tag: fmt.Sprintf("%s:%d", prefix, i)}
		w.work.Go(m.write)
	}
	t.Cleanup(w.stop)
	return w
}

// write sets one key after the other.
func (m *member) write() {
	c, err := newCaller(m.addr)
	for ; err == nil && m.ctx.Err() == nil; m.n++ {
		began := time.Now()
		var replies []string
		if replies, err = c.ask(patience, command("SET", fmt.Sprintf("%s:%d", m.tag, m.n), "1")); err == nil {
			m.took(replies[0], began)
		}
		time.Sleep(2 * time.Millisecond)
	}
	if err != nil {
		m.fail("%v", err)
		return
	}
	_ = c.Close()
}

func (m *member) took(reply string, began time.Time) {
	if reply != stored {
		m.fail("%s", reply)
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.writes++
	m.times = append(m.times, time.Now())
	m.longest = max(m.longest, time.Since(began))
}

// doubts counts the errors, which may only say that a write is in doubt.
func (w *crew) doubts() (doubts int, others []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, text := range w.failed {
		if strings.Contains(text, ": -INDOUBT ") {
			doubts++
		} else {
			others = append(others, text)
		}
	}
	return doubts, others
}

// TestW18CrashThroughProxy kills the master. Soon after the next one takes a write,
// one gets through the proxy: down-after and about a second after the crash. W18: it
// took 37 seconds.
func TestW18CrashThroughProxy(t *testing.T) {
	const downAfter, failoverTimeout = time.Second, 3 * time.Second
	f := newFleet(t)
	for _, s := range f.sentinels {
		s.Do("SENTINEL", "SET", "cache", "down-after-milliseconds", strconv.FormatInt(downAfter.Milliseconds(), 10))
		s.Do("SENTINEL", "SET", "cache", "failover-timeout", strconv.FormatInt(failoverTimeout.Milliseconds(), 10))
	}
	role := f.role(downAfter)
	run(t, role)
	awaitPong(t, mainAddr(role))
	var late, gaps []time.Duration
	for i := range *crashes {
		leader := f.whole()
		w := startWriters(t, mainAddr(role), fmt.Sprintf("c%d", i))
		redistest.Wait(t, patience, w.wrote(1000))
		began := time.Now()
		f.redis[leader].Kill()
		accepted := f.accepts(leader)
		redistest.Wait(t, patience, w.wrote(w.count()+500))
		w.stop()
		from, to := w.gap(began)
		doubts, others := w.doubts()
		late, gaps = append(late, max(0, to.Sub(accepted))), append(gaps, to.Sub(from))
		t.Logf("crash %d: a write got through %s after the new master took one; none for %s; %d in doubt, longest request %s",
			i+1, late[i].Round(time.Millisecond/10), gaps[i].Round(time.Millisecond), doubts, w.longest.Round(time.Millisecond))
		// Sentinels that vote for different leaders try again after twice the timeout.
		if limit := downAfter + 2*failoverTimeout + 3*time.Second; gaps[i] > limit {
			t.Errorf("crash %d: no write for %s, Sentinel's own limit is %s", i+1, gaps[i], limit)
		}
		if late[i] > promptly(*crashes) || len(others) > 0 {
			t.Errorf("crash %d: %s late, errors %q", i+1, late[i], first(others))
		}
		if i+1 < *crashes {
			f.redis[leader].Restart()
		}
	}
	t.Logf("%s late, no write for %s", spread(late), spread(gaps))
}

// accepts waits until one of the others takes a write, and returns when it did.
func (f *fleet) accepts(old int) time.Time {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	found := make(chan time.Time, len(f.redis))
	for i, n := range f.redis {
		if i != old {
			go func() { found <- probe(ctx, n.Addr()) }()
		}
	}
	select {
	case at := <-found:
		return at
	case <-ctx.Done():
		f.t.Fatal("nobody takes a write")
		return time.Time{}
	}
}

// probe writes until it is let.
func probe(ctx context.Context, addr string) time.Time {
	for ctx.Err() == nil {
		conn, err := resp.Dial(ctx, addr)
		for err == nil || isRefusal(err) {
			if _, err = conn.Do(ctx, "SET", "probe", "1"); err == nil {
				_ = conn.Close()
				return time.Now()
			}
			time.Sleep(time.Millisecond)
		}
	}
	return time.Time{}
}

func isRefusal(err error) bool {
	refused := resp.Error("")
	return errors.As(err, &refused)
}

// promptly is how late a write may be: 50 ms where that is measured; while other
// tests keep the processors busy, some multiple of it.
func promptly(campaign int) time.Duration {
	if campaign > 1 {
		return 50 * time.Millisecond
	}
	return time.Second
}
