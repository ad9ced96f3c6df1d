package proxy_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rsm/internal/redistest"
)

// caller is a client that returns errors instead of failing its test.
type caller struct {
	net.Conn
	r *bufio.Reader
}

func newCaller(addr string) (*caller, error) {
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return nil, err
	}
	return &caller{Conn: conn, r: bufio.NewReaderSize(conn, 32<<10)}, nil
}

// ask sends requests at once and returns the bytes of their replies; an error comes
// with the replies before it.
func (c *caller) ask(limit time.Duration, requests ...[]byte) ([]string, error) {
	_ = c.SetDeadline(time.Now().Add(limit))
	if _, err := c.Write(slices.Concat(requests...)); err != nil {
		return nil, err
	}
	var replies []string
	for range requests {
		raw, err := readRaw(c.r, nil)
		if len(raw) > 0 && err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return replies, err
		}
		replies = append(replies, string(raw))
	}
	return replies, nil
}

// crew is 61 clients that write all the time. Not one request may fail.
type crew struct {
	addr string
	ctx  context.Context
	end  func()
	work sync.WaitGroup

	mu      sync.Mutex
	acked   []string         // keys that were set
	counts  map[string]int64 // what INCR answered last
	lists   map[string]int   // what was popped
	times   []time.Time      // of acknowledged writes
	writes  int
	failed  []string
	longest time.Duration // that a request took
}

func startCrew(t testing.TB, addr, prefix string) *crew {
	w := &crew{addr: addr, counts: map[string]int64{}, lists: map[string]int{}}
	w.ctx, w.end = context.WithCancel(t.Context())
	kinds := []func(*member){(*member).sets, (*member).counts, (*member).pipelines, (*member).transacts, (*member).pushes}
	for i := range 50 {
		m := &member{crew: w, tag: fmt.Sprintf("%s:%d", prefix, i)}
		w.work.Go(func() { m.run(kinds[i%len(kinds)]) })
		if i%len(kinds) == len(kinds)-1 {
			popper := &member{crew: w, tag: m.tag}
			w.work.Go(func() { popper.run((*member).pops) })
		}
	}
	long := &member{crew: w, tag: prefix + ":long"}
	w.work.Go(func() { long.run((*member).longs) })
	t.Cleanup(w.stop)
	return w
}

// stop ends the clients; what they counted may be read then.
func (w *crew) stop() {
	w.end()
	w.work.Wait()
}

// wrote is a condition for redistest.Wait: so many writes more than at a time.
func (w *crew) wrote(n int) func() error {
	return func() error {
		if have := w.count(); have < n {
			w.mu.Lock()
			defer w.mu.Unlock()
			return fmt.Errorf("%d writes were acknowledged, want %d; %d failed: %q", have, n, len(w.failed), first(w.failed))
		}
		return nil
	}
}

func (w *crew) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.writes
}

// gap is the longest time in which not one write was acknowledged.
func (w *crew) gap(since time.Time) (from, to time.Time) {
	slices.SortFunc(w.times, time.Time.Compare)
	last := since
	for _, at := range w.times {
		if at.After(since) {
			if at.Sub(last) > to.Sub(from) {
				from, to = last, at
			}
			last = at
		}
	}
	return from, to
}

// lost lists acknowledged writes that a server does not have.
func (w *crew) lost(s *redistest.Server) (missing []string) {
	for keys := range slices.Chunk(w.acked, 500) {
		values, _ := s.Do(append([]string{"MGET"}, keys...)...).([]any)
		for i, value := range values {
			if value != keys[i] {
				missing = append(missing, keys[i])
			}
		}
	}
	for key, n := range w.counts {
		if have := s.Do("GET", key); have != fmt.Sprint(n) {
			missing = append(missing, fmt.Sprintf("%s is %v, was %d", key, have, n))
		}
	}
	return missing
}

// member is one client of a crew, with one connection.
type member struct {
	*crew
	c      *caller
	tag    string
	n      int
	failed bool // it goes on no more
}

func (m *member) run(step func(*member)) {
	c, err := newCaller(m.addr)
	if err != nil {
		m.fail("connect: %v", err)
		return
	}
	defer c.Close()
	for m.c = c; m.ctx.Err() == nil && !m.failed; m.n++ {
		step(m)
		time.Sleep(2 * time.Millisecond)
	}
}

func (m *member) fail(format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failed = true
	m.crew.failed = append(m.crew.failed, m.tag+": "+fmt.Sprintf(format, args...))
}

// must sends requests and compares the replies. An empty want stands for any reply
// that is no error.
func (m *member) must(writes int, want []string, requests ...[]byte) ([]string, bool) {
	began := time.Now()
	replies, err := m.c.ask(patience, requests...)
	took := time.Since(began)
	for i, reply := range replies {
		if want[i] == "" && reply[0] == '-' || want[i] != "" && reply != want[i] {
			err = errors.Join(err, fmt.Errorf("%.60q is answered by %.200q, want %.60q", requests[i], reply, want[i]))
		}
	}
	if err != nil {
		m.fail("%v", err)
		return replies, false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.writes += writes
	if writes > 0 {
		m.times = append(m.times, time.Now())
	}
	if m.ctx.Err() == nil { // at the end nobody feeds those that wait
		m.longest = max(m.longest, took)
	}
	return replies, true
}

const stored = "+OK\r\n"

// sets sets a key and reads it.
func (m *member) sets() {
	key := fmt.Sprintf("%s:%d", m.tag, m.n)
	_, ok := m.must(1, []string{stored}, command("SET", key, key))
	_, read := m.must(0, []string{bulk(key)}, command("GET", key))
	m.remember(ok && read, key)
}

// longs does it with values that are passed on in pieces.
func (m *member) longs() {
	value := swell(fmt.Sprintf("%s:%d", m.tag, m.n))
	m.must(1, []string{stored}, command("SET", m.tag, value))
	m.must(0, []string{bulk(value)}, command("GET", m.tag))
}

func (m *member) remember(ok bool, keys ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if ok {
		m.acked = append(m.acked, keys...)
	}
}

// next notes that a counter is one more, which is the only right answer.
func (m *member) next(key string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.crew.counts[key]++
	return fmt.Sprintf(":%d\r\n", m.crew.counts[key])
}

func (m *member) counts() {
	m.must(1, []string{m.next(m.tag)}, command("INCR", m.tag))
}

func (m *member) pipelines() {
	var want, keys []string
	var requests [][]byte
	for i := range 5 {
		key := fmt.Sprintf("%s:%d:%d", m.tag, m.n, i)
		keys = append(keys, key)
		want = append(want, stored, m.next(m.tag), bulk(key))
		requests = append(requests, command("SET", key, key), command("INCR", m.tag), command("GET", key))
	}
	_, ok := m.must(10, want, requests...)
	m.remember(ok, keys...)
}

// transacts sends a transaction as a whole, or step by step.
func (m *member) transacts() {
	key := fmt.Sprintf("%s:%d", m.tag, m.n)
	count := m.next(m.tag)
	want := []string{stored, "+QUEUED\r\n", "+QUEUED\r\n", "*2\r\n" + stored + count}
	requests := [][]byte{command("MULTI"), command("SET", key, key), command("INCR", m.tag), command("EXEC")}
	ok := true
	if m.n%2 == 0 {
		_, ok = m.must(2, want, requests...)
	} else {
		for i := 0; i < len(want) && ok; i++ {
			_, ok = m.must(i/3*2, want[i:i+1], requests[i])
		}
	}
	m.remember(ok, key)
}

// pushes feeds the one that pops from the same list.
func (m *member) pushes() {
	m.must(1, []string{""}, command("RPUSH", "list:"+m.tag, fmt.Sprintf("%s:%d", m.tag, m.n)))
	time.Sleep(20 * time.Millisecond) // so that it waits
}

// pops waits for what is pushed. Everything comes once and in order.
func (m *member) pops() {
	list := "list:" + m.tag
	replies, ok := m.must(0, []string{""}, command("BLPOP", list, "1"))
	switch want := "*2\r\n" + bulk(list) + bulk(fmt.Sprintf("%s:%d", m.tag, m.n)); {
	case !ok:
	case strings.HasPrefix(replies[0], "*-1"):
		m.n--
	case replies[0] != want:
		m.fail("BLPOP gives %q, want %q", replies[0], want)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lists[list] = m.n + 1
}
