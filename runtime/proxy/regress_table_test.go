package proxy_test

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"rsm/internal/redistest"
)

// C12: the commands were a list in the program. A server that has others, or has them
// by other names, is served by what it says itself.
func TestC12RenamedCommands(t *testing.T) {
	t.Parallel()
	l := newPair(t, "rename-command KEYS FINDKEYS", "rename-command BLPOP WAITPOP", "rename-command INCR COUNT", `rename-command GETRANGE ""`)
	for _, request := range [][]byte{
		pipeline("SET k 1", "FINDKEYS *", "KEYS *", "COUNT k", "INCR k", "GETRANGE k 0 1", "FINDKEYS", "COUNT", "GET k"),
		pipeline("WAITPOP l 0.01", "RPUSH l 1 2", "WAITPOP l 0", "BLPOP l 0", "LLEN l", "SELECT 1", "WAITPOP l 0.01"),
		pipeline("MULTI", "COUNT k", "WAITPOP l 0", "EXEC", "MULTI", "INCR k", "EXEC", "GET k"),
	} {
		l.run(turn{request: request, text: fmt.Sprintf("%q", request)})
	}
	l.sameData()
	blocked, other := dial(t, l.socket), dial(t, l.socket)
	blocked.send(pipeline("WAITPOP none 0"))
	for range 10 {
		other.want("+PONG\r\n", "PING") // nobody waits behind it
	}
}

// C12: what a command that the table does not have did to its connection is not left
// to the next client.
func TestC12UnknownCommandLeavesNothing(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "hz 500", "rename-command MULTI BEGIN", "rename-command SELECT CHOOSE", "rename-command AUTH LOGIN", "rename-command WATCH OBSERVE")
	server.Do("ACL", "SETUSER", "alice", "on", ">secret", "+@all", "~*", "&*")
	addr, _ := front(t, server)
	for _, words := range []string{"BEGIN", "CHOOSE 3", "LOGIN alice secret", "OBSERVE k"} {
		for range 3 {
			first := dial(t, addr)
			first.want("+OK\r\n", fields(words)...)
			second := dial(t, addr)
			second.want("*-1\r\n", "BLPOP", "none", "0.01") // over a connection that has been used
			if got := second.ask("NOSUCH"); !strings.HasPrefix(got, "-ERR unknown command") {
				t.Errorf("after %s of another client, NOSUCH is answered by %q", words, got)
			}
			second.send(pipeline("XREAD BLOCK 1 STREAMS none 0", "XREAD BLOCK 1 STREAMS none 0"))
			for range 2 {
				if got, err := second.reply(); string(got) != "*-1\r\n" {
					t.Errorf("after %s of another client XREAD is answered by %q, %v", words, got, err)
				}
			}
			list := fmt.Sprint(server.Do("CLIENT", "LIST"))
			if strings.Contains(list, "user=alice") || strings.Contains(list, " db=3 ") || strings.Contains(list, " multi=0 ") {
				t.Errorf("after %s: %s", words, list)
			}
			_ = first.conn.Close()
		}
	}
}

// moduleServer lists commands of modules beside GET: ft.search reads, json.set writes,
// and rg.trigger does not tell. Each may be told to lose its next reply.
type moduleServer struct {
	*redistest.Fake
	lose atomic.Bool
}

func newModuleServer(t testing.TB) *moduleServer {
	t.Helper()
	entry := func(name string, flags ...string) redistest.Reply {
		return redistest.Array(redistest.Bulk(name), redistest.Int(-2), redistest.Bulks(flags...), redistest.Int(1), redistest.Int(1), redistest.Int(1))
	}
	m := &moduleServer{}
	m.Fake = redistest.StartFake(t, func(args []string) redistest.Reply {
		switch args[0] {
		case "ROLE":
			return redistest.Array(redistest.Bulk("master"), redistest.Int(0), redistest.Array())
		case "INFO":
			return redistest.Bulk("run_id:" + strings.Repeat("a", 40) + "\r\nrole:master\r\n")
		case "COMMAND":
			return redistest.Array(entry("get", "readonly"), entry("FT.SEARCH", "readonly", "module"), entry("json.set", "write", "module"), entry("rg.trigger", "module"))
		case "GET":
			return redistest.Null()
		case "FT.SEARCH", "JSON.SET", "RG.TRIGGER":
			if args[1] == "hang" {
				return redistest.Hang()
			}
			if m.lose.CompareAndSwap(true, false) {
				return redistest.Close()
			}
			return redistest.Simple("DONE")
		}
		return redistest.Reply{}
	})
	return m
}

// C12: what COMMAND says of a module's command decides whether it is sent again, where
// to, and what waits behind it.
func TestC12ModuleCommands(t *testing.T) {
	t.Parallel()
	server := newModuleServer(t)
	role := newRole(t, server.Addr(), sentinel(t, server.Addr()).Addr())
	role.Proxy.Listeners[1].ReadOnly = true
	run(t, role)
	awaitTable(t, mainAddr(role))
	p, readOnly := dial(t, mainAddr(role)), dial(t, role.Proxy.Listeners[1].Socket)
	for name, want := range map[string]struct {
		lost  string // to the client when the reply is lost
		times int
		rules string // on a listener for reads
	}{
		"FT.SEARCH":  {"+DONE", 2, "+DONE"},
		"JSON.SET":   {"-INDOUBT ", 1, "-NOPERM "},
		"RG.TRIGGER": {"-INDOUBT ", 1, "-NOPERM "},
	} {
		p.want("+DONE\r\n", name, "warm")
		server.lose.Store(true)
		p.refused(want.lost, name, "lost")
		seen := slices.DeleteFunc(server.Seen(), func(s string) bool { return s != name+" lost" })
		if len(seen) != want.times {
			t.Errorf("%s whose reply was lost was sent %d times, want %d", name, len(seen), want.times)
		}
		readOnly.refused(want.rules, name, "x")
	}
	hangs := dial(t, mainAddr(role))
	hangs.send(pipeline("RG.TRIGGER hang"))
	redistest.Wait(t, patience, func() error {
		if !slices.Contains(server.Seen(), "RG.TRIGGER hang") {
			return fmt.Errorf("it was not sent")
		}
		return nil
	})
	p.want("$-1\r\n", "GET", "k")
	p.want("+DONE\r\n", "FT.SEARCH", "beside")
}
