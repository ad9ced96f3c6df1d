package proxy_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// ledger is what is known of a campaign: what must never happen, and what may
// only happen where Redis loses writes.
type ledger struct {
	mu         sync.Mutex
	violations []string
	doubtful   []doubtful
	lossy      []window
	counts     map[string]int
	longest    map[string]time.Duration // by kind of client
}

// doubtful is something that is fine if writes were lost between two times.
type doubtful struct {
	window
	lost int // writes
	what string
}

type window struct {
	from, to time.Time
	why      string
}

func (w window) overlaps(o window) bool { return !w.to.Before(o.from) && !o.to.Before(w.from) }

func (l *ledger) violate(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.violations = append(l.violations, time.Now().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
}

func (l *ledger) count(what string, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts[what] += n
}

func (l *ledger) took(kind string, d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.longest[kind] = max(l.longest[kind], d)
}

// onlyIfLost notes what proves that writes were lost since a time.
func (l *ledger) onlyIfLost(since time.Time, n int, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.doubtful = append(l.doubtful, doubtful{window{from: since, to: time.Now()}, n, fmt.Sprintf(format, args...)})
}

// lose marks a time in which Redis may lose writes.
func (l *ledger) lose(w window) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lossy = append(l.lossy, w)
}

// judge returns how many writes were lost where that may be, by what was done,
// and adds the rest to the violations.
func (l *ledger) judge() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	lost := map[string]int{}
	for _, d := range l.doubtful {
		if i := slices.IndexFunc(l.lossy, d.overlaps); i >= 0 {
			lost[l.lossy[i].why] += d.lost
		} else {
			l.violations = append(l.violations, fmt.Sprintf("%s to %s without a failover: %s",
				d.from.Format("15:04:05.000"), d.to.Format("15:04:05.000"), d.what))
		}
	}
	return lost
}

// tally checks the replies to INCR of a counter that only one client increments.
type tally struct {
	l    *ledger
	key  string
	last int64
	at   time.Time // of last
	open int64     // increments in doubt that were not seen yet
}

// reply takes the answer to an INCR, or the value of the counter if it is only
// looked at.
func (t *tally) reply(answer string, increments int64) {
	v, ok := number(answer)
	if !ok {
		return
	}
	want := t.last + increments
	switch {
	case v > want+t.open:
		t.l.violate("%s is %d after %d and %d in doubt: executed twice", t.key, v, t.last, t.open)
	case v < want:
		t.l.onlyIfLost(t.at, int(want-v), "%s is %d, must be %d", t.key, v, want)
	default:
		t.open -= v - want
	}
	t.last, t.at = v, time.Now()
}

// number reads an integer, or a bulk string of one; a null is 0.
func number(reply string) (int64, bool) {
	if strings.HasPrefix(reply, "$-1") || strings.HasPrefix(reply, "_") {
		return 0, true
	}
	text := strings.TrimPrefix(reply, ":")
	if strings.HasPrefix(reply, "$") {
		_, text, _ = strings.Cut(reply, "\r\n")
	}
	n, err := strconv.ParseInt(strings.TrimSuffix(text, "\r\n"), 10, 64)
	return n, err == nil
}

// cell checks a key that only one client sets, to values of its own that never
// come again.
type cell struct {
	l     *ledger
	key   string
	value string // the last that was stored
	at    time.Time
	doubt []string // may be stored, now or later
	older []string
}

func (c *cell) stored(value string) {
	c.older = append(c.older, c.value)
	if len(c.older) > 1000 {
		c.older = c.older[500:]
	}
	c.value, c.at = value, time.Now()
}

// read checks what GET returned.
func (c *cell) read(value string) {
	i := slices.Index(c.doubt, value)
	switch {
	case value == c.value:
	case i >= 0:
		c.doubt = slices.Delete(c.doubt, i, i+1)
		c.stored(value)
		return
	case value == "" || slices.Contains(c.older, value):
		c.l.onlyIfLost(c.at, 1, "%s is %.60q, must be %.60q", c.key, value, c.value)
		c.stored(value)
	default:
		c.l.violate("%s is %.60q, which nobody stored there; it was %.60q", c.key, value, c.value)
	}
	c.at = time.Now()
}

// bulkText is the value of a bulk string, false when it is none.
func bulkText(reply string) (string, bool) {
	if strings.HasPrefix(reply, "$-1") || strings.HasPrefix(reply, "_") {
		return "", true
	}
	head, rest, ok := strings.Cut(reply, "\r\n")
	if !ok || !strings.HasPrefix(head, "$") || len(rest) < 2 {
		return "", false
	}
	return rest[:len(rest)-2], true
}
