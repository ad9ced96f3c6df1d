package proxy_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rsm/internal/redistest"
	"rsm/runtime/proxy"
	"rsm/schema"
)

const (
	adminToken  = "tok-5d41402abc4b2a76"
	secretValue = "VALUE-THAT-NOBODY-MAY-SEE"
)

// watched is a proxy with an admin listener before one server.
type watched struct {
	t         testing.TB
	role      schema.ProxyRole
	proxy     *proxy.Proxy
	server    *redistest.Server
	sentinel  *redistest.Server
	tokenFile string
}

// watch starts one, and waits until it serves and knows the server's commands.
func watch(t testing.TB, change func(*schema.ProxyRole)) *watched {
	t.Helper()
	server := redistest.Start(t)
	w := &watched{t: t, server: server, sentinel: sentinel(t, server.Addr()), tokenFile: tokenFile(t, adminToken)}
	w.role = newRole(t, server.Addr(), w.sentinel.Addr())
	w.role.Proxy.Admin = schema.NewAddr("127.0.0.1", redistest.Ports(t, 1)[0])
	w.role.Proxy.AdminToken = &schema.Secret{File: w.tokenFile}
	if change != nil {
		change(&w.role)
	}
	w.proxy = run(t, w.role)
	w.proxy.SetVersion("v1.2.3")
	awaitPong(t, mainAddr(w.role))
	redistest.Wait(t, patience, func() error {
		_, _ = redistest.Do(mainAddr(w.role), "GET", "nokey")
		if n := w.commands()["get"]; n.Count == 0 {
			return fmt.Errorf("the command table is not read")
		}
		return nil
	})
	return w
}

// tokenFile is a file with a token in it.
func tokenFile(t testing.TB, token string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// get asks the admin listener, with a token unless it is empty.
func (w *watched) get(path, token string) (status int, body string) {
	w.t.Helper()
	status, body, err := get(w.role.Proxy.Admin, path, token)
	if err != nil {
		w.t.Fatal(err)
	}
	return status, body
}

func get(addr schema.Addr, path, token string) (status int, body string, err error) {
	request, err := http.NewRequest(http.MethodGet, "http://"+string(addr)+path, nil)
	if err != nil {
		return 0, "", err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	return response.StatusCode, string(content), err
}

// read decodes what an endpoint answers.
func (w *watched) read(path string, into any) {
	w.t.Helper()
	status, body := w.get(path, adminToken)
	if status != http.StatusOK {
		w.t.Fatalf("%s: %d %s", path, status, body)
	}
	if err := json.Unmarshal([]byte(body), into); err != nil {
		w.t.Fatalf("%s: %v in %s", path, err, body)
	}
}

func (w *watched) status() proxy.Status {
	w.t.Helper()
	var s proxy.Status
	w.read("/status", &s)
	return s
}

func (w *watched) commands() map[string]proxy.CommandStatus {
	w.t.Helper()
	all := map[string]proxy.CommandStatus{}
	for _, c := range w.status().Commands {
		all[c.Name] = c
	}
	return all
}

var guarded = []string{"/metrics", "/status", "/clients", "/slowlog", "/hotkeys", "/bigreplies", "/accesslog?seconds=1"}

func TestAdminToken(t *testing.T) {
	t.Parallel()
	w := watch(t, nil)
	for path, want := range map[string]string{"/healthz": "ok\n", "/readyz": "ready\n"} {
		if status, body := w.get(path, ""); status != http.StatusOK || body != want {
			t.Errorf("%s without a token: %d %q", path, status, body)
		}
	}
	for _, path := range append(guarded, "/nosuch", "/") {
		for _, token := range []string{"", "wrong", adminToken + "x", adminToken[1:]} {
			if status, body := w.get(path, token); status != http.StatusUnauthorized {
				t.Errorf("%s with token %q: %d %s", path, token, status, body)
			}
		}
	}
	for _, path := range guarded {
		if status, body := w.get(path, adminToken); status != http.StatusOK {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if status, _ := w.get("/nosuch", adminToken); status != http.StatusNotFound {
		t.Errorf("/nosuch: %d", status)
	}
	if err := os.WriteFile(w.tokenFile, []byte("another\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, _ := w.get("/status", adminToken); status != http.StatusUnauthorized {
		t.Errorf("the old token after the file has another one: %d", status)
	}
	if status, _ := w.get("/status", "another"); status != http.StatusOK {
		t.Errorf("the new token of the file: %d", status)
	}
	if err := os.Remove(w.tokenFile); err != nil {
		t.Fatal(err)
	}
	if status, _ := w.get("/status", "another"); status != http.StatusServiceUnavailable {
		t.Errorf("with a token that cannot be read: %d", status)
	}
}

func TestReady(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, "cache", 2, 3)
	role := newRole(t, c.Redis[0].Addr(), c.Sentinels[0].Addr(), c.Sentinels[1].Addr(), c.Sentinels[2].Addr())
	role.Cluster.Redis.Nodes = append(role.Cluster.Redis.Nodes, schema.RedisNode{Name: "redis-2", Addr: schema.Addr(c.Redis[1].Addr())})
	role.Proxy.Admin = schema.NewAddr("127.0.0.1", redistest.Ports(t, 1)[0])
	role.Proxy.AdminToken = &schema.Secret{File: tokenFile(t, adminToken)}
	run(t, role)
	want := func(status int, word string) {
		t.Helper()
		redistest.Wait(t, patience, func() error {
			got, body, err := get(role.Proxy.Admin, "/readyz", "")
			if err != nil || got != status || !strings.Contains(body, word) {
				return fmt.Errorf("readyz: %d %q, %v; want %d and %q", got, body, err, status, word)
			}
			return nil
		})
	}
	want(http.StatusOK, "ready")
	for _, s := range c.Sentinels {
		s.Kill()
	}
	c.Redis[0].Kill()
	want(http.StatusServiceUnavailable, c.Redis[0].Addr())
	if status, _, err := get(role.Proxy.Admin, "/healthz", ""); status != http.StatusOK {
		t.Errorf("healthz without a master: %d, %v", status, err)
	}
	for _, s := range append(c.Sentinels, c.Redis[0]) {
		s.Restart()
	}
	want(http.StatusOK, "ready")
}

func TestStatus(t *testing.T) {
	t.Parallel()
	w := watch(t, func(r *schema.ProxyRole) { r.Proxy.Hold = 3 * time.Second })
	p := dial(t, mainAddr(w.role))
	p.want("+OK\r\n", "CLIENT", "SETNAME", "alice")
	p.want("+OK\r\n", "MULTI")
	s := w.status()
	if s.Proxy != "proxy-1" || s.Cluster != "cache" || s.Version != "v1.2.3" || s.Config != w.role.Digest() || !s.Ready || s.Why != "" || s.Uptime <= 0 {
		t.Errorf("%+v", s)
	}
	m := s.Master
	if string(m.Addr) != w.server.Addr() || m.Node != "redis-1" || m.Since == nil || m.Hold || m.RunID != w.server.Info("run_id") || m.Proof > 3 {
		t.Errorf("master %+v", m)
	}
	if len(s.Sentinels) != 1 || !s.Sentinels[0].Reachable || s.Sentinels[0].Name != "sentinel-0" || string(s.Sentinels[0].Master) != w.server.Addr() {
		t.Errorf("sentinels %+v", s.Sentinels)
	}
	if len(s.Nodes) != 1 || s.Nodes[0].Role != "master" || s.Nodes[0].Name != "redis-1" {
		t.Errorf("nodes %+v", s.Nodes)
	}
	if len(s.Backends) != 1 || string(s.Backends[0].Addr) != w.server.Addr() || s.Backends[0].Pinned != 1 || s.Backends[0].Shared == 0 {
		t.Errorf("backends %+v", s.Backends)
	}
	if s.Clients.States["transaction"] != 1 || s.Clients.Limit != 1000 || len(s.Loops) != 2 {
		t.Errorf("clients %+v, %d loops", s.Clients, len(s.Loops))
	}
	if len(s.Listeners) != 2 || s.Listeners[0].Name != "main" || s.Listeners[0].Accepted == 0 || s.Listeners[0].Addr != w.role.Proxy.Listeners[0].Addr {
		t.Errorf("listeners %+v", s.Listeners)
	}
	_ = p.conn.Close()
	w.server.Kill()
	redistest.Wait(t, patience, func() error {
		if s := w.status(); s.Ready || s.Why == "" || s.Master.Addr != "" || !s.Master.Hold {
			return fmt.Errorf("without a master: ready %t, why %q, %+v", s.Ready, s.Why, s.Master)
		}
		return nil
	})
	p = dial(t, mainAddr(w.role))
	p.send(command("GET", "a"))
	redistest.Wait(t, w.role.Proxy.Hold, func() error {
		if s := w.status(); s.Held.Clients != 1 || s.Held.Longest <= 0 || s.Held.Bytes != int64(len(command("GET", "a"))) || s.Clients.States["held"] != 1 || s.Counters.Holds == 0 {
			return fmt.Errorf("a client that waits: %+v, %+v", s.Held, s.Clients)
		}
		return nil
	})
	_ = p.conn.Close()
}

func TestAdminReload(t *testing.T) {
	t.Parallel()
	w := watch(t, nil)
	old, next := w.role.Proxy.Admin, w.role
	p := dial(t, mainAddr(w.role))

	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	next.Proxy.Admin = schema.Addr(busy.Addr().String())
	if err := w.proxy.Reload(next); err != nil {
		t.Fatalf("a port that is taken refuses the settings: %v", err)
	}
	p.want("$-1\r\n", "GET", "a")
	if status, _, err := get(old, "/healthz", ""); status != http.StatusOK {
		t.Errorf("the old admin port while the new one is taken: %d, %v", status, err)
	}
	_ = busy.Close()
	redistest.Wait(t, patience, func() error {
		if status, _, err := get(next.Proxy.Admin, "/status", adminToken); status != http.StatusOK {
			return fmt.Errorf("the new port: %d, %v", status, err)
		}
		_, _, err := get(old, "/healthz", "")
		if err == nil {
			return fmt.Errorf("the old port still answers")
		}
		return nil
	})

	next.Proxy.AdminToken = &schema.Secret{File: tokenFile(t, "other")}
	if err := w.proxy.Reload(next); err != nil {
		t.Fatal(err)
	}
	for token, want := range map[string]int{adminToken: http.StatusUnauthorized, "other": http.StatusOK} {
		if status, _, err := get(next.Proxy.Admin, "/status", token); status != want {
			t.Errorf("token %s after a reload: %d, %v", token, status, err)
		}
	}

	next.Proxy.Admin, next.Proxy.AdminToken = "", nil
	if err := w.proxy.Reload(next); err != nil {
		t.Fatal(err)
	}
	redistest.Wait(t, patience, func() error {
		if _, _, err := get(schema.Addr(busy.Addr().String()), "/healthz", ""); err == nil {
			return fmt.Errorf("the listener that is no longer declared answers")
		}
		return nil
	})
	p.want("$-1\r\n", "GET", "a")
}

// A client that sends no request costs a slot for seconds, and there are more.
func TestAdminSlowClients(t *testing.T) {
	t.Parallel()
	w := watch(t, nil)
	for range 40 {
		conn, err := net.Dial("tcp", string(w.role.Proxy.Admin))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, _ = conn.Write([]byte("GET /heal"))
	}
	if status, _ := w.get("/healthz", ""); status != http.StatusOK {
		t.Errorf("healthz beside slow clients: %d", status)
	}
	conn, err := net.Dial("tcp", string(w.role.Proxy.Admin))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = conn.Write([]byte("GET /heal"))
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	if n, err := conn.Read(make([]byte, 1)); err == nil && n == 1 {
		_, _ = io.Copy(io.Discard, conn)
	} else if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
		t.Error("a request that does not end is waited for without an end")
	}
}
