package observe_test

import (
	"net"
	"path/filepath"
	"strings"
	"testing"

	"rsm/internal/redistest"
	"rsm/reconcile"
	"rsm/reconcile/observe"
	"rsm/schema"
)

// listen takes a port as a proxy does, until the test ends.
func listen(t *testing.T, network, addr string) schema.Addr {
	t.Helper()
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return schema.Addr(l.Addr().String())
}

// TestProxy: what accepts connections is up, what does not run is down, and what
// runs without accepting is unknown.
func TestProxy(t *testing.T) {
	t.Parallel()
	open, free := listen(t, "tcp", "127.0.0.1:0"), schema.NewAddr("127.0.0.1", redistest.Ports(t, 1)[0])
	socket := filepath.Join(t.TempDir(), "s")
	listen(t, "unix", socket)
	runs, gone := reconcile.Process{Local: true, Running: true, PID: 7}, reconcile.Process{Local: true}
	taken := reconcile.Process{Local: true, Foreign: "nginx (pid 812)"}
	main := func(addr schema.Addr) schema.Listener { return schema.Listener{Name: "main", Addr: addr} }
	shared := schema.Listener{Name: "shared", Addr: open, ReusePort: true}
	for name, test := range map[string]struct {
		listeners []schema.Listener
		machine   map[schema.Addr]*reconcile.Process
		digest    string
		reach     reconcile.Reach
		why       string
		foreign   string
	}{
		"remote, up":          {listeners: []schema.Listener{main(open)}, reach: reconcile.Up},
		"remote, one is down": {listeners: []schema.Listener{shared, main(free)}, reach: reconcile.Down, why: "nothing listens on " + string(free)},
		"remote, hidden":      {listeners: []schema.Listener{{Name: "s", Socket: socket}}, reach: reconcile.Unknown, why: "sockets of another machine"},
		"runs": {listeners: []schema.Listener{main(open), {Name: "s", Socket: socket}},
			machine: map[schema.Addr]*reconcile.Process{open: &runs}, digest: "d", reach: reconcile.Up},
		"runs, starts": {listeners: []schema.Listener{main(open)},
			machine: map[schema.Addr]*reconcile.Process{open: &runs}, reach: reconcile.Unknown, why: "process 7 runs, but it does not tell its settings"},
		"runs, port closed": {listeners: []schema.Listener{main(free)},
			machine: map[schema.Addr]*reconcile.Process{free: &runs}, digest: "d", reach: reconcile.Unknown, why: "process 7 runs, but nothing listens"},
		"runs, socket closed": {listeners: []schema.Listener{main(open), {Name: "s", Socket: socket + "x"}},
			machine: map[schema.Addr]*reconcile.Process{open: &runs}, digest: "d", reach: reconcile.Unknown, why: socket + "x"},
		"gone": {listeners: []schema.Listener{main(free)},
			machine: map[schema.Addr]*reconcile.Process{free: &gone}, reach: reconcile.Down},
		"gone, others share its port": {listeners: []schema.Listener{shared},
			machine: map[schema.Addr]*reconcile.Process{open: &taken}, reach: reconcile.Down},
		"gone, port taken": {listeners: []schema.Listener{main(free), {Name: "other", Addr: open}},
			machine: map[schema.Addr]*reconcile.Process{free: &gone, open: &taken}, reach: reconcile.Unknown, why: "held by nginx", foreign: taken.Foreign},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := &observe.Observer{Host: &machine{local: test.machine, loaded: reconcile.Loaded{Digest: test.digest}}}
			c := &schema.Cluster{Name: "cache", Proxies: []schema.Proxy{{Name: "p1", Address: "127.0.0.1", Listeners: test.listeners}}}
			state, err := o.Observe(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			p := state.Roles["p1"]
			if p.Reach != test.reach || !strings.Contains(p.Why, test.why) || test.why == "" && p.Why != "" ||
				p.Process.Foreign != test.foreign || p.Digest != test.digest {
				t.Errorf("got %+v", p)
			}
		})
	}
}
