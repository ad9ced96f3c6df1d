package proxy_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"
)

// actor is one of the clients of a campaign. It knows every reply that it may get.
type actor struct {
	*rand.Rand
	*campaign
	id   int
	kind string
	tag  string
	c    *caller
	n    int
	slow bool // reads slowly

	count tally
	cells []*cell
	both  tally
	queue *queue
	group *group
}

// run acts until the campaign ends.
func (a *actor) run(step func(*actor)) {
	for ; !a.over(); a.n++ {
		if a.c != nil && a.IntN(100) == 0 {
			a.hangUp()
		}
		step(a)
		select {
		case <-a.ended:
		case <-time.After(time.Duration(20+a.IntN(80)) * time.Millisecond):
		}
	}
	a.hangUp()
}

func (a *actor) hangUp() {
	if a.c != nil {
		_ = a.c.Close()
		a.c = nil
	}
}

func (a *actor) connect() bool {
	if a.c != nil {
		return true
	}
	c, err := newCaller(a.addr)
	if err != nil {
		a.violate("%s: connect: %v", a.tag, err)
		return false
	}
	a.c = c
	if a.id%3 == 0 { // some talk RESP3
		if replies, err := c.ask(a.limit, command("HELLO", "3")); err != nil || !strings.HasPrefix(replies[0], "%") {
			a.failed("HELLO", replies, err)
			return false
		}
	}
	return true
}

// ask sends requests and returns as many replies; "" stands for one that did not
// come. It checks that errors are of the kinds that are allowed. more is how much
// longer the replies may take than the proxy holds.
func (a *actor) ask(more time.Duration, requests ...[]byte) []string {
	replies := make([]string, len(requests))
	if !a.connect() {
		return replies
	}
	began := time.Now()
	if a.slow {
		a.c.r = bufio.NewReaderSize(sluggish{a.c.Conn}, 32<<10)
	}
	got, err := a.c.ask(a.limit+more, requests...)
	a.took(a.kind, max(0, time.Since(began)-more))
	copy(replies, got)
	for i, reply := range got {
		if reply[0] == '-' {
			a.refusal(string(requests[i]), reply)
		}
	}
	if err != nil {
		a.failed(string(requests[len(got)]), got, err)
	}
	return replies
}

// failed judges the end of a connection: one that hangs is never right, and one
// that is cut had an error before, unless a reply was begun.
func (a *actor) failed(request string, got []string, err error) {
	last := ""
	if len(got) > 0 {
		last = got[len(got)-1]
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		a.violate("%s: %.60q hangs: %v", a.tag, request, err)
	case strings.HasPrefix(last, "-MASTERDOWN "), strings.HasPrefix(last, "-INDOUBT "):
		a.ledger.count("cut after an error", 1)
	case errors.Is(err, io.ErrUnexpectedEOF):
		a.ledger.count("cut in a reply", 1)
	default:
		a.violate("%s: %.60q is cut after %d replies, the last %.60q: %v", a.tag, request, len(got), last, err)
	}
	a.hangUp()
}

// refusal counts an error and checks that it is allowed.
func (a *actor) refusal(request, reply string) {
	word, _, _ := strings.Cut(reply[1:], " ")
	switch {
	case word == "INDOUBT", word == "MASTERDOWN":
	case word == "EXECABORT" && strings.HasPrefix(request, "*1\r\n$4\r\nEXEC"):
	case strings.HasPrefix(reply, "-ERR unknown command 'no:"+a.tag):
		return
	default:
		a.violate("%s: %.80q is answered by %.200q", a.tag, request, reply)
	}
	a.ledger.count(word, 1)
}

func inDoubt(reply string) bool { return reply == "" || strings.HasPrefix(reply, "-INDOUBT ") }
func refused(reply string) bool { return strings.HasPrefix(reply, "-") && !inDoubt(reply) }

// sluggish reads little at a time.
type sluggish struct{ r io.Reader }

func (s sluggish) Read(p []byte) (int, error) {
	time.Sleep(3 * time.Millisecond)
	return s.r.Read(p[:min(len(p), 32<<10)])
}

// incremented takes the answer to an INCR of the client's counter.
func (t *tally) incremented(reply string) {
	if inDoubt(reply) {
		t.open++
	} else if !refused(reply) {
		t.reply(reply, 1)
	}
}

func (a *actor) incr() { a.count.incremented(a.ask(0, command("INCR", a.count.key))[0]) }

// fresh is a value that was never used.
func (a *actor) fresh() string {
	a.n++
	return fmt.Sprintf("%s-%d-%d", a.tag, a.n, a.Uint32())
}

func (c *cell) set(value, reply string) {
	switch {
	case inDoubt(reply):
		c.doubt = append(c.doubt, value)
	case reply == stored:
		c.stored(value)
	case !refused(reply):
		c.l.violate("SET %s is answered by %.60q", c.key, reply)
	}
}

func (c *cell) got(reply string) {
	if value, ok := bulkText(reply); ok {
		c.read(value)
	} else if !inDoubt(reply) && !refused(reply) {
		c.l.violate("GET %s is answered by %.60q", c.key, reply)
	}
}

func (a *actor) cell() *cell { return a.cells[a.IntN(len(a.cells))] }

func (a *actor) setAndGet() {
	c, value := a.cell(), a.fresh()
	c.set(value, a.ask(0, command("SET", c.key, value))[0])
	c.got(a.ask(0, command("GET", c.key))[0])
}

// many sends a pipeline.
func (a *actor) many() {
	var requests [][]byte
	var checks []func(string)
	add := func(check func(string), args ...string) {
		requests, checks = append(requests, command(args...)), append(checks, check)
	}
	for range 3 + a.IntN(20) {
		c, value := a.cell(), a.fresh()
		switch a.IntN(5) {
		case 0:
			add(a.count.incremented, "INCR", a.count.key)
		case 1:
			add(func(reply string) { c.set(value, reply) }, "SET", c.key, value)
		case 2:
			add(c.got, "GET", c.key)
		case 3:
			add(func(reply string) {
				if reply != bulk(value) && !inDoubt(reply) && !refused(reply) {
					a.violate("%s: ECHO %s is answered by %.80q", a.tag, value, reply)
				}
			}, "ECHO", value)
		case 4:
			add(func(string) {}, "no:"+a.tag)
		}
	}
	// A read that was done again may see a later write of the pipeline that is in doubt.
	replies := a.ask(0, requests...)
	for _, doubts := range []bool{true, false} {
		for i, reply := range replies {
			if inDoubt(reply) == doubts {
				checks[i](reply)
			}
		}
	}
}

// slowest lists times by kind of client.
func slowest(times map[string]time.Duration) string {
	var list []string
	for kind, d := range times {
		list = append(list, fmt.Sprintf("%s %s", kind, d.Round(time.Millisecond)))
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}
