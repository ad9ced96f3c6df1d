package relay

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"rsm/internal/frame"
	"rsm/runtime/proxy/command"
	"rsm/schema"
)

func tableOf(names ...string) *command.Table {
	var reply []any
	for _, name := range names {
		reply = append(reply, []any{name, int64(-1), []any{"readonly"}, int64(1), int64(1), int64(1)})
	}
	t, err := command.Parse(reply)
	if err != nil {
		panic(err)
	}
	return t
}

func words(args ...string) []byte {
	var list [][]byte
	for _, arg := range args {
		list = append(list, []byte(arg))
	}
	return frame.Append(nil, list...)
}

func TestArgument(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1234)
	raw := words("SET", "key", "", long)
	for i, want := range []string{"SET", "key", "", long} {
		if got := argument(raw, i); string(got) != want {
			t.Errorf("argument %d is %.20q", i, got)
		}
	}
	if argument(raw, 4) != nil || arguments(raw) != 4 {
		t.Error("there is a fifth argument")
	}
	for i := range raw { // cut anywhere, it must not look beyond
		cut := raw[:i:i]
		for n := range 5 {
			if got := argument(cut, n); got != nil && n == 3 {
				t.Errorf("an argument that is cut at %d: %.20q", i, got)
			}
		}
	}
	table := tableOf("get", "ping")
	eval := &command.Command{Name: "eval"}
	for _, x := range []struct {
		cmd  *command.Command
		want string
		args []string
	}{
		{table.Lookup([]byte("get")), "k", []string{"get", "k"}},
		{table.Lookup([]byte("get")), "", []string{"get"}},
		{table.Lookup([]byte("nosuch")), "", []string{"nosuch", "k"}},
		{eval, "k", []string{"eval", "return 1", "1", "k"}},
		{eval, "", []string{"eval", "return 1", "0", "value"}},
		{eval, "", []string{"eval", "return 1", "value", "value"}},
	} {
		raw := words(x.args...)
		if got := firstKey(raw, x.cmd, arguments(raw)); string(got) != x.want {
			t.Errorf("first key of %q is %q", x.args, got)
		}
	}
}

func TestKeyText(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		key  string
		size int
		want string
	}{
		{"plain:1", 7, "plain:1"}, {"Grüße", 7, "Grüße"}, {"a\x00b", 3, `"a\x00b"`}, {"\xff", 1, `"\xff"`},
		{"long", 400, "long… (400 bytes)"}, {"Gr\xc3", 400, "Gr… (400 bytes)"}, {"a\nb", 9, `"a\nb"… (9 bytes)`}, {"", 0, ""},
	} {
		if got := keyText([]byte(x.key), x.size); got != x.want {
			t.Errorf("%q of %d bytes is shown as %s, want %s", x.key, x.size, got, x.want)
		}
	}
}

// A new table has other IDs; what was counted stays with the names.
func TestCarry(t *testing.T) {
	t.Parallel()
	before, after := tableOf("get", "set"), tableOf("append", "get", "zadd")
	s := stats{}
	s.carry(before, before)
	s.commands[before.Lookup([]byte("get")).ID].answered(3, 5000)
	s.commands[before.Lookup([]byte("set")).ID].answered(4, 5000)
	s.commands[0].answered(5, 5000)
	s.carry(before, after)
	l := &loop{table: after, stats: s}
	for name, want := range map[string]uint64{"get": 3, "append": 0, "zadd": 0, "nosuch": 9} { // SET is unknown now
		if got := s.commands[after.Lookup([]byte(name)).ID].Count; got != want {
			t.Errorf("%s has %d answers, want %d", name, got, want)
		}
	}
	if got := l.latency(before.Lookup([]byte("get"))); got != &s.commands[after.Lookup([]byte("get")).ID] {
		t.Error("an answer to a command of the old table is counted elsewhere")
	}
}

func TestLatency(t *testing.T) {
	t.Parallel()
	var l Latency
	if l.Quantile(0.5) != 0 {
		t.Error("a median of nothing")
	}
	l.answered(98, int64(100*time.Microsecond))
	l.answered(1, int64(30*time.Millisecond))
	l.answered(1, int64(time.Hour))
	if got := l.Quantile(0.5); got < 64*time.Microsecond || got > 128*time.Microsecond {
		t.Errorf("median %s", got)
	}
	if got := l.Quantile(0.99); got < 16*time.Millisecond || got > 33*time.Millisecond {
		t.Errorf("p99 %s", got)
	}
	if got := l.Quantile(1); got < 4*time.Second || got > 9*time.Second {
		t.Errorf("the slowest %s", got)
	}
	if l.Counts[Buckets-1] != 1 || Bound(Buckets-1) != 0 || Bound(7) != 128*time.Microsecond || l.Count != 100 {
		t.Errorf("%+v", l)
	}
}

// The sketch has every key that is frequent enough, and errs by no more than it says.
func TestTopKeys(t *testing.T) {
	t.Parallel()
	dice := rand.New(rand.NewPCG(7, 7))
	top, truth, c := newTopKeys(), map[string]uint64{}, &client{ident: &identity{}}
	const n = 50_000
	for range n {
		key := fmt.Sprint("cold", dice.IntN(20_000))
		if i := dice.IntN(100); i < 12 {
			key = fmt.Sprint("hot", i%4)
		}
		truth[key]++
		top.note(&glance{c: c, key: []byte(key)}, 1, 1)
	}
	seen := map[string]bool{}
	for _, k := range top.list() {
		seen[k.Key] = true
		if k.Requests < truth[k.Key] || k.Requests-k.Over > truth[k.Key] {
			t.Errorf("%+v, and in truth %d", k, truth[k.Key])
		}
	}
	for key, count := range truth {
		if count > n/topSize && !seen[key] {
			t.Errorf("%s is missing with %d of %d requests", key, count, n)
		}
	}
	top.age(1 + 60e9)
	if top.total != n/2 {
		t.Errorf("after a minute %d count", top.total)
	}
	if top.age(1 << 62); top.total != 0 || len(top.list()) != 0 {
		t.Errorf("after years %d count", top.total)
	}
}

func TestBigRepliesKeepTheBiggest(t *testing.T) {
	t.Parallel()
	var big bigReplies
	l := &loop{start: time.Now(), ns: 1}
	c, s, cmd := &client{ident: &identity{}}, &server{addr: "a:1"}, &command.Command{Name: "get"}
	for i := range 1000 {
		big.note(&glance{c: c, cmd: cmd, server: s, key: fmt.Appendf(nil, "k%d", i), replied: i * 100}, 1)
	}
	list := big.list(l)
	if len(list) != bigSize {
		t.Fatalf("%d are remembered", len(list))
	}
	for _, r := range list {
		if r.Bytes < (1000-bigSize)*100 || r.Key != fmt.Sprint("k", r.Bytes/100) {
			t.Errorf("%+v is none of the biggest", r)
		}
	}
	big.note(&glance{c: c, cmd: cmd, server: s, key: []byte("late"), replied: bigLeast}, 2*bigTime)
	l.ns = 2 * bigTime
	if list := big.list(l); len(list) != 1 || list[0].Key != "late" {
		t.Errorf("after hours: %+v", list)
	}
}

// Who does not read loses lines and holds up nobody.
func TestWatchDrops(t *testing.T) {
	t.Parallel()
	l := &loop{start: time.Now(), seen: newSeen(0)}
	ch := make(chan Access, 2)
	w := &Watch{C: ch, c: ch, all: true}
	g := glance{c: &client{ident: &identity{}, listener: &Listener{}}, cmd: &command.Command{}, server: &server{}}
	l.show(&g)
	l.seen.watch([]*Watch{w})
	for range 5 {
		if !l.seen.due() {
			t.Fatal("a request is not shown to who wants all")
		}
		l.show(&g)
	}
	if len(ch) != 2 || w.Dropped() != 3 {
		t.Errorf("%d wait, %d dropped", len(ch), w.Dropped())
	}
	l.seen.watch(nil)
	due := 0
	for range 128 * 1000 {
		if l.seen.due() {
			due++
		}
	}
	if due < 900 || due > 1100 {
		t.Errorf("%d of 128,000 requests are sampled", due)
	}
}

// Noting costs no garbage, however many keys there are.
func TestNotingAllocatesNothing(t *testing.T) {
	table := tableOf("get")
	l := &loop{start: time.Now(), table: table, seen: newSeen(time.Nanosecond)}
	l.stats.carry(table, table)
	c := &client{ident: &identity{}, listener: &Listener{Listener: schema.Listener{Name: "main"}}}
	raws := make([][]byte, 1000)
	for i := range raws {
		raws[i] = words("GET", fmt.Sprint("key", i))
	}
	b := &backend{server: &server{addr: "a:1"}}
	e := &entry{c: c, cmd: table.Lookup([]byte("get")), done: 1, sampled: true, replied: 70_000}
	i := 0
	if n := testing.AllocsPerRun(2000, func() {
		i++
		l.ns++
		b.out = raws[i%len(raws)]
		e.size = len(b.out)
		l.answered(b, e)
	}); n != 0 {
		t.Errorf("%v allocations for each", n)
	}
}
