package proxy_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// transact increments two counters in a transaction: they are always equal.
func (a *actor) transact() {
	c, value := a.cells[0], a.fresh()
	requests := [][]byte{command("MULTI"), command("INCR", a.count.key), command("INCR", a.both.key), command("SET", c.key, value), command("EXEC")}
	var replies []string
	if a.IntN(2) == 0 {
		replies = a.ask(0, requests...)
	} else {
		for i, request := range requests {
			replies = append(replies, a.ask(0, request)[0])
			if i == 0 && replies[0] != stored || a.c == nil && i < len(requests)-1 {
				return
			}
		}
	}
	exec := replies[len(requests)-1]
	parts := strings.Split(exec, "\r\n")
	switch {
	case inDoubt(exec):
		a.count.open, a.both.open = a.count.open+1, a.both.open+1
		c.doubt = append(c.doubt, value)
	case refused(exec):
	case len(parts) != 5 || parts[0] != "*3" || parts[1] != parts[2] || parts[3] != "+OK":
		a.violate("%s: EXEC is answered by %.100q after %.200q", a.tag, exec, replies)
	default:
		a.count.reply(parts[1], 1)
		a.both.reply(parts[2], 1)
		c.stored(value)
	}
	both := a.ask(0, command("MGET", a.count.key, a.both.key))[0]
	if parts := strings.Split(both, "\r\n"); strings.HasPrefix(both, "*2") && !(len(parts) == 6 && parts[2] == parts[4] || strings.Count(both, "-1")+strings.Count(both, "_") == 2) {
		a.violate("%s: half a transaction: %q", a.tag, both)
	}
	c.got(a.ask(0, command("GET", c.key))[0])
}

// group is clients that increment one key by WATCH.
type group struct {
	mu    sync.Mutex
	key   string
	won   map[string]string // who wrote a value
	since time.Time
}

// watch writes one more than it read, unless somebody else did meanwhile.
func (a *actor) watch() {
	replies := a.ask(0, command("WATCH", a.group.key))
	if replies[0] != stored {
		return
	}
	got := a.ask(0, command("GET", a.group.key))[0]
	n, ok := number(got)
	if !ok {
		if a.c != nil {
			a.ask(0, command("UNWATCH"))
		}
		return
	}
	next := fmt.Sprint(n + 1)
	replies = a.ask(0, command("MULTI"), command("SET", a.group.key, next), command("EXEC"))
	if a.c == nil || strings.HasPrefix(replies[0], "-") {
		return
	}
	if exec := replies[2]; exec == "*1\r\n"+stored {
		a.wins(next)
	} else if !strings.HasPrefix(exec, "*-1") && !strings.HasPrefix(exec, "_") && !inDoubt(exec) && !refused(exec) {
		a.violate("%s: EXEC after WATCH is answered by %.100q", a.tag, replies)
	}
}

func (a *actor) wins(value string) {
	g := a.group
	g.mu.Lock()
	defer g.mu.Unlock()
	if who := g.won[value]; who != "" {
		a.onlyIfLost(g.since, 1, "%s: %s wrote %s that %s wrote already", g.key, a.tag, value, who)
		g.won = map[string]string{}
	}
	g.won[value], g.since = a.tag, time.Now()
}

// big stores and reads a value of 300 kB.
func (a *actor) big() {
	c, value := a.cells[0], a.fresh()
	c.set(value, a.ask(0, command("SET", c.key, swell(value)))[0])
	reply := a.ask(0, command("GET", c.key))[0]
	if whole, ok := bulkText(reply); ok && whole != "" {
		value, _, _ := strings.Cut(whole, "/")
		if whole != swell(value) {
			a.violate("%s: a big value is mixed up, it begins with %.60q", a.tag, whole)
		}
		reply = bulk(value)
	}
	c.got(reply)
}

func swell(value string) string { return strings.Repeat(value+"/", 300_000/(len(value)+1)) }

// sips asks for much and reads it slowly.
func (a *actor) sips() {
	a.slow = false
	a.big()
	a.slow = true
	requests := make([][]byte, 20)
	for i := range requests {
		requests[i] = command("GET", a.cells[0].key)
	}
	for _, reply := range a.ask(5*time.Second, requests...) {
		if whole, ok := bulkText(reply); ok && whole != "" {
			value, _, _ := strings.Cut(whole, "/")
			if whole != swell(value) {
				a.violate("%s: a big value that is read slowly is mixed up, it begins with %.60q", a.tag, whole)
			}
			reply = bulk(value)
		}
		a.cells[0].got(reply)
	}
	a.hangUp() // the buffer has its own reader
}

// topic is what a subscriber and its publisher have in common.
type topic struct {
	mu        sync.Mutex
	name      string
	sent      int
	delivered time.Time // when somebody was told last that a subscriber got it
}

func (a *actor) publish(t *topic) {
	t.mu.Lock()
	t.sent++
	message := fmt.Sprintf("%s %d", t.name, t.sent)
	t.mu.Unlock()
	reply := a.ask(0, command("PUBLISH", t.name, message))[0]
	if n, ok := number(reply); ok && n > 0 {
		t.mu.Lock()
		t.delivered = time.Now()
		t.mu.Unlock()
	}
}

// subscribe listens until it is cut, which is only right after an error.
func (a *actor) subscribe(t *topic) {
	a.hangUp()
	if !a.connect() {
		return
	}
	got, err := a.c.ask(a.limit, command("SUBSCRIBE", t.name))
	if err != nil || !strings.Contains(got[0], t.name) {
		if len(got) > 0 && got[0][0] == '-' {
			a.refusal("SUBSCRIBE", got[0])
		} else {
			a.failed("SUBSCRIBE", got, err)
		}
		a.hangUp()
		return
	}
	last, seq := "", 0
	for heard := time.Now(); !a.over(); {
		_ = a.c.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
		if _, err := a.c.r.Peek(1); errors.Is(err, os.ErrDeadlineExceeded) {
			t.mu.Lock()
			deaf := t.delivered.Sub(heard)
			t.mu.Unlock()
			if deaf > a.limit {
				a.violate("%s hears nothing since %s", a.tag, time.Since(heard))
				break
			}
			continue
		}
		_ = a.c.SetReadDeadline(time.Now().Add(a.limit))
		raw, err := readRaw(a.c.r, nil)
		if err != nil {
			if !strings.HasPrefix(last, "-MASTERDOWN ") {
				a.violate("%s is cut after %.60q: %v", a.tag, last, err)
			}
			a.ledger.count("subscribers cut", 1)
			break
		}
		heard = time.Now()
		if last = string(raw); raw[0] == '-' {
			a.refusal("SUBSCRIBE", last)
			continue
		}
		parts := strings.Split(last, "\r\n")
		now := 0
		if len(parts) != 8 || parts[4] != t.name || !scan(parts[6], t.name, &now) || now <= seq {
			a.violate("%s hears %.100q after %d", a.tag, last, seq)
		}
		seq = now
		a.ledger.count("messages", 1)
	}
	a.hangUp()
}

func scan(message, name string, seq *int) bool {
	rest, ok := strings.CutPrefix(message, name+" ")
	n, err := fmt.Sscan(rest, seq)
	return ok && n == 1 && err == nil
}

// queue is a list that one client pushes to and another one pops from.
type queue struct {
	mu     sync.Mutex
	key    string
	pushed map[int]item
	next   int // not popped before
	doubts int // pops in doubt
}

type item struct {
	state string // "": in doubt or on its way
	at    time.Time
	gone  bool
}

func (a *actor) push() {
	q := a.queue
	q.mu.Lock()
	seq := len(q.pushed) + 1
	q.pushed[seq] = item{at: time.Now()}
	q.mu.Unlock()
	reply := a.ask(0, command("RPUSH", q.key, fmt.Sprintf("%s:%d", q.key, seq)))[0]
	q.mu.Lock()
	defer q.mu.Unlock()
	it := q.pushed[seq]
	switch {
	case inDoubt(reply):
	case refused(reply):
		if it.gone {
			a.violate("%s: %d was popped, but its push was refused", q.key, seq)
		}
		it.state = "refused"
	default:
		it.state, it.at = "acked", time.Now()
	}
	q.pushed[seq] = it
}

func (a *actor) pop() {
	q := a.queue
	reply := a.ask(time.Second, command("BLPOP", q.key, "1"))[0]
	q.mu.Lock()
	defer q.mu.Unlock()
	if inDoubt(reply) {
		q.doubts++
		return
	}
	parts := strings.Split(reply, "\r\n")
	if len(parts) < 5 { // nothing came, or an error
		if !refused(reply) && !strings.HasPrefix(reply, "*-1") && !strings.HasPrefix(reply, "_") {
			a.violate("%s: BLPOP is answered by %q", a.tag, reply)
		}
		return
	}
	seq := 0
	if _, err := fmt.Sscanf(parts[4], q.key+":%d", &seq); err != nil || parts[2] != q.key {
		a.violate("%s: BLPOP is answered by %q", a.tag, reply)
		return
	}
	q.popped(a, seq)
}

// popped checks an element. What was pushed before it and not popped is lost.
func (q *queue) popped(a *actor, seq int) {
	it := q.pushed[seq]
	switch {
	case it.state == "refused":
		a.violate("%s: %d is popped, but its push was refused", q.key, seq)
	case it.gone:
		a.onlyIfLost(it.at, 0, "%s: %d is popped twice", q.key, seq)
	}
	it.gone, it.at = true, time.Now()
	q.pushed[seq] = it
	for ; q.next < seq; q.next++ {
		if before := q.pushed[q.next]; before.state == "acked" && !before.gone {
			if q.doubts--; q.doubts < 0 {
				q.doubts = 0
				a.onlyIfLost(before.at, 1, "%s: %d is popped, %d was lost", q.key, seq, q.next)
			}
		}
	}
}
