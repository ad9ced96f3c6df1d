package proxy

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// load is one way to burden a server: so many clients, each sending so many
// commands at once, with values of so many bytes.
type load struct {
	name                    string
	clients, pipeline, size int
}

// loads are all of them, in the order of the report.
var loads = []load{
	{"c1-P1", 1, 1, 64},
	{"c50-P1", 50, 1, 64},
	{"c50-P16", 50, 16, 64},
	{"c50-P64", 50, 64, 64},
	{"c500-P1", 500, 1, 64},
	{"c50-10kB", 50, 1, 10_000},
}

func (l load) String() string {
	clients, size := fmt.Sprintf("%d clients", l.clients), fmt.Sprintf("%d B", l.size)
	if l.clients == 1 {
		clients = "1 client"
	}
	if l.size >= 1000 {
		size = fmt.Sprintf("%d kB", l.size/1000)
	}
	return fmt.Sprintf("%s, P%d, %s", clients, l.pipeline, size)
}

// ops are the commands, each measured alone.
var ops = []string{"SET", "GET"}

// keys is how many keys a load touches, at random.
const keys = 1000

// sample is what one run of redis-benchmark and /proc say.
type sample struct {
	rps      float64       // commands per second
	p50, p99 time.Duration // latency of a command, as its client sees it
	cpu      time.Duration // what the proxy computed per command; 0 is unknown
}

// benchmarkArgs is the command line of redis-benchmark.
func benchmarkArgs(l load, op, host, port string, requests int) []string {
	return []string{"redis-benchmark", "--csv", "-h", host, "-p", port, "-t", strings.ToLower(op), "-r", fmt.Sprint(keys),
		"-c", fmt.Sprint(l.clients), "-P", fmt.Sprint(l.pipeline), "-d", fmt.Sprint(l.size), "-n", fmt.Sprint(requests)}
}

// fire runs redis-benchmark once; cpu is where it is pinned.
func fire(ctx context.Context, argv []string, cpu int) (sample, error) {
	argv = pinned(cpu, argv)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	var out, failed bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &failed
	if err := cmd.Run(); err != nil {
		return sample{}, fmt.Errorf("run %s: %w\n%s", strings.Join(argv, " "), err, failed.String())
	}
	s, err := parseCSV(out.String())
	if err != nil {
		return sample{}, fmt.Errorf("run %s: %w", strings.Join(argv, " "), err)
	}
	return s, nil
}

// parseCSV reads what redis-benchmark --csv prints for one test: since 6.2 a
// heading and one line, latencies in milliseconds.
func parseCSV(text string) (sample, error) {
	records, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		return sample{}, fmt.Errorf("read CSV: %w", err)
	}
	if len(records) != 2 {
		return sample{}, fmt.Errorf("read CSV: want a heading and one line, got %q", text)
	}
	number := func(column string) float64 {
		for i, name := range records[0] {
			if name == column {
				n, failed := strconv.ParseFloat(records[1][i], 64)
				err = errors.Join(err, failed)
				return n
			}
		}
		err = errors.Join(err, errors.New("there is no "+column))
		return 0
	}
	millis := func(column string) time.Duration { return time.Duration(number(column) * float64(time.Millisecond)) }
	s := sample{rps: number("rps"), p50: millis("p50_latency_ms"), p99: millis("p99_latency_ms")}
	if err == nil && s.rps <= 0 {
		err = errors.New("no request was answered")
	}
	if err != nil {
		return sample{}, fmt.Errorf("read CSV: %w", err)
	}
	return s, nil
}

// fill gives the keys of a load values, so that every GET finds one.
func fill(addr string, l load) error {
	c, err := dial(addr, 10*time.Second)
	if err != nil {
		return fmt.Errorf("fill keys: %w", err)
	}
	defer c.close()
	value := strings.Repeat("x", l.size)
	commands := make([][]string, keys)
	for i := range commands {
		commands[i] = []string{"SET", fmt.Sprintf("key:%012d", i), value}
	}
	if err := c.pipeline(commands, nil); err != nil {
		return fmt.Errorf("fill keys: %w", err)
	}
	return nil
}
