package proxy_test

import (
	"bytes"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"rsm/internal/redistest"
	"rsm/schema"
)

func durable(timeout time.Duration) schema.Listener {
	return schema.Listener{Name: "durable", Read: schema.ReadMaster, Durable: true, DurableTimeout: timeout}
}

// Whatever is sent is answered as without durability, in the same order.
func TestDurableWrites(t *testing.T) {
	t.Parallel()
	r := newReplicated(t, 3, nil, durable(5*time.Second))
	var all sync.WaitGroup
	for client := range 8 {
		all.Go(func() { durableStream(t, dial(t, r.at["durable"]), strconv.Itoa(client)) })
	}
	all.Wait()
	p := dial(t, r.at["durable"])
	big := strings.Repeat("x", 300<<10)
	p.want("+OK\r\n", "SET", "big", big)
	p.want(bulk(big), "GETDEL", "big")
	p.want("+OK\r\n", "SET", "big", big)
	p.send(join(command("GETSET", "big", "small"), pipeline("GETSET big smaller", "GET big", "SETEX big -1 x", "HELLO 3", "SELECT 2", "SET k v", "DBSIZE")))
	for i, want := range []string{bulk(big), bulk("small"), bulk("smaller"), "-ERR invalid expire", "%7\r\n", "+OK\r\n", "+OK\r\n", ":1\r\n"} {
		if got, err := p.reply(); err != nil || !strings.HasPrefix(string(got), want) {
			t.Errorf("reply %d is %.60q, %v; want %.60q", i, got, err, want)
		}
	}
	p = dial(t, r.at["durable"]) // who sends no more is still answered
	p.send(pipeline("SET k v", "GET k"))
	if err := p.conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if replies, err := p.rest(); err != nil || len(replies) != 2 || string(replies[1]) != bulk("v") {
		t.Errorf("the replies are %q, %v", replies, err)
	}
}

// durableStream sends pipelines of all that writes and that does not.
func durableStream(t *testing.T, p *peer, me string) {
	var requests []byte
	var want []string
	add := func(reply string, args ...string) {
		requests, want = join(requests, command(args...)), append(want, reply)
	}
	for i := range 50 {
		n := strconv.Itoa(i)
		add("+OK\r\n", "SET", "s"+me, n)
		add(bulk(n), "GET", "s"+me)
		add("+PONG\r\n", "PING")
		add(":"+strconv.Itoa(i+1)+"\r\n", "RPUSH", "l"+me, n)
		add("-WRONGTYPE Operation against a key holding the wrong kind of value\r\n", "RPUSH", "s"+me, n)
		add(bulk(n), "EVAL", "redis.call('SET', KEYS[1], ARGV[1]) return ARGV[1]", "1", "e"+me, n)
		if i%10 == 0 {
			add("+OK\r\n", "MULTI")
			add("+QUEUED\r\n", "INCR", "n"+me)
			add("+QUEUED\r\n", "GET", "s"+me)
			add("*2\r\n:"+strconv.Itoa(i/10+1)+"\r\n"+bulk(n), "EXEC")
			add(":1\r\n", "RPUSH", "q"+me, n)
			add("*2\r\n"+bulk("q"+me)+bulk(n), "BLPOP", "q"+me, "1")
		}
	}
	p.send(requests)
	for i, want := range want {
		if got, err := p.reply(); err != nil || string(got) != want {
			t.Errorf("client %s, reply %d is %q, %v; want %q", me, i, got, err, want)
			return
		}
	}
}

// What was acknowledged a replica has by then, and without durability it has not.
func TestDurableMeansReplicated(t *testing.T) {
	t.Parallel()
	r := newLate(t, 1, durable(5*time.Second))
	var all sync.WaitGroup
	for client := range 4 { // so that writes come while others wait
		p := dial(t, r.at["durable"])
		all.Go(func() { r.replicatedWrites(p, "k"+strconv.Itoa(client), time.Duration(client)*9*time.Millisecond) })
	}
	all.Wait()
	plain := dial(t, r.at["any"])
	for i := range 20 {
		plain.want("+OK\r\n", "SET", "other", strconv.Itoa(i))
		if r.Redis[1].Do("GET", "other") != strconv.Itoa(i) {
			return
		}
	}
	t.Error("the replica is never late: this test tells nothing")
}

// replicatedWrites looks at the replica after each write, and rests before the next.
func (r *replicated) replicatedWrites(p *peer, key string, rest time.Duration) {
	for i := range 24 {
		time.Sleep(rest)
		n := strconv.Itoa(i)
		requests, replies := command("SET", key, n), 1
		switch i % 3 {
		case 1:
			requests, replies = pipeline("MULTI", "SET "+key+" "+n, "EXEC"), 3
		case 2:
			requests = command("EVAL", "return redis.call('SET', KEYS[1], ARGV[1])", "1", key, n)
		}
		p.send(requests)
		for range replies {
			if got, err := p.reply(); err != nil || got[0] == '-' {
				r.t.Errorf("write %d is answered by %q, %v", i, got, err)
				return
			}
		}
		if got, err := r.Redis[1].TryDo("GET", key); got != n {
			r.t.Errorf("write %d of %s was acknowledged, and the replica has %v, %v", i, key, got, err)
		}
	}
}

func TestDurableWithoutReplicas(t *testing.T) {
	t.Parallel()
	const timeout = 400 * time.Millisecond
	r := newReplicated(t, 3, nil, durable(timeout))
	p, other := dial(t, r.at["durable"]), dial(t, r.at["durable"])
	p.want("+OK\r\n", "SET", "k", "0")
	other.want(bulk("0"), "GET", "k")
	for _, replica := range r.Redis[1:] {
		replica.Pause()
	}
	unconfirmed := "-UNCONFIRMED written on the master, but no replica has confirmed it within 400 ms\r\n"
	for i := range 3 { // the writes of one client at other times than those of others
		began := time.Now()
		p.send(pipeline("INCR k", "GET k", "INCR k", "LPUSH k x", "GET k", "MULTI", "INCR k", "EXEC", "ECHO end"))
		for reads := 0; reads < 10; reads++ {
			other.want("+PONG\r\n", "PING")
			if got := other.ask("GET", "k"); !strings.HasPrefix(got, "$") {
				t.Errorf("GET is answered by %q", got)
			}
		}
		if took := time.Since(began); took > 5*timeout {
			t.Errorf("reads of others took %v", took)
		}
		n := 3 * i
		for k, want := range []string{
			unconfirmed, bulk(strconv.Itoa(n + 1)), unconfirmed, "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
			bulk(strconv.Itoa(n + 2)), "+OK\r\n", "+QUEUED\r\n", unconfirmed, bulk("end"),
		} {
			if got, err := p.reply(); err != nil || string(got) != want {
				t.Errorf("reply %d is %q, %v; want %q", k, got, err, want)
			}
		}
		if took := time.Since(began); took < timeout || took > 3*timeout+5*time.Second {
			t.Errorf("the error came after %v", took)
		}
	}
	plain := dial(t, r.at["main"])
	began := time.Now()
	plain.want("+OK\r\n", "SET", "k", "v")
	if took := time.Since(began); took > 5*timeout {
		t.Errorf("a write that waits for nobody took %v", took)
	}
	p.send(command("SET", "k", "w"))
	redistest.Wait(t, patience, redistest.Want("k", any("w"), func() any { return r.Redis[0].Do("GET", "k") }))
	for _, replica := range r.Redis[1:] {
		replica.Resume()
	}
	if got, err := p.reply(); err != nil || string(got) != "+OK\r\n" && string(got) != unconfirmed {
		t.Errorf("the reply is %q, %v", got, err)
	}
	p.want("+OK\r\n", "SET", "k", "v")
}

// A write that only the master had is in doubt when that is gone.
func TestDurableMasterGoes(t *testing.T) {
	t.Parallel()
	r := newReplicated(t, 3, nil, durable(patience))
	p := dial(t, r.at["durable"])
	p.want("+OK\r\n", "SET", "k", "old")
	for _, replica := range r.Redis[1:] {
		replica.Pause()
	}
	p.send(pipeline("SET k new", "GET k"))
	redistest.Wait(t, patience, redistest.Want("k", any("new"), func() any { return r.Redis[0].Do("GET", "k") }))
	r.Redis[0].Kill()
	if got, err := p.reply(); err != nil || !strings.HasPrefix(string(got), "-INDOUBT written on the master, but") {
		t.Errorf("the write is answered by %q, %v", got, err)
	}
	for _, replica := range r.Redis[1:] {
		replica.Resume()
	}
	if got, err := p.reply(); err != nil || string(got) != bulk("new") && string(got) != bulk("old") {
		t.Errorf("the read is answered by %q, %v", got, err)
	}
	p.want("+OK\r\n", "SET", "k", "next")
}

// No write that was acknowledged is lost with a master that dies under load while
// its replicas are late.
func TestDurableThroughCrash(t *testing.T) {
	t.Parallel()
	r := newLate(t, 2, durable(5*time.Second))
	const clients = 20
	acknowledged := make([][]string, clients)
	stop := make(chan struct{})
	var all sync.WaitGroup
	var mu sync.Mutex
	for client := range clients {
		p := dial(t, r.at["durable"])
		all.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				keys := []string{fmt.Sprintf("c%d-%d", client, 2*i), fmt.Sprintf("c%d-%d", client, 2*i+1)}
				p.send(pipeline("SET "+keys[0]+" x", "SET "+keys[1]+" x"))
				for _, key := range keys {
					got, err := p.reply()
					if err != nil {
						t.Errorf("client %d: %v", client, err)
						return
					}
					if bytes.Equal(got, []byte("+OK\r\n")) {
						mu.Lock()
						acknowledged[client] = append(acknowledged[client], key)
						mu.Unlock()
					}
				}
			}
		})
	}
	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(slices.Concat(acknowledged...))
	}
	more := func(n int) {
		t.Helper()
		goal := count() + n
		redistest.Wait(t, patience, func() error {
			if have := count(); have < goal {
				return fmt.Errorf("%d writes were acknowledged, want %d", have, goal)
			}
			return nil
		})
	}
	more(500)
	r.cut()
	r.Redis[0].Kill()
	more(500)
	close(stop)
	all.Wait()
	p, lost := dial(t, r.at["durable"]), 0
	for _, key := range slices.Concat(acknowledged...) {
		if p.ask("GET", key) != bulk("x") {
			lost++
		}
	}
	if lost > 0 {
		t.Errorf("%d of %d acknowledged writes are lost", lost, count())
	}
}
