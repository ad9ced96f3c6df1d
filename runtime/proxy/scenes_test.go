package proxy_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// TestScenes plays what random streams seldom or never do.
func TestScenes(t *testing.T) {
	t.Parallel()
	l := newPair(t)
	for name, scene := range map[string][]turn{
		"tracking": {
			{conn: 0, request: pipeline("HELLO 3", "CLIENT TRACKING ON", "GET k")},
			{conn: 1, request: pipeline("SET k 1", "MSET k 2 l 3")},
			{conn: 0, request: pipeline("GET k", "SET k 3", "GET k", "CLIENT TRACKING OFF")},
			{conn: 1, request: pipeline("SET k 4")},
			{conn: 0, request: pipeline("GET k")},
		},
		"broadcast tracking": {
			{conn: 0, request: pipeline("HELLO 3", "CLIENT TRACKING ON BCAST PREFIX p: NOLOOP")},
			{conn: 1, request: pipeline("SET p:1 1", "SET q:1 1")},
			{conn: 0, request: pipeline("GET q:1", "SET p:2 2", "CLIENT TRACKINGINFO", "RESET")},
		},
		"messages between clients": {
			{conn: 0, request: pipeline("SUBSCRIBE a b", "PSUBSCRIBE x*")},
			{conn: 1, request: pipeline("HELLO 3", "SUBSCRIBE b", "SSUBSCRIBE s")},
			{conn: 2, request: pipeline("PUBLISH a 1", "PUBLISH b 2", "PUBLISH xyz 3", "SPUBLISH s 4", "PUBSUB NUMPAT", "PUBSUB NUMSUB a b")},
			{conn: 1, request: pipeline("GET k", "PUBLISH b 5", "UNSUBSCRIBE", "GET k", "SUNSUBSCRIBE s")},
			{conn: 0, request: pipeline("GET k", "PING", "PUNSUBSCRIBE", "UNSUBSCRIBE a b", "GET k")},
			{conn: 2, request: pipeline("PUBLISH a 1", "PUBLISH b 2", "PUBLISH xyz 3", "SPUBLISH s 4", "PUBSUB NUMPAT", "PUBSUB NUMSUB a b")},
		},
		"subscriber leaves": {
			{conn: 0, request: pipeline("SUBSCRIBE a", "QUIT", "GET k"), ends: byClose},
			{conn: 0, request: pipeline("SUBSCRIBE a", "RESET", "GET k")},
			{conn: 1, request: pipeline("PUBLISH a 1")},
			{conn: 0, request: pipeline("GET k")},
		},
		"transaction that is watched": {
			{conn: 0, request: pipeline("SET k 1", "WATCH k")},
			{conn: 1, request: pipeline("SET k 2")},
			{conn: 0, request: pipeline("MULTI", "SET k 3", "EXEC", "GET k")},
			{conn: 0, request: pipeline("WATCH k", "UNWATCH")},
			{conn: 1, request: pipeline("SET k 4")},
			{conn: 0, request: pipeline("MULTI", "SET k 5", "EXEC", "GET k")},
		},
		"watch in another database": {
			{conn: 0, request: pipeline("SELECT 1", "SET k 1", "WATCH k", "SELECT 2", "WATCH k")},
			{conn: 1, request: pipeline("SWAPDB 1 3")},
			{conn: 0, request: pipeline("MULTI", "SET k 3", "EXEC", "GET k", "SELECT 1", "GET k", "SELECT 0", "GET k")},
		},
		"transaction that selects": {
			{conn: 0, request: pipeline("SET k 0", "MULTI", "SELECT 4", "SET k 4", "EXEC", "GET k")},
			{conn: 0, request: pipeline("GET k", "SELECT 0", "GET k", "MULTI", "SELECT 5", "DISCARD", "GET k")},
			{conn: 0, request: pipeline("SELECT 7", "MULTI", "SET k 7", "RESET", "GET k")},
			{conn: 0, request: pipeline("EVAL return(redis.call('select','4')) 0", "GET k")},
			{conn: 0, request: pipeline("MULTI", "CLIENT SETNAME inside", "EXEC", "CLIENT GETNAME")},
			{conn: 0, request: pipeline("MULTI", "HELLO 3", "EXEC", "GET none", "RESET", "GET none")},
			{conn: 0, request: pipeline("MULTI", "SUBSCRIBE a", "EXEC", "UNSUBSCRIBE a", "GET k")},
			{conn: 0, request: pipeline("MULTI", "CLIENT REPLY OFF", "GET k", "EXEC", "GET k", "CLIENT REPLY ON", "GET k")},
		},
		"identity": {
			{conn: 0, request: pipeline("ACL SETUSER alice on >secret ~a* &* +@all -flushall", "AUTH alice wrong", "ACL WHOAMI", "AUTH alice secret", "ACL WHOAMI", "GET k", "GET a", "FLUSHALL")},
			{conn: 1, request: pipeline("ACL WHOAMI", "GET k", "HELLO 3 AUTH alice secret SETNAME her", "ACL WHOAMI", "CLIENT GETNAME", "GET k", "SELECT 3", "SET a 3")},
			{conn: 0, request: pipeline("MULTI", "GET k", "GET a", "EXEC", "GET a", "SELECT 3", "GET a", "EVAL return(1) 1 k")},
			{conn: 0, request: pipeline("AUTH default any", "ACL WHOAMI", "GET k", "RESET", "ACL WHOAMI", "GET a")},
			{conn: 2, request: pipeline("ACL SETUSER alice -get")},
			{conn: 1, request: pipeline("GET a", "RESET", "GET a")},
		},
		"monitor": {
			{conn: 0, request: pipeline("GET k", "MONITOR", "QUIT"), ends: byClose},
			{conn: 0, request: pipeline("GET k")},
		},
		"blocked, then closed": {
			{conn: 0, request: pipeline("DEL q", "BLPOP q 0.01", "QUIT", "SET q 1"), ends: byClose},
			{conn: 1, request: pipeline("RPUSH q 1", "LRANGE q 0 -1")},
			{conn: 0, request: join(pipeline("BLPOP none 0.01", "GET k"), []byte("*x\r\n")), ends: byClose},
		},
		"debugger": {
			// Not in a pipeline: the server refuses it there.
			{conn: 0, request: pipeline("SCRIPT DEBUG MAYBE"), ends: byCount},
			{conn: 0, request: pipeline("SCRIPT DEBUG NO"), ends: byCount},
			{conn: 0, request: pipeline("EVAL return(1) 0")},
		},
		"many in one pipeline": {
			{conn: 0, request: bytes.Repeat(pipeline("INCR n", "GET n", "LPUSH l 1"), 20_000)},
			{conn: 0, request: bytes.Repeat([]byte("PING\r\n"), 50_000)},
			{conn: 0, request: pipeline("LRANGE l 0 -1")},
			{conn: 0, request: append(pipeline("SELECT 1"), bytes.Repeat(pipeline("MULTI", "INCR n", "EXEC", "BLPOP none 0.001", "GET n"), 100)...)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newScene(t, l)
			for _, x := range scene {
				x.text = fmt.Sprintf("%.300q", x.request)
				if !l.run(x) {
					return
				}
			}
			l.sameData()
		})
	}
}

// newScene is l for a subtest, with fresh servers and connections.
func newScene(t *testing.T, l *lockstep) *lockstep {
	scene := *l
	scene.t = t
	scene.fresh()
	return &scene
}

// TestLargeValues sends values beside which all buffers are small.
func TestLargeValues(t *testing.T) {
	t.Parallel()
	l := newPair(t)
	for _, size := range []int{16 << 10, 100_000, 5 << 20} {
		value := strings.Repeat("0123456789\r\n$5\r\n", size/16)
		set := command("SET", "k", value)
		for _, x := range []turn{
			{request: join(set, pipeline("STRLEN k", "GET k", "GETRANGE k 5 9"))},
			{request: join(pipeline("GET k", "INCR n"), join(set, pipeline("GET k", "INCR n")))},
			{request: join(command("ECHO", value), command(value[:40], value))},
			{request: join(command("MSET", "a", value, "b", "2", "c", value), pipeline("MGET a b c", "DEL a c"))},
			{request: join(pipeline("MULTI", "GET k"), join(set, pipeline("GET k", "EXEC", "GET n")))},
			{request: join(command("EVAL", "return {ARGV[1], 1}", "0", value), pipeline("HELLO 3", "GET k", "RESET"))},
			{request: join(pipeline("DEL q", "BLPOP q 0.01"), join(command("RPUSH", "q", value), pipeline("BLPOP q 1", "PING")))},
			{request: append(pipeline("SELECT 1"), join(set, pipeline("SWAPDB 0 1", "SELECT 0", "GET k", "SUBSCRIBE c", "UNSUBSCRIBE c"))...)},
			{request: bytes.Repeat(pipeline("GET k"), max(1, 20<<20/size)), conn: 1},
			{request: join(pipeline("SUBSCRIBE big"), nil), conn: 1},
			{request: command("PUBLISH", "big", value)},
			{request: pipeline("UNSUBSCRIBE big"), conn: 1},
		} {
			x.text = fmt.Sprintf("%d bytes: %.120q", size, x.request)
			if !l.run(x) {
				return
			}
		}
	}
	l.sameData()
}

// TestPasswordIsTheServersMatter has a server that wants one. Its limit of ten
// arguments before AUTH is not the proxy's, which does not know who needs AUTH.
func TestPasswordIsTheServersMatter(t *testing.T) {
	t.Parallel()
	l := newPair(t)
	for _, s := range l.sides {
		s.server.Do("ACL", "SETUSER", "default", ">secret")
	}
	for _, x := range []turn{
		{conn: 0, request: pipeline("GET k"), ends: byCount},
		{conn: 0, request: pipeline("HELLO 3"), ends: byCount},
		{conn: 0, request: pipeline("AUTH wrong"), ends: byCount},
		{conn: 0, request: pipeline("MULTI"), ends: byCount},
		{conn: 0, request: pipeline("SUBSCRIBE a"), ends: byCount},
		{conn: 0, request: pipeline("nosuch"), ends: byCount},
		{conn: 0, request: pipeline("QUIT"), ends: byClose},
		{conn: 0, request: pipeline("AUTH secret", "GET k", "SET k 1", "ACL WHOAMI")},
		{conn: 1, request: pipeline("HELLO 3 AUTH default secret", "GET k")},
		{conn: 1, request: pipeline("RESET"), ends: byCount},
		{conn: 1, request: pipeline("GET k"), ends: byCount},
		{conn: 1, request: pipeline("AUTH default secret", "GET k", "GET none")},
	} {
		x.text = fmt.Sprintf("%q", x.request)
		l.run(x)
	}
}
