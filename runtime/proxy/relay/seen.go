package relay

import (
	"math/rand/v2"
	"time"

	"rsm/runtime/proxy/command"
)

const (
	// sampleEvery is how many requests there are for one that is looked at.
	sampleEvery = 128
	// bigAnyway is the size of a reply that is noted though it is no sample.
	bigAnyway = 64 << 10
)

// seen is what a loop has noted about single requests. Everything in it has a
// fixed size, and noting allocates nothing. Only the loop touches it.
type seen struct {
	left     int // requests until the next sample
	dice     *rand.Rand
	slow     int64 // nanoseconds above which a request is slow; 0 for never
	slows    slowLog
	keys     topKeys
	big      bigReplies
	watches  []*Watch
	everyone bool // a watch wants all requests
}

func newSeen(slow time.Duration) seen {
	return seen{left: 1, slow: int64(slow), dice: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())), keys: newTopKeys()}
}

// due reports whether the next request is a sample. The distance between two is
// random, as a client may send the same again and again.
func (s *seen) due() bool {
	s.left--
	return s.left <= 0 && s.again()
}

func (s *seen) again() bool {
	s.left = 1
	if !s.everyone {
		s.left = 1 + s.dice.IntN(2*sampleEvery-1)
	}
	return true
}

// weight is how many requests a sample stands for.
func (s *seen) weight() uint64 {
	if s.everyone {
		return 1
	}
	return sampleEvery
}

// answered takes note of a run of equal requests that has all its replies. It is
// called before the bytes of the run are forgotten.
func (l *loop) answered(b *backend, e *entry) {
	if e.cmd == nil {
		return
	}
	took := l.ns - e.at
	l.latency(e.cmd).answered(e.done, took)
	slow := l.seen.slow > 0 && took > l.seen.slow && !mayTake(e.cmd)
	if slow || e.sampled || e.replied >= bigAnyway && e.done == 1 {
		l.look(b, e, took, slow)
	}
}

// mayTake reports whether a command is meant to take long.
func mayTake(cmd *command.Command) bool {
	switch cmd.Kind {
	case command.Blocking:
		return cmd.ID != 0
	case command.Stream, command.Subscribe, command.Unsubscribe, command.Wait:
		return true
	}
	return false
}

// glance is one request, or a run of them of which it is the first.
type glance struct {
	c        *client
	cmd      *command.Command
	at, took int64 // nanoseconds of the loop's clock
	requests int
	args     int    // of the first request, its name included; 0 when it is not known
	key      []byte // its first key, in place; nil without one
	size     int    // bytes of the requests
	replied  int    // bytes of the replies
	server   *server
}

// look notes a request where it belongs.
func (l *loop) look(b *backend, e *entry, took int64, slow bool) {
	g := glance{c: e.c, cmd: e.cmd, at: e.at, took: took, requests: e.done, size: e.size, replied: e.replied, server: b.server}
	if g.c == nil {
		return
	}
	if !e.streamed && b.done+e.size <= len(b.out) {
		raw := b.out[b.done : b.done+e.size]
		g.args = arguments(raw)
		g.key = firstKey(raw, e.cmd, g.args)
	}
	if slow {
		l.seen.slows.note(&g)
	}
	if g.key != nil && e.sampled {
		l.seen.keys.note(&g, l.seen.weight(), l.ns)
	}
	if g.requests == 1 {
		l.seen.big.note(&g, l.ns)
	}
	if e.sampled {
		l.show(&g)
	}
}

// keyLength is how much of a key is kept.
const keyLength = 128

// shortKey is a key, or how it begins, with its length and who sent it.
type shortKey struct {
	text [keyLength]byte
	size int
	db   int
}

func (k *shortKey) set(g *glance) {
	copy(k.text[:], g.key)
	k.size, k.db = len(g.key), g.c.ident.db
}

func (k *shortKey) String() string { return keyText(k.text[:min(k.size, keyLength)], k.size) }
