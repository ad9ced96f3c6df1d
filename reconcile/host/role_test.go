package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"rsm/internal/redistest"
	"rsm/internal/supervise"
	"rsm/reconcile"
	"rsm/schema"
)

// badClients is a MaxClients that the fake proxy refuses.
const badClients = 666

// fakeProxy is `rsm proxy --config FILE` without the proxy: it listens, and tells
// what it loaded.
func fakeProxy(file string) error {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	var now reconcile.Loaded
	var open net.Listener
	for {
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		role, err := schema.DecodeProxyRole(content)
		for _, secret := range role.Secrets() {
			if _, missing := secret.Read(); err == nil {
				err = missing
			}
		}
		if role.Proxy.MaxClients == badClients {
			err = errors.New("too evil")
		}
		switch {
		case err != nil && open == nil:
			return fmt.Errorf("start with %s: %w", os.Getenv("HOST_TEST_TOKEN"), err)
		case err != nil:
			now.Refused, now.Refusal = schema.DigestOf(content), err.Error()
		case open == nil:
			if open, err = net.Listen("tcp", string(role.Proxy.Addr())); err != nil {
				return err
			}
			fallthrough
		default:
			now = reconcile.Loaded{Version: "fake", Digest: schema.DigestOf(content)}
		}
		if err := WriteLoaded(file, now); err != nil {
			return err
		}
		<-hangups
	}
}

// fakeDispatcher tells what it loaded, and waits.
func fakeDispatcher(file string) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := WriteLoaded(file, reconcile.Loaded{Version: "fake", Digest: schema.DigestOf(content)}); err != nil {
		return err
	}
	time.Sleep(time.Minute)
	return errors.New("nobody ended it")
}

// TestRestartKeepsWhatRuns: a role whose new settings cannot be had goes on with
// those that it has.
func TestRestartKeepsWhatRuns(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	h, ref := newHost(t), reconcile.RoleRef{Cluster: "cache", Name: "d1", Kind: reconcile.KindDispatcher, Addr: schema.NewAddr("127.0.0.1", 0)}
	role := schema.DispatcherRole{Dispatcher: schema.Dispatcher{Name: "d1", Cluster: "cache", Address: "127.0.0.1"}}
	mustStart(t, h, reconcile.StartRole{Role: ref, Told: reconcile.Told{Dispatcher: &role}})
	before := h.Process(t.Context(), ref)
	other := role
	other.Dispatcher.Metrics = schema.Addr(taken.Addr().String())
	err = h.Reload(t.Context(), reconcile.ReloadRole{Role: ref, Told: reconcile.Told{Dispatcher: &other}})
	if err == nil || !strings.Contains(err.Error(), "is taken by") {
		t.Errorf("got %v", err)
	}
	if now := h.Process(t.Context(), ref); !now.Running || now.PID != before.PID {
		t.Errorf("it was %+v, now it is %+v", before, now)
	}
	mustStop(t, h, ref)
}

// proxyStart is the start of a proxy p1 on a free port.
func proxyStart(t *testing.T) reconcile.StartRole {
	t.Helper()
	addr := schema.NewAddr("127.0.0.1", redistest.Ports(t, 1)[0])
	role := schema.ProxyRole{Proxy: schema.Proxy{Name: "p1", Cluster: "cache", Address: "127.0.0.1",
		Listeners: []schema.Listener{{Name: "main", Addr: addr}}}}
	return reconcile.StartRole{Role: reconcile.RoleRef{Cluster: "cache", Name: "p1", Kind: reconcile.KindProxy, Addr: addr}, Told: reconcile.Told{Proxy: &role}}
}

// TestProxyLife: a proxy starts, takes new settings, refuses bad ones, is found
// when its record is lost, and ends.
func TestProxyLife(t *testing.T) {
	t.Parallel()
	h, a := newHost(t), proxyStart(t)
	mustStart(t, h, a)
	p := h.Process(t.Context(), a.Role)
	l := h.Loaded(a.Role)
	if !p.Running || p.PID == 0 || l.Digest != a.Proxy.Digest() || l.Version != "fake" || l.Told.Proxy == nil {
		t.Fatalf("it is %+v and runs with %+v", p, l)
	}
	if err := h.Start(t.Context(), a); err == nil || !strings.Contains(err.Error(), "runs already") {
		t.Errorf("a second start says %v", err)
	}

	good := *a.Proxy
	good.Proxy.MaxClients = 5
	if err := h.Reload(t.Context(), reconcile.ReloadRole{Role: a.Role, Told: reconcile.Told{Proxy: &good}}); err != nil {
		t.Fatal(err)
	}
	if l := h.Loaded(a.Role); l.Digest != good.Digest() || l.Told.Proxy == nil || l.Told.Proxy.Proxy.MaxClients != 5 {
		t.Errorf("it runs with %+v", l)
	}
	bad := good
	bad.Proxy.MaxClients = badClients
	for range 2 { // the second time, what it told before must not count
		err := h.Reload(t.Context(), reconcile.ReloadRole{Role: a.Role, Told: reconcile.Told{Proxy: &bad}})
		if err == nil || !strings.Contains(err.Error(), "goes on as before: too evil") {
			t.Errorf("got %v", err)
		}
	}
	if l := h.Loaded(a.Role); l.Digest != good.Digest() || l.Refused != bad.Digest() || l.Told.Proxy != nil {
		t.Errorf("it runs with %+v", l)
	}

	if err := os.Remove(h.roleDir(a.Role, "role.json")); err != nil {
		t.Fatal(err)
	}
	if again := h.Process(t.Context(), a.Role); again.PID != p.PID {
		t.Errorf("found %+v, want process %d", again, p.PID)
	}
	mustStop(t, h, a.Role)
	if p := h.Process(t.Context(), a.Role); p.Running || p.Foreign != "" || h.Loaded(a.Role) != (reconcile.Loaded{}) {
		t.Errorf("after the stop: %+v", p)
	}
	if err := h.Reload(t.Context(), reconcile.ReloadRole{Role: a.Role, Told: reconcile.Told{Proxy: &good}}); !errors.Is(err, errEnded) {
		t.Errorf("a reload of what does not run says %v", err)
	}
}

// TestProxySecrets: exactly the variables that are referenced reach the process,
// and no value is on disk, in its arguments or in an error.
func TestProxySecrets(t *testing.T) {
	const value = "w0rd-of-the-token"
	t.Setenv("HOST_TEST_TOKEN", value)
	t.Setenv("HOST_TEST_OTHER", "other-w0rd")
	h, a := newHost(t), proxyStart(t)
	a.Proxy.Proxy.AdminToken = &schema.Secret{Env: "HOST_TEST_TOKEN"}
	mustStart(t, h, a)
	pid := h.Process(t.Context(), a.Role).PID
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil || !strings.Contains(string(environ), "HOST_TEST_TOKEN="+value) || strings.Contains(string(environ), "OTHER") {
		t.Errorf("%v: its environment is %q", err, environ)
	}
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || strings.Contains(string(line), value) {
		t.Errorf("%v: its command line is %q", err, line)
	}
	mustStop(t, h, a.Role)
	a.Proxy.Proxy.MaxClients = badClients
	if err := h.Start(t.Context(), a); err == nil || !strings.Contains(err.Error(), "start with <secret>: too evil") {
		t.Errorf("got %v", err)
	}
	for _, name := range []string{"proxy.json", "role.json"} {
		content, err := os.ReadFile(h.roleDir(a.Role, name))
		if err != nil || strings.Contains(string(content), value) {
			t.Errorf("%s: %v, %s", name, err, content)
		}
		if info, err := os.Stat(h.roleDir(a.Role, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, err, info)
		}
	}
	t.Setenv("HOST_TEST_TOKEN", "")
	if err := h.Start(t.Context(), a); err == nil || !strings.Contains(err.Error(), "HOST_TEST_TOKEN is not set") {
		t.Errorf("got %v", err)
	}
}

// TestProxyStartRefused: nothing is written when a start cannot go well.
func TestProxyStartRefused(t *testing.T) {
	t.Parallel()
	h, a := newHost(t), proxyStart(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	second := schema.Listener{Name: "second", Addr: schema.Addr(taken.Addr().String())}
	with := func(l schema.Listener) reconcile.StartRole {
		b := a
		role := *a.Proxy
		role.Proxy.Listeners = append(slices.Clone(role.Proxy.Listeners), l)
		b.Proxy = &role
		return b
	}
	away := a
	away.Role.Addr = "203.0.113.9:1"
	named := a
	named.Role.Name = "../p1"
	for want, b := range map[string]reconcile.StartRole{
		"is taken by":              with(second),
		"no proxy of this machine": away,
		"it is no file name":       named,
	} {
		if err := h.Start(t.Context(), b); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if found, _ := filepath.Glob(h.root("clusters", "*", "*")); len(found) > 0 {
		t.Errorf("there is %v", found)
	}
	second.ReusePort = true // then others may have it
	mustStart(t, h, with(second))
}

// TestProxyIsNotAnother: a process that has the pid of a proxy that is gone is
// not taken for it.
func TestProxyIsNotAnother(t *testing.T) {
	t.Parallel()
	h, a := newHost(t), proxyStart(t)
	if err := h.writeSettings(a.Role, a.Told); err != nil {
		t.Fatal(err)
	}
	if err := WriteLoaded(h.confPath(a.Role), reconcile.Loaded{Digest: a.Proxy.Digest()}); err != nil {
		t.Fatal(err) // with the pid of this test
	}
	if p := h.Process(t.Context(), a.Role); p.Running || h.Loaded(a.Role).Digest != "" {
		t.Errorf("it is taken for %+v", p)
	}
	self, err := supervise.Find(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	r := role{RoleRef: a.Role, Process: self}
	r.Process.Start++ // another process that had the pid
	if err := h.writeRole(r); err != nil {
		t.Fatal(err)
	}
	if p := h.Process(t.Context(), a.Role); p.Running || h.Loaded(a.Role).Digest != "" {
		t.Errorf("it is taken for %+v", p)
	}
}

// TestReloadTimesOut: a proxy that hangs is no endless wait.
func TestReloadTimesOut(t *testing.T) {
	t.Parallel()
	h, a := newHost(t), proxyStart(t)
	mustStart(t, h, a)
	r, _, err := h.readRole(a.Role)
	if err != nil {
		t.Fatal(err)
	}
	if err := supervise.Signal(r.Process, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	other := *a.Proxy
	other.Proxy.MaxClients = 5
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := h.Reload(ctx, reconcile.ReloadRole{Role: a.Role, Told: reconcile.Told{Proxy: &other}}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if err := supervise.Signal(r.Process, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	redistest.Wait(t, 10*time.Second, func() error {
		if h.Loaded(a.Role).Digest != other.Digest() {
			return errors.New("the settings are not taken yet")
		}
		return nil
	})
}
