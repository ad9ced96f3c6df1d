package proxy_test

import (
	"strings"
	"testing"

	"rsm/internal/redistest"
)

// The ids that CLIENT ID tells are those of the proxy. Who uses one to unblock a
// client, or to send invalidations to it, reaches that client.
func TestClientIDsOfOthers(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	role := newRole(t, server.Addr(), sentinel(t, server.Addr()).Addr())
	run(t, role)
	addr := string(role.Proxy.Listeners[0].Addr)
	awaitPong(t, addr)
	id := func(p *peer) string {
		p.send(command("CLIENT", "ID"))
		raw, err := p.reply()
		if err != nil {
			t.Fatal(err)
		}
		return strings.Trim(string(raw), ":\r\n")
	}

	blocked, other := dial(t, addr), dial(t, addr)
	blockedID := id(blocked)
	other.want(":0\r\n", "CLIENT", "UNBLOCK", blockedID)
	blocked.send(command("BLPOP", "nothing", "0"))
	redistest.Wait(t, patience, redistest.Want("blocked clients", "1", func() string { return server.Info("blocked_clients") }))
	other.want(":1\r\n", "CLIENT", "UNBLOCK", blockedID, "ERROR")
	if raw, err := blocked.reply(); err != nil || !strings.HasPrefix(string(raw), "-UNBLOCKED client unblocked via CLIENT UNBLOCK") {
		t.Errorf("the blocked client got %q, %v", raw, err)
	}

	listener, reader := dial(t, addr), dial(t, addr)
	listenerID := id(listener)
	reader.want("-ERR The client ID you want redirect to does not exist\r\n", "CLIENT", "TRACKING", "ON", "REDIRECT", listenerID)
	listener.want("*3\r\n$9\r\nsubscribe\r\n$20\r\n__redis__:invalidate\r\n:1\r\n", "SUBSCRIBE", "__redis__:invalidate")
	reader.want("+OK\r\n", "CLIENT", "TRACKING", "ON", "REDIRECT", listenerID)
	reader.want("$-1\r\n", "GET", "k")
	other.want("+OK\r\n", "SET", "k", "1")
	want := "*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n*1\r\n$1\r\nk\r\n"
	if raw, err := listener.reply(); err != nil || string(raw) != want {
		t.Errorf("the listener got %q, %v", raw, err)
	}
}
