package proxy_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestEveryReplyHasItsOwner runs 50 clients at once. Everything that one of them
// sends bears its own tag, so a reply that went to another one is noticed.
func TestEveryReplyHasItsOwner(t *testing.T) {
	t.Parallel()
	l := newPair(t)
	first := *seed
	if first == 0 {
		first = uint64(time.Now().UnixNano())
	}
	defer func() {
		if t.Failed() {
			t.Logf("try -seed %d", first)
		}
	}()
	var work sync.WaitGroup
	for i := range 50 {
		work.Go(func() {
			o := newOwner(t, l.sides[1].addr, i, first)
			for n := range 60 {
				if !o.round(n) {
					return
				}
			}
		})
	}
	work.Wait()
}

// owner is a client that knows the only right reply to everything it sends.
type owner struct {
	*rand.Rand
	t     testing.TB
	p     *peer
	tag   string
	resp3 bool
	count int
	value string // of its key
	sent  []byte
	want  []byte
}

func newOwner(t testing.TB, addr string, i int, seed uint64) *owner {
	o := &owner{Rand: rand.New(rand.NewPCG(seed, uint64(i))), t: t, p: dial(t, addr), tag: fmt.Sprintf("owner%02d", i), resp3: i%2 == 1}
	o.value = o.tag
	if o.resp3 {
		o.p.ask("HELLO", "3")
	}
	o.add("+OK\r\n", "SELECT", fmt.Sprint(i%4))
	o.add("+OK\r\n", "SET", o.tag, o.value)
	return o
}

// round sends a pipeline, in one or two pieces, and compares all replies.
func (o *owner) round(n int) bool {
	for range 1 + o.IntN(20) {
		o.any(fmt.Sprintf("%s-%d-%d", o.tag, n, o.Uint32()))
	}
	cut := len(o.sent)
	if o.IntN(2) == 0 {
		cut = o.IntN(len(o.sent))
	}
	o.p.send(o.sent[:cut], o.sent[cut:])
	var got []byte
	var err error
	for len(got) < len(o.want) && err == nil {
		var raw []byte
		raw, err = o.p.reply()
		got = append(got, raw...)
		if !bytes.HasPrefix(o.want, got) {
			break
		}
	}
	if !bytes.Equal(got, o.want) {
		at := 0
		for at < min(len(got), len(o.want)) && got[at] == o.want[at] {
			at++
		}
		from := max(0, at-80)
		o.t.Errorf("%s, round %d: %v\nafter %d equal bytes: %.200q\nwant: %.200q\nsent: %.900q", o.tag, n, err, at, got[from:], o.want[from:], o.sent)
		return false
	}
	o.sent, o.want = nil, nil
	return true
}

func (o *owner) add(want string, args ...string) {
	o.sent = append(o.sent, command(args...)...)
	o.want = append(o.want, want...)
}

// any adds one command or some that belong together. The tag is new each time.
func (o *owner) any(tag string) {
	switch o.IntN(16) {
	case 0, 1, 2:
		o.add(bulk(o.value), "GET", o.tag)
	case 3, 4:
		o.value = tag
		o.add("+OK\r\n", "SET", o.tag, tag)
	case 5:
		o.count++
		o.add(fmt.Sprintf(":%d\r\n", o.count), "INCR", "count:"+o.tag)
	case 6:
		o.add(bulk(tag), "ECHO", tag)
	case 7:
		o.add(fmt.Sprintf("-ERR unknown command 'no:%s', with args beginning with: \r\n", tag), "no:"+tag)
	case 8:
		o.add(":1\r\n", "RPUSH", "list:"+o.tag, tag)
		o.add("*2\r\n"+bulk("list:"+o.tag)+bulk(tag), "BLPOP", "list:"+o.tag, "5")
	case 9:
		o.transaction(tag)
	case 10:
		o.add(bulk(tag), "EVAL", "return ARGV[1]", "0", tag)
	case 11:
		o.add("+OK\r\n", "CLIENT", "SETNAME", tag)
		o.add(bulk(tag), "CLIENT", "GETNAME")
	case 12:
		o.subscription(tag)
	case 13:
		long := strings.Repeat(tag, 1+o.IntN(2000))
		o.add(bulk(long), "ECHO", long)
	case 14:
		o.value = tag
		o.add("+OK\r\n", "MSET", o.tag, tag, "other:"+o.tag, tag)
		o.add("*2\r\n"+bulk(tag)+bulk(tag), "MGET", o.tag, "other:"+o.tag)
	case 15:
		o.add(map[bool]string{false: "$-1\r\n", true: "_\r\n"}[o.resp3], "GET", "none:"+tag)
	}
}

func (o *owner) transaction(tag string) {
	if o.IntN(2) == 0 {
		o.add("+OK\r\n", "WATCH", o.tag)
	}
	o.add("+OK\r\n", "MULTI")
	o.add("+QUEUED\r\n", "GET", o.tag)
	o.add("+QUEUED\r\n", "ECHO", tag)
	if o.IntN(4) == 0 {
		o.add("+OK\r\n", "DISCARD")
		return
	}
	o.add("*2\r\n"+bulk(o.value)+bulk(tag), "EXEC")
}

// subscription hears what it publishes itself, which RESP2 does not allow on one
// connection.
func (o *owner) subscription(tag string) {
	kind := "*3\r\n"
	if o.resp3 {
		kind = ">3\r\n"
	}
	o.add(kind+bulk("subscribe")+bulk(tag)+":1\r\n", "SUBSCRIBE", tag)
	if o.resp3 {
		o.add(kind+bulk("message")+bulk(tag)+bulk("to "+tag)+":1\r\n", "PUBLISH", tag, "to "+tag)
		o.add(bulk(o.value), "GET", o.tag)
	} else {
		o.add("*2\r\n"+bulk("pong")+bulk(tag), "PING", tag)
	}
	o.add(kind+bulk("unsubscribe")+bulk(tag)+":0\r\n", "UNSUBSCRIBE", tag)
}
