package proxy_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"rsm/internal/redistest"
	"rsm/schema"
)

// users makes three users on a server.
func users(server *redistest.Server) {
	server.Do("ACL", "SETUSER", "alice", "on", ">apw", "~*", "&*", "+@all")
	server.Do("ACL", "SETUSER", "bob", "on", ">bpw", "~*", "&*", "+@all")
	server.Do("ACL", "SETUSER", "reader", "on", ">rpw", "~*", "+get", "+acl|whoami", "+multi", "+exec", "+select")
}

// Nobody ever gets the connection of another user, whatever they do in between.
func TestUsersShareNothing(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	users(server)
	addr, _ := front(t, server)
	var all sync.WaitGroup
	for i := range 24 {
		user, password := [][2]string{{"alice", "apw"}, {"bob", "bpw"}, {"reader", "rpw"}, {"default", ""}}[i%4][0], []string{"apw", "bpw", "rpw", ""}[i%4]
		p := dial(t, addr)
		if user != "default" {
			p.want("+OK\r\n", "AUTH", user, password)
		}
		all.Go(func() {
			for round := range 40 {
				request, want := pipeline("ACL WHOAMI", "MULTI", "ACL WHOAMI", "EXEC", "ACL WHOAMI"), []string{bulk(user), "+OK\r\n", "+QUEUED\r\n", "*1\r\n" + bulk(user), bulk(user)}
				if round%8 == 7 {
					request, want = append(pipeline(fmt.Sprintf("SELECT %d", round%3)), request...), append([]string{"+OK\r\n"}, want...)
				}
				p.send(request)
				for _, want := range want {
					if got, err := p.reply(); string(got) != want {
						t.Errorf("%s gets %q, %v; want %q", user, got, err, want)
						return
					}
				}
			}
		})
	}
	all.Wait()
}

// What the server says of passwords and permissions reaches the client.
func TestAUTHIsTheServers(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	users(server)
	addr, _ := front(t, server)
	p := dial(t, addr)
	wrongPass := "-WRONGPASS invalid username-password pair or user is disabled.\r\n"
	p.want("+OK\r\n", "AUTH", "reader", "rpw")
	p.want(wrongPass, "AUTH", "alice", "rpw")
	p.want(bulk("reader"), "ACL", "WHOAMI") // a wrong password changes nothing
	p.want(wrongPass, "HELLO", "3", "AUTH", "nobody", "x")
	p.want(bulk("reader"), "ACL", "WHOAMI")
	for _, args := range [][]string{{"SET", "k", "v"}, {"CLIENT", "LIST"}, {"CLIENT", "KILL", "TYPE", "normal"}, {"CLIENT", "KILL", "1.2.3.4:5"}} {
		if got := p.ask(args...); !strings.HasPrefix(got, "-NOPERM ") {
			t.Errorf("%q of a user who may not is answered by %q", args, got)
		}
	}
	p.want("$-1\r\n", "GET", "k")
	p.want("+RESET\r\n", "RESET")
	p.want(bulk("default"), "ACL", "WHOAMI")

	// Who is connected stays when the password changes; who comes needs the new one.
	alice := dial(t, addr)
	alice.want("+OK\r\n", "AUTH", "alice", "apw")
	alice.want(bulk("alice"), "ACL", "WHOAMI")
	server.Do("ACL", "SETUSER", "alice", "resetpass", ">new")
	alice.want(bulk("alice"), "ACL", "WHOAMI")
	other := dial(t, addr)
	other.want(wrongPass, "AUTH", "alice", "apw")
	other.want("+OK\r\n", "AUTH", "alice", "new")
	other.want(bulk("alice"), "ACL", "WHOAMI")
	// A connection that must be made anew cannot be, and the client hears why.
	alice.send(pipeline("MULTI", "ACL WHOAMI", "EXEC", "BLPOP none 0.01", "ACL WHOAMI"))
	for range 5 {
		if got, err := alice.reply(); err != nil || strings.Contains(string(got), "default") {
			if string(got) != wrongPass && err != nil && !strings.Contains(err.Error(), "EOF") {
				t.Fatalf("with the old password: %q, %v", got, err)
			}
			break
		}
	}

	// A user who is deleted is out.
	server.Do("ACL", "DELUSER", "alice")
	other.send(pipeline("GET k"))
	if got, err := other.rest(); err != nil || len(got) != 1 || string(got[0]) != wrongPass {
		t.Errorf("a deleted user gets %q, %v", got, err)
	}
	p.want(bulk("default"), "ACL", "WHOAMI")
}

// protected is a server with a password, in a file, and what a proxy is told of it.
func protected(t *testing.T, password string) (*redistest.Server, schema.ProxyRole, string) {
	t.Helper()
	server := redistest.Start(t)
	watcher := sentinel(t, server.Addr())
	watcher.Do("SENTINEL", "SET", "cache", "auth-pass", password)
	server.Do("CONFIG", "SET", "requirepass", password)
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	role := newRole(t, server.Addr(), watcher.Addr())
	role.Cluster.Auth.Password = &schema.Secret{File: file}
	role.Proxy.Listeners = append(role.Proxy.Listeners, schema.Listener{
		Name: "free", Addr: schema.NewAddr("127.0.0.1", redistest.Ports(t, 1)[0]), Read: schema.ReadMaster, Login: schema.LoginProxy,
	})
	run(t, role)
	redistest.Wait(t, patience, func() error {
		_, err := redistest.Do(string(role.Proxy.Listeners[2].Addr), "GET", "nokey")
		return err
	})
	return server, role, file
}

// Before AUTH a client may nothing, not even by what the proxy itself answers.
func TestNOAUTH(t *testing.T) {
	t.Parallel()
	_, role, _ := protected(t, "pw1")
	p := dial(t, mainAddr(role))
	for _, args := range [][]string{{"GET", "k"}, {"CLIENT", "LIST"}, {"CLIENT", "KILL", "ID", "1"}, {"MULTI"}, {"SUBSCRIBE", "c"}, {"BLPOP", "l", "0"}, {"MONITOR"}, {"INFO"}} {
		if got := p.ask(args...); !strings.HasPrefix(got, "-NOAUTH ") {
			t.Errorf("%q before AUTH is answered by %q", args, got)
		}
	}
	if got := p.ask("AUTH", "no"); !strings.HasPrefix(got, "-WRONGPASS ") {
		t.Errorf("a wrong password: %q", got)
	}
	p.want("+OK\r\n", "AUTH", "pw1")
	p.want("+OK\r\n", "SET", "k", "v")
	if got := p.ask("CLIENT", "LIST"); !strings.Contains(got, "id=") {
		t.Errorf("CLIENT LIST after AUTH: %q", got)
	}
	// RESET takes the login back.
	p.want("+RESET\r\n", "RESET")
	if got := p.ask("GET", "k"); !strings.HasPrefix(got, "-NOAUTH ") {
		t.Errorf("GET after RESET is answered by %q", got)
	}
	out, err := exec.Command(need(t, "redis-cli"), "-p", portOf(mainAddr(role)), "-a", "pw1", "--no-auth-warning", "GET", "k").CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "v" {
		t.Errorf("redis-cli -a: %q, %v", out, err)
	}
}

// With login: proxy, who sends no AUTH is logged in, and a password that changes in
// its file works for connections that are made later.
func TestLoginByProxy(t *testing.T) {
	t.Parallel()
	server, role, file := protected(t, "pw1")
	free := string(role.Proxy.Listeners[2].Addr)
	p := dial(t, free)
	p.want("+OK\r\n", "SET", "k", "v")
	p.want("+OK\r\n", "MULTI")
	p.want("+QUEUED\r\n", "GET", "k")
	p.want("*1\r\n"+bulk("v"), "EXEC")
	if got := dial(t, mainAddr(role)).ask("GET", "k"); !strings.HasPrefix(got, "-NOAUTH ") {
		t.Errorf("the other listener lets everybody in: %q", got)
	}

	// The server has another password, and the proxy does not know it yet: what
	// needs a new connection waits for it.
	admin := dial(t, server.Addr())
	admin.want("+OK\r\n", "AUTH", "pw1")
	admin.want("+OK\r\n", "CONFIG", "SET", "requirepass", "pw2")
	admin.ask("CLIENT", "KILL", "TYPE", "normal") // all but this one; the proxy must connect again
	p.send(pipeline("GET k"))
	time.AfterFunc(200*time.Millisecond, func() { _ = os.WriteFile(file, []byte("pw2\n"), 0o600) })
	if got, err := p.reply(); string(got) != bulk("v") {
		t.Errorf("GET while the password changes is answered by %q, %v", got, err)
	}
	p.want("+OK\r\n", "SET", "k", "w")
	dial(t, free).want(bulk("w"), "GET", "k")
}
