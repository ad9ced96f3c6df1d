package proxy_test

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"rsm/internal/redistest"
)

// turn is what happens before the replies of both sides are compared.
type turn struct {
	conn    int    // which connection sends
	request []byte // any bytes
	text    string // the same for people
	ends    ending
	// feeder is a connection that sends feed once the server has blocked conn.
	feeder int
	feed   []byte
}

// ending says how to know that all replies of a turn are there.
type ending int

const (
	byMarker ending = iota // a PING of its own comes last
	byCount                // the request has one reply: in an open MULTI, where PING has no text
	byClose                // the server closes
	byFeed                 // byMarker, after another connection was heard
)

// side is one way to a server.
type side struct {
	name   string
	addr   string
	server *redistest.Server
	conns  map[int]*peer
}

// lockstep sends the same to two servers of the same kind, to one directly and
// to the other through a proxy, turn by turn.
type lockstep struct {
	t       testing.TB
	sides   [2]*side
	socket  string // the path to the proxy
	turns   int
	history []string
}

func newLockstep(t testing.TB, direct, proxied *redistest.Server, through, socket string) *lockstep {
	return &lockstep{t: t, socket: socket, sides: [2]*side{
		{name: "directly", addr: direct.Addr(), server: direct, conns: map[int]*peer{}},
		{name: "by proxy", addr: through, server: proxied, conns: map[int]*peer{}},
	}}
}

// fresh closes the connections and empties the servers.
func (l *lockstep) fresh() {
	l.t.Helper()
	l.history = nil
	for _, s := range l.sides {
		for i := range s.conns {
			s.hangUp(i)
		}
		s.server.Do("FLUSHALL")
		s.server.Do("SCRIPT", "FLUSH")
		s.server.Do("FUNCTION", "FLUSH")
		s.server.Do("ACL", "DELUSER", "alice")
	}
}

// run plays a turn on both sides. It reports whether they did the same; the
// test has failed if they did not.
func (l *lockstep) run(x turn) bool {
	l.t.Helper()
	l.turns++
	l.history = append(l.history, fmt.Sprintf("%d> %s", x.conn, x.text))
	marker := fmt.Sprintf("mark-%d-%d", l.turns, x.conn)
	var replies [2][][]byte
	var errs [2]error
	for i, s := range l.sides {
		replies[i], errs[i] = s.play(l.t, x, marker)
	}
	for i, s := range l.sides {
		if errs[i] != nil {
			l.fail("%s: %v", s.name, errs[i])
			return false
		}
	}
	if x.ends == byClose { // the proxy's own connection ends a moment later
		redistest.Wait(l.t, patience, redistest.Want("subscriptions left", l.sides[0].subscriptions(), l.sides[1].subscriptions))
	}
	for i := range max(len(replies[0]), len(replies[1])) {
		direct, proxied := at(replies[0], i), at(replies[1], i)
		if direct != proxied {
			l.fail("reply %d of %d and %d:\n  directly %.600q\n  by proxy %.600q", i, len(replies[0]), len(replies[1]), direct, proxied)
			return false
		}
	}
	return true
}

// sameData compares the datasets.
func (l *lockstep) sameData() {
	l.t.Helper()
	if a, b := l.sides[0].server.Do("DEBUG", "DIGEST"), l.sides[1].server.Do("DEBUG", "DIGEST"); a != b {
		l.fail("the datasets differ: %v and %v", a, b)
	}
}

func (l *lockstep) fail(format string, args ...any) {
	l.t.Helper()
	last := l.history[max(0, len(l.history)-12):]
	l.t.Errorf("%s\nthe last turns:\n%s", fmt.Sprintf(format, args...), strings.Join(last, "\n"))
}

// subscriptions tells how many the server has, which PUBLISH answers with.
func (s *side) subscriptions() string {
	names := func(sub string) string {
		reply, _ := s.server.TryDo("PUBSUB", sub) // refused by both where a password is wanted
		all, _ := reply.([]any)
		var words []string
		for _, name := range all {
			if name != "__sentinel__:hello" { // only one of them has a Sentinel
				words = append(words, fmt.Sprint(name))
			}
		}
		slices.Sort(words)
		return strings.Join(words, " ")
	}
	patterns, _ := s.server.TryDo("PUBSUB", "NUMPAT")
	return fmt.Sprint(names("CHANNELS"), "|", names("SHARDCHANNELS"), "|", patterns)
}

func (s *side) play(t testing.TB, x turn, marker string) ([][]byte, error) {
	t.Helper()
	p := s.conn(t, x.conn)
	ping := command("PING", marker)
	switch x.ends {
	case byCount:
		p.send(x.request)
		raw, err := p.reply()
		return [][]byte{raw}, err
	case byClose:
		p.send(x.request)
		defer s.hangUp(x.conn)
		return p.rest()
	case byFeed:
		p.send(join(x.request, ping))
		redistest.Wait(t, patience, redistest.Want("blocked clients of "+s.server.Addr(), "1",
			func() string { return s.server.Info("blocked_clients") }))
		feeder := s.conn(t, x.feeder)
		feeder.send(join(x.feed, command("PING", "fed"+marker)))
		first, err := feeder.until("fed" + marker)
		if err != nil {
			return first, err
		}
		second, err := p.until(marker)
		return append(first, second...), err
	}
	p.send(join(x.request, ping))
	return p.until(marker)
}

func (s *side) conn(t testing.TB, i int) *peer {
	t.Helper()
	if s.conns[i] == nil {
		s.conns[i] = dial(t, s.addr)
	}
	return s.conns[i]
}

func (s *side) hangUp(i int) {
	_ = s.conns[i].conn.Close()
	delete(s.conns, i)
}

// helloID is the one thing in the compared replies that is another on every
// connection: HELLO tells the client's id.
var helloID = regexp.MustCompile(`(\$2\r\nid\r\n:)\d+`)

// at is a reply as it is compared, "" if there are fewer.
func at(replies [][]byte, i int) string {
	if i >= len(replies) {
		return ""
	}
	if bytes.Contains(replies[i], []byte("$6\r\nserver\r\n$5\r\nredis\r\n")) {
		return helloID.ReplaceAllString(string(replies[i]), "${1}N")
	}
	return string(replies[i])
}

func join(a, b []byte) []byte { return append(append([]byte(nil), a...), b...) }
