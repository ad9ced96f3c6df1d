package proxy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"rsm/internal/redistest"
	"rsm/schema"
)

// W17: for some seconds after its start the proxy reset every connection. Now
// requests wait for a master, and if none appears, they fail as requests.
func TestW17RequestsAtTheStart(t *testing.T) {
	t.Parallel()
	port := redistest.Ports(t, 1)[0]
	node := fmt.Sprintf("127.0.0.1:%d", port)
	watcher := sentinel(t, node)
	patient, hasty := newRole(t, node, watcher.Addr()), newRole(t, node, watcher.Addr())
	hasty.Proxy.Hold = 300 * time.Millisecond
	run(t, patient)
	run(t, hasty)

	waits := dial(t, mainAddr(patient))
	waits.send(pipeline("SET k v", "GET k", "BLPOP none 0.01", "MULTI", "INCR n", "EXEC"))
	fails := dial(t, mainAddr(hasty))
	began := time.Now()
	for _, args := range [][]string{{"GET", "k"}, {"SET", "k", "1"}, {"MULTI"}, {"SUBSCRIBE", "c"}, {"BLPOP", "l", "0"}, {"nosuch"}} {
		if got := fails.ask(args...); !strings.HasPrefix(got, "-MASTERDOWN ") {
			t.Errorf("%q without a master is answered by %q", args, got)
		}
	}
	if took := time.Since(began); took < 6*hasty.Proxy.Hold || took > patience/2 {
		t.Errorf("six requests were held for %s in all, each should be for %s", took, hasty.Proxy.Hold)
	}

	redistest.StartAt(t, port)
	for _, want := range []string{"+OK\r\n", bulk("v"), "*-1\r\n", "+OK\r\n", "+QUEUED\r\n", "*1\r\n:1\r\n"} {
		if got, err := waits.reply(); string(got) != want {
			t.Fatalf("after the start: %q, %v; want %q", got, err, want)
		}
	}
	redistest.Wait(t, patience, redistest.Want("reply on the connection that was refused", bulk("v"),
		func() string { return fails.ask("GET", "k") }))
}

func mainAddr(role schema.ProxyRole) string { return string(role.Proxy.Listeners[0].Addr) }
