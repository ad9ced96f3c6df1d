package relay

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"rsm/runtime/proxy/follow"
)

// The fast path allocates nothing: not for a request, not for its reply.
func TestFastPathAllocatesNothing(t *testing.T) {
	b := newBench(t)
	c, x := b.client(), b.backend(addrA)
	b.sends(c, "GET warm", "SET warm 1")
	b.replies(x, "$-1\r\n+OK\r\n")
	request := append(words("SET", "key", strings.Repeat("x", 64)), words("GET", "key")...)
	reply := []byte("+OK\r\n$64\r\n" + strings.Repeat("x", 64) + "\r\n")
	client, server := c.wire.(*memory), x.wire.(*memory)
	answered := c.requests
	allocations := testing.AllocsPerRun(2000, func() {
		b.ns += 1000
		client.in, client.out = request, client.out[:0]
		c.readable(b.loop)
		b.flushBackends()
		server.in, server.out = reply, server.out[:0]
		x.readable(b.loop)
		b.proceed()
		b.flushClients()
	})
	if allocations != 0 {
		t.Errorf("%v allocations for two requests", allocations)
	}
	if c.requests-answered < 4000 || c.outstanding != 0 || string(client.out) != string(reply) {
		t.Errorf("%d requests, %d outstanding, replied %q", c.requests-answered, c.outstanding, client.out)
	}
}

// Requests that were not sent and reads wait for the next master; a write that
// was sent is in doubt. Each reply is in its turn.
func TestBrokenBackend(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c, x := b.client(), b.backend(addrA)
	b.sends(c, "GET a", "SET a 1", "GET b")
	b.want("sent", names(got(x.wire)), "GET a; SET a 1; GET b")
	b.target = &follow.Target{Why: "it is gone"}
	b.loop.follow()
	b.settleAll()
	b.want("while there is no master", got(c.wire), "")
	y := b.backend(addrB)
	b.lead(addrB)
	b.want("again on the next master", names(got(y.wire)), "GET a")
	b.replies(y, "$1\r\n1\r\n")
	b.want("after the first reply", got(c.wire), "$1\r\n1\r\n"+doubtText+"\r\n")
	b.want("the last one again", names(got(y.wire)), "GET b")
	b.replies(y, "$1\r\n2\r\n")
	b.want("at the end", got(c.wire), "$1\r\n2\r\n")
	if c.outstanding != 0 || c.closing {
		t.Errorf("the client has %d outstanding, closing %v", c.outstanding, c.closing)
	}
}

// A master that was made a replica refuses paused writes: none of them was
// executed, and all of them go to the next one, in order.
func TestRefusedByFormerMaster(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c, x := b.client(), b.backend(addrA)
	b.sends(c, "INCR n", "GET n", "INCR n")
	got(x.wire)
	y := b.backend(addrB)
	b.lead(addrB) // x may still answer
	b.replies(x, "-READONLY You can't write against a read only replica.\r\n$1\r\n0\r\n-READONLY You can't write against a read only replica.\r\n")
	b.want("replied", got(c.wire), "")
	b.want("again", names(got(y.wire)), "INCR n; GET n; INCR n")
	b.replies(y, ":1\r\n$1\r\n1\r\n:2\r\n")
	b.want("replied at last", got(c.wire), ":1\r\n$1\r\n1\r\n:2\r\n")
}

// W6: a deposed master says +OK to a write that nobody else has.
func TestW6FormerMasterAcknowledges(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c, x := b.client(), b.backend(addrA)
	b.sends(c, "SET a 1", "GET a")
	b.backend(addrB)
	b.lead(addrB)
	b.replies(x, "+OK\r\n$1\r\n1\r\n")
	b.want("replied", got(c.wire), doubtText+"\r\n$1\r\n1\r\n")
}

// The fence: a master that has not proved to be one in time acknowledges nothing.
func TestFence(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c, x := b.client(), b.backend(addrA)
	b.sends(c, "SET a 1")
	b.now = b.now.Add(4 * time.Second)
	b.loop.follow()
	b.settleAll()
	b.want("replied", got(c.wire), doubtText+"\r\n")
	if !x.wire.(*memory).closed {
		t.Error("the connection to the master is still open")
	}
	b.sends(c, "SET a 2")
	b.want("replied without a master", got(c.wire), "")
	b.ns += int64(11 * time.Second)
	b.release()
	b.settleAll()
	if reply := got(c.wire); !strings.HasPrefix(reply, "-MASTERDOWN ") {
		t.Errorf("after the hold it got %q", reply)
	}
}

// A transaction that was not executed begins anew on the next master, and the
// client does not notice.
func TestTransactionMoves(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c, x := b.client(), b.backend(addrA)
	b.sends(c, "MULTI", "INCR n")
	b.replies(x, "+OK\r\n+QUEUED\r\n")
	b.want("replied", got(c.wire), "+OK\r\n+QUEUED\r\n")
	y := b.backend(addrB)
	b.lead(addrB)
	b.want("again", names(got(y.wire)), "MULTI; INCR n")
	b.replies(y, "+OK\r\n+QUEUED\r\n")
	b.want("replied twice", got(c.wire), "")
	b.sends(c, "EXEC")
	b.replies(y, "*1\r\n:1\r\n")
	b.want("executed", got(c.wire), "*1\r\n:1\r\n")
}

// A transaction that a former master refuses begins anew, too, wherever it is.
func TestRefusedTransactionMoves(t *testing.T) {
	t.Parallel()
	const refusal = "READONLY You can't write against a read only replica.\r\n"
	for name, replies := range map[string]string{
		"queued":   "+OK\r\n-" + refusal + "-" + refusal + "-EXECABORT Transaction discarded because of previous errors.\r\n",
		"executed": "+OK\r\n+QUEUED\r\n+QUEUED\r\n-EXECABORT Transaction discarded because of: " + refusal,
	} {
		b := newBench(t)
		c, x := b.client(), b.backend(addrA)
		b.sends(c, "MULTI", "INCR n", "INCR n", "EXEC", "GET n")
		y := b.backend(addrB)
		b.lead(addrB)
		b.replies(x, replies)
		b.want(name+": again", names(got(y.wire)), "MULTI; INCR n; INCR n; EXEC")
		b.replies(y, "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:1\r\n:2\r\n")
		b.want(name+": sent later", names(got(y.wire)), "GET n")
		b.replies(y, "$1\r\n2\r\n")
		b.want(name+": replied", got(c.wire), "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:1\r\n:2\r\n$1\r\n2\r\n")
	}
}

// A transaction may move more than once, and stop on the way. What the client has
// a reply for it never gets again.
func TestTransactionMovesAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c, x := b.client(), b.backend(addrA)
	b.sends(c, "MULTI", "INCR n")
	b.replies(x, "+OK\r\n+QUEUED\r\n")
	got(c.wire)
	for _, answered := range []string{"", "+OK\r\n", "+OK\r\n-READONLY You can't write against a read only replica.\r\n"} {
		last := b.backend(addrA)
		b.broken(x, errSilent)
		b.settleAll()
		b.want("again", names(got(last.wire)), "MULTI; INCR n")
		b.replies(last, answered)
		x = last
	}
	y := b.backend(addrB)
	b.lead(addrB)
	b.want("on the next master", names(got(y.wire)), "MULTI; INCR n")
	b.sends(c, "INCR m", "EXEC")
	b.broken(y, errSilent)
	b.settleAll()
	b.want("replied", got(c.wire), "+QUEUED\r\n"+doubtText+"\r\n")
}

// The replies to the greeting of a new connection are not those of a transaction,
// and before it is answered nothing of the transaction was sent.
func TestTransactionMovesBeforeTheGreeting(t *testing.T) {
	t.Parallel()
	const greeting, answer = "RESET; HELLO 3; CLIENT ID", "+RESET\r\n+OK\r\n:7\r\n"
	b := newBench(t)
	c, x := b.client(), b.backend(addrA)
	c.ident = b.identity(identity{proto: 3})
	b.sends(c, "MULTI")
	b.replies(x, answer)
	b.replies(x, "+OK\r\n")
	b.want("replied", got(c.wire), "+OK\r\n")
	for _, request := range []string{"INCR n", "EXEC", ""} {
		next := b.backend(addrA)
		b.broken(x, errSilent)
		b.ns += int64(time.Second)
		b.release()
		b.settleAll()
		b.want("first", names(got(next.wire)), greeting)
		if request != "" {
			b.sends(c, request)
		}
		x = next
	}
	b.replies(x, answer)
	b.want("again", names(got(x.wire)), "MULTI; INCR n; EXEC")
	b.replies(x, "+OK\r\n+QUEUED\r\n*1\r\n:1\r\n")
	b.want("replied at last", got(c.wire), "+QUEUED\r\n*1\r\n:1\r\n")
}

// A transaction of which a part was refused is not executed, whether or not it is
// on its server still.
func TestTransactionRefusedInPart(t *testing.T) {
	t.Parallel()
	for _, gone := range []bool{false, true} {
		b := newBench(t)
		c, x := b.client(), b.backend(addrA)
		b.sends(c, "MULTI", "INCR n")
		b.replies(x, "+OK\r\n+QUEUED\r\n")
		got(c.wire)
		got(x.wire)
		b.target = &follow.Target{Master: addrA, Hold: true, Proof: b.now}
		if gone {
			b.target = &follow.Target{Why: "it is gone"}
		}
		b.loop.follow()
		b.settleAll()
		b.sends(c, "INCR m")
		b.ns += int64(11 * time.Second)
		b.release()
		b.settleAll()
		if reply := got(c.wire); !strings.HasPrefix(reply, "-MASTERDOWN ") {
			t.Errorf("after the hold it got %q", reply)
		}
		y := b.backend(addrB)
		b.lead(addrB)
		b.sends(c, "INCR k")
		b.want("replied", got(c.wire), lostText+"\r\n")
		b.sends(c, "EXEC")
		if reply := got(c.wire); !strings.HasPrefix(reply, "-EXECABORT ") {
			t.Errorf("EXEC is answered by %q", reply)
		}
		b.sends(c, "GET n")
		b.want("sent", names(got(y.wire)), "GET n")
		if sent := names(got(x.wire)); strings.Contains(sent, "EXEC") {
			t.Errorf("the first master was sent %s", sent)
		}
	}
}

// A long request is passed on in pieces, and kept until it is answered: a former
// master may refuse it. One that is very long is not.
func TestLongRequestRefused(t *testing.T) {
	t.Parallel()
	const refusal = "-READONLY You can't write against a read only replica.\r\n"
	for size, again := range map[int]bool{300 << 10: true, 2 << 20: false} {
		b := newBench(t)
		c, x := b.client(), b.backend(addrA)
		value := strings.Repeat("x", size)
		b.sends(c, "SET k "+value, "GET k")
		for len(c.wire.(*memory).in) > 0 {
			c.readable(b.loop)
			b.settleAll()
		}
		if sent := names(got(x.wire)); sent != "SET k "+value+"; GET k" {
			t.Errorf("%d bytes were sent as %d: %.20q", size, len(sent), sent)
		}
		y := b.backend(addrB)
		b.lead(addrB)
		b.replies(x, refusal+"$1\r\n1\r\n")
		if again {
			if sent := names(got(y.wire)); sent != "SET k "+value+"; GET k" {
				t.Errorf("%d bytes were sent again as %d: %.20q", size, len(sent), sent)
			}
			b.want("replied", got(c.wire), "")
			b.replies(y, "+OK\r\n$1\r\n2\r\n")
			b.want("replied", got(c.wire), "+OK\r\n$1\r\n2\r\n")
		} else {
			b.want("replied", got(c.wire), refusal+"$1\r\n1\r\n")
		}
	}
}

// What the master never had as a whole was not executed.
func TestLongRequestCut(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c, x := b.client(), b.backend(addrA)
	whole := words("SET", "k", strings.Repeat("x", 300<<10))
	c.wire.(*memory).in = whole[:200<<10]
	for len(c.wire.(*memory).in) > 0 {
		c.readable(b.loop)
		b.settleAll()
	}
	y := b.backend(addrA)
	b.broken(x, errSilent)
	b.settleAll()
	if reply := got(c.wire); !strings.HasPrefix(reply, "-MASTERDOWN ") {
		t.Errorf("half a request is answered by %q", reply)
	}
	c.wire.(*memory).in = append(whole[200<<10:], words("GET", "k")...)
	for len(c.wire.(*memory).in) > 0 {
		c.readable(b.loop)
		b.settleAll()
	}
	b.want("sent", names(got(y.wire)), "GET k")
}

// Who waits in a blocking command is taken to the next master at once: the former
// one may stay a master for a while.
func TestBlockedMoves(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	other, x := b.client(), b.backend(addrA)
	b.sends(other, "GET a")
	c, pin := b.client(), b.backend(addrA)
	pin.realID = "7"
	b.sends(c, "BLPOP l 0")
	got(x.wire)
	b.want("sent", names(got(pin.wire)), "BLPOP l 0")
	y := b.backend(addrB)
	b.lead(addrB)
	b.want("asked for", names(got(x.wire)), "CLIENT UNBLOCK 7 ERROR")
	b.replies(pin, "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n")
	b.want("again", names(got(y.wire)), "BLPOP l 0")
	b.want("replied", got(c.wire), "")
}

// A client that waits for replies, to use a backend of its own then, goes on when
// the requests before are done again.
func TestBrokenBeforeOwnBackend(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c, x := b.client(), b.backend(addrA)
	b.sends(c, "GET a", "BLPOP l 0")
	b.want("sent", names(got(x.wire)), "GET a")
	y, own := b.backend(addrA), b.backend(addrA)
	b.broken(x, errSilent)
	b.settleAll()
	b.want("again", names(got(y.wire)), "GET a")
	b.replies(y, "$1\r\n1\r\n")
	b.want("then", names(got(own.wire)), "BLPOP l 0")
	b.replies(own, "*-1\r\n")
	b.want("replied", got(c.wire), "$1\r\n1\r\n*-1\r\n")
}

// What waits on its own backend before a transaction is refused by itself, and
// their replies keep their order.
func TestRefusedBeforeTransaction(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c, x := b.client(), b.backend(addrA)
	b.sends(c, "BLPOP l 0", "MULTI", "INCR n", "EXEC")
	y := b.backend(addrB)
	b.lead(addrB)
	b.replies(x, "-UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)\r\n")
	b.want("again", names(got(y.wire)), "BLPOP l 0")
	b.replies(y, "*2\r\n$1\r\nl\r\n$1\r\n1\r\n")
	b.want("then", names(got(y.wire)), "MULTI; INCR n; EXEC")
	b.replies(y, "+OK\r\n+QUEUED\r\n*1\r\n:1\r\n")
	b.want("replied", got(c.wire), "*2\r\n$1\r\nl\r\n$1\r\n1\r\n+OK\r\n+QUEUED\r\n*1\r\n:1\r\n")
}

// A watch does not move: its transaction fails as if the key had changed.
func TestWatchDoesNotMove(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c, x := b.client(), b.backend(addrA)
	b.sends(c, "WATCH k")
	b.replies(x, "+OK\r\n")
	got(c.wire)
	y := b.backend(addrB)
	b.lead(addrB)
	b.sends(c, "MULTI", "INCR n")
	b.replies(y, "+OK\r\n+QUEUED\r\n")
	got(c.wire)
	got(y.wire)
	b.sends(c, "EXEC")
	b.want("executed", got(c.wire), "*-1\r\n")
	b.want("sent", names(got(y.wire)), "RESET")
}

// EXEC that was sent and not answered is in doubt, and is not sent again.
func TestTransactionInDoubt(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c, x := b.client(), b.backend(addrA)
	b.sends(c, "MULTI", "INCR n", "INCR n", "EXEC")
	b.want("sent", names(got(x.wire)), "MULTI; INCR n; INCR n; EXEC")
	b.broken(x, errSilent)
	y := b.backend(addrA)
	b.settleAll()
	b.want("replied", got(c.wire), "+OK\r\n+QUEUED\r\n+QUEUED\r\n"+doubtText+"\r\n")
	b.want("sent again", names(got(y.wire)), "")
	b.sends(c, "GET n")
	b.want("sent later", names(got(y.wire)), "GET n")
}

// A reply of which a part is out cannot be given again: the client is closed.
func TestHalfReply(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c, x := b.client(), b.backend(addrA)
	b.sends(c, "GET a")
	b.replies(x, "$10\r\nabc")
	b.broken(x, errSilent)
	b.settleAll()
	if !c.gone {
		t.Error("the client is still there")
	}
}

// Bytes that nobody asked for end the connection: they must not reach the next
// client.
func TestDesync(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c, x := b.client(), b.backend(addrA)
	b.sends(c, "GET a")
	b.replies(x, "$1\r\n1\r\n$1\r\n2\r\n")
	b.want("replied", got(c.wire), "$1\r\n1\r\n")
	if !x.wire.(*memory).closed {
		t.Error("the backend is still open")
	}
}

// BenchmarkLoop is what one request costs a loop besides the kernel.
func BenchmarkLoop(b *testing.B) {
	for _, depth := range []int{1, 64} {
		b.Run(map[int]string{1: "P1", 64: "P64"}[depth], func(b *testing.B) {
			loop := newBench(b)
			c, x := loop.client(), loop.backend(addrA)
			request := bytes.Repeat(words("SET", "key:000000000001", strings.Repeat("x", 64)), depth)
			reply := bytes.Repeat([]byte("+OK\r\n"), depth)
			client, server := c.wire.(*memory), x.wire.(*memory)
			for b.Loop() {
				loop.ns += 1000
				client.in, client.out = request, client.out[:0]
				c.readable(loop.loop)
				loop.flushBackends()
				server.in, server.out = reply, server.out[:0]
				x.readable(loop.loop)
				loop.proceed()
				loop.flushClients()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*depth), "ns/request")
		})
	}
}
