package command

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"rsm/internal/redistest"
	"rsm/internal/resp"
)

// live is the table of the redis-server on PATH.
func live(t testing.TB) *Table {
	t.Helper()
	s := redistest.Start(t)
	conn, err := resp.Dial(t.Context(), s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	table, err := Fetch(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// describe is a command in short: kind, then w(rite), r(ead), a(dmin), + for
// repeat.
func describe(c *Command) string {
	names := []string{
		"plain", "blocking", "multi", "exec", "discard", "watch", "unwatch", "subscribe", "unsubscribe",
		"stream", "auth", "hello", "select", "reset", "quit", "client", "script", "wait", "browser",
	}
	text := names[c.Kind] + " "
	for _, flag := range []struct {
		set  bool
		sign string
	}{{c.Write, "w"}, {c.Read, "r"}, {c.Admin, "a"}, {c.Repeat, "+"}} {
		if flag.set {
			text += flag.sign
		}
	}
	return strings.TrimSpace(text)
}

// check looks up each name, "client kill" for a subcommand.
func check(t *testing.T, table *Table, want map[string]string) {
	t.Helper()
	for name, want := range want {
		first, second, isSub := strings.Cut(name, " ")
		c := table.Lookup([]byte(first))
		if isSub {
			c = table.Sub(c, []byte(second))
		}
		if c == nil {
			t.Errorf("%s is not there", name)
			continue
		}
		if got := describe(c); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
		if table.At(c.ID) != c {
			t.Errorf("%s is not at its ID %d", name, c.ID)
		}
	}
}

func TestRealServer(t *testing.T) {
	t.Parallel()
	table := live(t)
	check(t, table, map[string]string{
		"get": "plain r+", "SET": "plain w", "GeoRadiusByMember_RO": "plain r+", "incr": "plain w",
		"ping": "plain +", "echo": "plain +", "info": "plain +", "time": "plain +", "role": "plain +",
		"publish": "plain", "eval": "plain", "eval_ro": "plain r+", "flushall": "plain w",
		"getex": "plain w", "touch": "plain r+", "bgsave": "plain a", "replicaof": "plain a",
		"blpop": "blocking w", "blmpop": "blocking w", "bzmpop": "blocking w",
		"xread": "blocking r+", "xreadgroup": "blocking w", "shutdown": "blocking a",
		"nosuch": "blocking", "": "blocking", "POST": "browser", "Host:": "browser", "client|kill": "blocking",
		"multi": "multi", "exec": "exec", "discard": "discard", "watch": "watch", "unwatch": "unwatch",
		"subscribe": "subscribe", "psubscribe": "subscribe", "ssubscribe": "subscribe",
		"unsubscribe": "unsubscribe", "punsubscribe": "unsubscribe", "sunsubscribe": "unsubscribe",
		"monitor": "stream a", "sync": "stream a", "psync": "stream a", "replconf": "stream a",
		"auth": "auth", "hello": "hello", "select": "select", "reset": "reset", "quit": "quit", "wait": "wait",
		"client": "client", "CLIENT Kill": "client a", "client id": "client", "client help": "client +",
		"script": "script", "script debug": "script", "script LOAD": "script", "script exists": "script +",
		"config": "plain", "config get": "plain a+", "config set": "plain a",
		"xgroup": "plain", "xgroup create": "plain w", "xinfo stream": "plain r+", "object encoding": "plain r+",
		"function load": "plain w", "command": "plain +", "command docs": "plain +", "pubsub channels": "plain +",
	})
	for name, want := range map[string]int{"get": 1, "bitop": 2, "ping": 0, "eval": 0, "mset": 1, "xread": 0} {
		if got := table.Lookup([]byte(name)).FirstKey; got != want {
			t.Errorf("first key of %s is %d, want %d", name, got, want)
		}
	}
	if c := table.Sub(table.Lookup([]byte("client")), []byte("kil")); c != nil {
		t.Errorf("CLIENT KIL is %v", c)
	}
	if c := table.Sub(table.Lookup([]byte("get")), []byte("kill")); c != nil {
		t.Errorf("GET KILL is %v", c)
	}
}

// Two servers of one version list their commands in different order.
func TestOrderIsStable(t *testing.T) {
	t.Parallel()
	a, b := live(t), live(t)
	if a.Len() < 300 || a.Len() != b.Len() {
		t.Fatalf("%d and %d commands", a.Len(), b.Len())
	}
	for id := range a.Len() {
		if *a.At(id) != *b.At(id) || a.At(id).ID != id {
			t.Errorf("%d is %v and %v", id, a.At(id), b.At(id))
		}
	}
	if unknown := *a.At(0); unknown != (Command{Kind: Blocking}) {
		t.Errorf("the unknown command is %v", unknown)
	}
}

// What writes is never repeated, and neither is what administers, unless it is
// known to look only.
func TestNoWriteIsRepeated(t *testing.T) {
	t.Parallel()
	table := live(t)
	var admin []string
	for id := range table.Len() {
		c := table.At(id)
		if c.Repeat && c.Write {
			t.Errorf("%s writes and is repeated", c.Name)
		}
		if c.Repeat && c.Admin {
			admin = append(admin, c.Name)
		}
	}
	want := []string{"config|get", "latency|latest", "module|list", "slowlog|get", "slowlog|len"}
	if slices.Sort(admin); !slices.Equal(admin, want) {
		t.Errorf("admin commands that are repeated: %v, want %v", admin, want)
	}
}

// bare is an entry as servers gave it in their time.
func bare(name string, flags ...any) []any {
	return []any{name, int64(2), flags, int64(1), int64(1), int64(1)}
}

func TestOldServers(t *testing.T) {
	t.Parallel()
	// 6.2: seven elements, no subcommands, no flag "blocking".
	with := func(entry []any, categories ...any) []any { return append(entry, categories) }
	table, err := Parse([]any{
		with(bare("get", "readonly", "fast"), "@read"),
		with(bare("set", "write", "denyoom"), "@write"),
		with(bare("blmove", "write", "noscript"), "@write", "@blocking"),
		with(bare("xread", "readonly", "movablekeys"), "@read", "@blocking"),
		with(bare("config", "admin", "loading"), "@admin"),
		with(bare("client", "admin", "noscript"), "@admin"),
		with(bare("pubsub", "pubsub", "random"), "@pubsub"),
		with(bare("host:", "readonly", "loading"), "@read"),
		with(bare("post", "readonly", "loading"), "@read"),
	})
	if err != nil {
		t.Fatal(err)
	}
	check(t, table, map[string]string{
		"get": "plain r+", "set": "plain w", "blmove": "blocking w", "xread": "blocking r+", "config": "plain a",
		"client": "client a", "pubsub": "plain +", "host:": "browser r", "POST": "browser r",
	})
	if c := table.Sub(table.Lookup([]byte("client")), []byte("kill")); c != nil {
		t.Errorf("CLIENT KILL is %v", c)
	}

	// 5: six elements.
	table, err = Parse([]any{bare("get", "readonly"), bare("brpop", "write", "noscript")})
	if err != nil {
		t.Fatal(err)
	}
	check(t, table, map[string]string{"get": "plain r+", "brpop": "blocking w"})
}

func TestModules(t *testing.T) {
	t.Parallel()
	table, err := Parse([]any{
		bare("FT.SEARCH", "readonly", "module"),
		bare("json.set", "write", "module"),
		bare("rg.trigger", "module"),
		bare("rg.wait", "readonly", "module", "blocking"),
		bare("PING", "fast"),
		bare("ping", "write"),
	})
	if err != nil {
		t.Fatal(err)
	}
	check(t, table, map[string]string{
		"ft.search": "plain r+", "JSON.SET": "plain w", "RG.Trigger": "blocking", "rg.wait": "blocking r",
		"ping": "plain +",
	})
	if table.Len() != 8 {
		t.Errorf("%d commands, want 8: PING came twice, and those of browsers are always there", table.Len())
	}
}

func TestParseOdd(t *testing.T) {
	t.Parallel()
	for _, bad := range []any{nil, "OK", int64(1), []any{}, []any{"get"}, []any{nil}, []any{[]any{}}, []any{[]any{int64(1)}}} {
		if table, err := Parse(bad); err == nil {
			t.Errorf("Parse(%v) has %d commands", bad, table.Len())
		}
	}
	odd := []any{
		[]any{"a"},
		[]any{"b", "x", map[string]any{"write": true}, "1", nil, nil, "@blocking", nil, nil, map[string]any{}},
		[]any{"c", int64(1), []any{int64(7), nil, "WRITE"}, int64(-3)},
		[]any{"d", int64(1), []any{}, int64(0), int64(0), int64(0), []any{}, []any{}, []any{}, []any{[]any{"Sub"}, []any{"d|e"}}},
	}
	table, err := Parse(odd)
	if err != nil {
		t.Fatal(err)
	}
	check(t, table, map[string]string{"a": "plain", "b": "plain", "c": "plain w", "d sub": "plain", "D E": "plain"})
	if first := table.Lookup([]byte("c")).FirstKey; first != 0 {
		t.Errorf("first key %d", first)
	}
	odd[3].([]any)[9] = []any{int64(1)}
	if _, err := Parse(odd); err == nil {
		t.Error("a subcommand without a name is accepted")
	}
}

func TestFallback(t *testing.T) {
	t.Parallel()
	check(t, Fallback(), map[string]string{
		"post": "browser", "hello": "hello", "AUTH": "auth", "ping": "plain +", "multi": "multi", "client": "client", "quit": "quit",
		"get": "blocking", "blpop": "blocking", "xread": "blocking",
	})
	if c := Fallback().Lookup([]byte("blpop")); c.ID != 0 {
		t.Errorf("BLPOP is %v", c)
	}
}

func TestFetchRefused(t *testing.T) {
	t.Parallel()
	fake := redistest.StartFake(t, func([]string) redistest.Reply { return redistest.Err("NOPERM no") })
	conn, err := resp.Dial(t.Context(), fake.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := Fetch(t.Context(), conn); !errors.Is(err, resp.Error("NOPERM no")) {
		t.Errorf("Fetch: %v", err)
	}
}
