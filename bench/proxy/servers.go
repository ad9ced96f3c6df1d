package proxy

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// What is measured. direct is the server without a proxy.
const (
	direct     = "direct"
	haproxy    = "haproxy"
	nutcracker = "nutcracker"
	rsm        = "rsm"
)

// targetNames are all, in the order in which a round measures them.
var targetNames = []string{direct, haproxy, nutcracker, rsm}

// masterName is the name of the master in the Sentinels and of the cluster.
const masterName = "bench"

// How long a server is silent before a Sentinel takes it for dead: where
// failovers are measured, and where none should happen. Sentinels send a PING per
// second (Redis 7.0), so with one second a busy one often takes the new master
// for dead, too.
const (
	crashDownAfter = 2 * time.Second
	calmDownAfter  = 5 * time.Second
)

// target is where a load goes.
type target struct {
	name, addr string
	pid        pid // of the proxy; 0 is none
}

// endpoint is the address of a port on loopback.
func endpoint(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// bed is servers that were started, and the proxies before them.
type bed struct {
	o                options
	dir              string
	cpu              int // where the servers and the proxies are pinned, -1 for nowhere
	redis, sentinels []int
	ports            proxyPorts
	running          []*process
	targets          []target
}

// proxyPorts are the ports of the proxies; stats is a second one of nutcracker.
type proxyPorts struct{ haproxy, nutcracker, stats, rsm int }

// makeBed makes the folder and picks the ports.
func makeBed(o options, dir string, cpu, redis int) (*bed, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create folder: %w", err)
	}
	p, err := freePorts(redis + 7)
	if err != nil {
		return nil, err
	}
	b := &bed{o: o, dir: dir, cpu: cpu, redis: p[:redis], sentinels: p[redis : redis+3]}
	p = p[redis+3:]
	b.ports = proxyPorts{p[0], p[1], p[2], p[3]}
	return b, nil
}

// startBed starts one redis-server that saves nothing, three Sentinels, and the
// proxies that were asked for. Whoever gets the bed calls stop.
func startBed(ctx context.Context, o options, dir string, cpu int) (*bed, error) {
	b, err := makeBed(o, dir, cpu, 1)
	if err != nil {
		return nil, err
	}
	if err := b.startRedis(ctx); err != nil {
		b.stop()
		return nil, err
	}
	return b, b.startTargets(ctx, o.targets)
}

// startTargets starts proxies; when one does not start, the bed is stopped.
func (b *bed) startTargets(ctx context.Context, names []string) error {
	for _, name := range names {
		t, err := b.startTarget(ctx, name)
		if err != nil {
			b.stop()
			return err
		}
		b.targets = append(b.targets, t)
	}
	return nil
}

// stop ends everything, what was started last first.
func (b *bed) stop() {
	for i := len(b.running) - 1; i >= 0; i-- {
		b.running[i].stop()
	}
	b.running = nil
}

// run starts a process and waits until it answers at the port.
func (b *bed) run(ctx context.Context, name string, port int, argv ...string) (pid, error) {
	p, err := start(b.dir, name, b.cpu, argv...)
	if err != nil {
		return 0, err
	}
	b.running = append(b.running, p)
	return p.pid, p.await(ctx, endpoint(port))
}

func (b *bed) startRedis(ctx context.Context) error {
	port := b.redis[0]
	_, err := b.run(ctx, "redis", port, "redis-server", "--bind", "127.0.0.1", "--port", strconv.Itoa(port),
		"--save", "", "--appendonly", "no", "--maxclients", strconv.Itoa(mostClients()), "--dir", b.dir)
	if err != nil {
		return err
	}
	for i, sentinel := range b.sentinels {
		name := fmt.Sprintf("sentinel%d", i+1)
		path := filepath.Join(b.dir, name+".conf")
		if err := os.WriteFile(path, []byte(sentinelConfig(sentinel, port)), 0o600); err != nil {
			return fmt.Errorf("write configuration: %w", err)
		}
		if _, err := b.run(ctx, name, sentinel, "redis-sentinel", path); err != nil {
			return err
		}
	}
	return nil
}

func sentinelConfig(port, master int) string {
	return fmt.Sprintf(`bind 127.0.0.1
port %d
sentinel monitor %[2]s 127.0.0.1 %d 2
sentinel down-after-milliseconds %[2]s %d
`, port, masterName, master, calmDownAfter.Milliseconds())
}

// startTarget starts one proxy and returns how to reach it.
func (b *bed) startTarget(ctx context.Context, name string) (target, error) {
	switch name {
	case direct:
		return target{name: name, addr: endpoint(b.redis[0])}, nil
	case haproxy:
		return b.startProxy(ctx, name, b.ports.haproxy, haproxyConfig(b.ports.haproxy, b.redis), "haproxy", "-db", "-f", "{config}")
	case nutcracker:
		text := nutcrackerConfig(b.ports.nutcracker, b.redis[0])
		return b.startProxy(ctx, name, b.ports.nutcracker, text, "nutcracker", "-c", "{config}", "-a", "127.0.0.1", "-s", strconv.Itoa(b.ports.stats))
	}
	if b.o.rsmAddr != "" {
		return target{name: name, addr: b.o.rsmAddr, pid: pid(b.o.rsmPID)}, nil
	}
	fill := strings.NewReplacer("{rsm}", b.o.rsm, "{listen}", endpoint(b.ports.rsm), "{redis}", endpoint(b.redis[0]))
	argv := strings.Fields(b.o.rsmCommand)
	for i := range argv {
		argv[i] = fill.Replace(argv[i])
	}
	return b.startProxy(ctx, name, b.ports.rsm, spec(b.redis, b.sentinels, calmDownAfter, b.ports.rsm), argv...)
}

// startProxy writes a configuration file and runs a program that reads it.
func (b *bed) startProxy(ctx context.Context, name string, port int, config string, argv ...string) (target, error) {
	path := filepath.Join(b.dir, name+".conf")
	if name == rsm {
		path = filepath.Join(b.dir, name+".cue") // a spec's files are known by their end
	}
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		return target{}, fmt.Errorf("write configuration: %w", err)
	}
	for i := range argv {
		argv[i] = strings.ReplaceAll(argv[i], "{config}", path)
	}
	pid, err := b.run(ctx, name, port, argv...)
	return target{name: name, addr: endpoint(port), pid: pid}, err
}
