package proxy

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
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

// target is where a load goes.
type target struct {
	name, addr string
	pid        pid // of the proxy; 0 is none
}

// endpoint is the address of a port on loopback.
func endpoint(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// bed is one redis-server with three Sentinels and the proxies before it.
type bed struct {
	o       options
	dir     string
	cpu     int // where the server and the proxies are pinned, -1 for nowhere
	ports   []int
	running []*process
	targets []target
}

// The ports of a bed, as indices.
const (
	redisPort = iota
	sentinelPort
	haproxyPort    = sentinelPort + 3
	nutcrackerPort = haproxyPort + 1
	nutcrackerInfo = haproxyPort + 2
	rsmPort        = haproxyPort + 3
	bedPorts       = haproxyPort + 4
)

// startBed starts the server, its Sentinels and the proxies that were asked for
// in a folder. Whoever gets the bed calls stop, also after an error.
func startBed(ctx context.Context, o options, dir string, cpu int) (*bed, error) {
	b := &bed{o: o, dir: dir, cpu: cpu}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return b, fmt.Errorf("create folder: %w", err)
	}
	ports, err := freePorts(bedPorts)
	if err != nil {
		return b, err
	}
	b.ports = ports
	if err := b.startRedis(ctx); err != nil {
		return b, err
	}
	for _, name := range o.targets {
		t, err := b.startTarget(ctx, name)
		if err != nil {
			return b, err
		}
		b.targets = append(b.targets, t)
	}
	return b, nil
}

func (b *bed) addr(port int) string { return endpoint(b.ports[port]) }

// stop ends everything, what was started last first.
func (b *bed) stop() {
	for i := len(b.running) - 1; i >= 0; i-- {
		b.running[i].stop()
	}
	b.running = nil
}

// run starts a process and waits until it answers at the address.
func (b *bed) run(ctx context.Context, name, addr string, argv ...string) (pid, error) {
	p, err := start(b.dir, name, b.cpu, argv...)
	if err != nil {
		return 0, err
	}
	b.running = append(b.running, p)
	return p.pid, p.await(ctx, addr)
}

func (b *bed) startRedis(ctx context.Context) error {
	_, err := b.run(ctx, "redis", b.addr(redisPort), "redis-server", "--bind", "127.0.0.1", "--port", strconv.Itoa(b.ports[redisPort]),
		"--save", "", "--appendonly", "no", "--maxclients", strconv.Itoa(mostClients()), "--dir", b.dir)
	if err != nil {
		return err
	}
	for i := range 3 {
		port := b.ports[sentinelPort+i]
		name := fmt.Sprintf("sentinel%d", i+1)
		path := filepath.Join(b.dir, name+".conf")
		if err := os.WriteFile(path, []byte(sentinelConfig(port, b.ports[redisPort])), 0o600); err != nil {
			return fmt.Errorf("write configuration: %w", err)
		}
		if _, err := b.run(ctx, name, endpoint(port), "redis-sentinel", path); err != nil {
			return err
		}
	}
	return nil
}

func sentinelConfig(port, master int) string {
	return fmt.Sprintf("bind 127.0.0.1\nport %d\nsentinel monitor %s 127.0.0.1 %d 2\n", port, masterName, master)
}

// startTarget starts one proxy and returns how to reach it.
func (b *bed) startTarget(ctx context.Context, name string) (target, error) {
	switch name {
	case direct:
		return target{name: name, addr: b.addr(redisPort)}, nil
	case haproxy:
		text := haproxyConfig(b.ports[haproxyPort], "  server master "+b.addr(redisPort)+"\n")
		return b.startProxy(ctx, name, haproxyPort, text, "haproxy", "-db", "-f", "{config}")
	case nutcracker:
		text := nutcrackerConfig(b.ports[nutcrackerPort], b.ports[redisPort])
		return b.startProxy(ctx, name, nutcrackerPort, text, "nutcracker", "-c", "{config}", "-s", strconv.Itoa(b.ports[nutcrackerInfo]),
			"-a", "127.0.0.1")
	}
	if b.o.rsmAddr != "" {
		return target{name: name, addr: b.o.rsmAddr, pid: pid(b.o.rsmPID)}, nil
	}
	role, err := proxyRole(b.ports[rsmPort], b.ports[redisPort:redisPort+1], b.ports[sentinelPort:sentinelPort+3])
	if err != nil {
		return target{}, err
	}
	argv := strings.Fields(b.o.rsmCommand)
	for i := range argv {
		argv[i] = strings.NewReplacer("{rsm}", b.o.rsm, "{listen}", b.addr(rsmPort), "{redis}", b.addr(redisPort)).Replace(argv[i])
	}
	return b.startProxy(ctx, name, rsmPort, role, argv...)
}

// startProxy writes a configuration file and runs a program that reads it.
func (b *bed) startProxy(ctx context.Context, name string, port int, config string, argv ...string) (target, error) {
	path := filepath.Join(b.dir, name+".conf")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		return target{}, fmt.Errorf("write configuration: %w", err)
	}
	for i := range argv {
		argv[i] = strings.ReplaceAll(argv[i], "{config}", path)
	}
	pid, err := b.run(ctx, name, b.addr(port), argv...)
	return target{name: name, addr: b.addr(port), pid: pid}, err
}
