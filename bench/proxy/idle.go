package proxy

import (
	"context"
	"fmt"
	"io"
	"time"
)

// idle is what connections cost a proxy that nobody uses at the moment.
type idle struct {
	target  string
	clients int
	bytes   float64 // resident memory per client
	files   float64 // descriptors per client
}

// idleClients is how many connections are opened, where the system allows it.
const idleClients = 10_000

// measureIdle opens many connections to each proxy, one proxy after the other,
// each fresh, and lets them rest. Every connection has sent a PING: one that
// never sent anything has not been given all it needs.
func measureIdle(ctx context.Context, o options, dir string, progress io.Writer) ([]idle, error) {
	b, err := startBed(ctx, o, dir, -1)
	if err != nil {
		return nil, err
	}
	defer b.stop()
	var found []idle
	for _, t := range b.targets {
		if t.pid == 0 {
			continue
		}
		n := min(idleClients, descriptors()-reserve)
		if t.name == haproxy {
			n = min(n, (descriptors()-reserve)/2-10) // its maxconn, and some for the bed
		}
		fmt.Fprintf(progress, "bench: %d idle connections to %s\n", n, t.name)
		one, err := rest(ctx, t, n)
		if err != nil {
			return nil, fmt.Errorf("measure idle connections of %s: %w", t.name, err)
		}
		found = append(found, one)
	}
	return found, nil
}

// rest opens n connections and compares the proxy with before.
func rest(ctx context.Context, t target, n int) (idle, error) {
	memory, files, err := t.pid.holds()
	if err != nil {
		return idle{}, err
	}
	clients := make([]*client, 0, n)
	defer func() {
		for _, c := range clients {
			c.close()
		}
	}()
	for i := range n {
		c, err := dial(t.addr, 5*time.Second)
		if err != nil {
			return idle{}, fmt.Errorf("open connection %d: %w", i+1, err)
		}
		clients = append(clients, c)
		if _, err := c.do("PING"); err != nil {
			return idle{}, fmt.Errorf("use connection %d: %w", i+1, err)
		}
	}
	select {
	case <-time.After(3 * time.Second): // what the proxy frees by then is not in use
	case <-ctx.Done():
		return idle{}, ctx.Err()
	}
	memoryNow, filesNow, err := t.pid.holds()
	if err != nil {
		return idle{}, err
	}
	return idle{t.name, n, float64(memoryNow-memory) / float64(n), float64(filesNow-files) / float64(n)}, nil
}

// holds is the memory and the descriptors of a process.
func (p pid) holds() (memory int64, files int, err error) {
	if memory, err = p.rss(); err != nil {
		return 0, 0, err
	}
	files, err = p.files()
	return memory, files, err
}
