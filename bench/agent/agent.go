// Package agent measures what an agent of rsm costs its host: memory and CPU of
// the process, beside prometheus-node-exporter that is scraped as often as the
// agent samples.
package agent

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"rsm/bench/page"
	"rsm/bench/ports"
)

type options struct {
	rsm, exporter, report string
	watch, interval       time.Duration
}

// The goals: bytes that are resident, and the share of one core.
const (
	memoryGoal = 12 << 20
	cpuGoal    = 0.003
)

// Run is the command "bench agent".
func Run(ctx context.Context, args []string, out, progress io.Writer) error {
	var o options
	flags := flag.NewFlagSet("bench agent", flag.ContinueOnError)
	flags.SetOutput(progress)
	flags.StringVar(&o.rsm, "rsm", "bin/rsm", "the rsm `binary`")
	flags.StringVar(&o.exporter, "exporter", "prometheus-node-exporter", "the node exporter to measure beside it; empty for none")
	flags.StringVar(&o.report, "report", "", "the Markdown `file` whose agent section to rewrite; empty writes none")
	flags.DurationVar(&o.watch, "watch", time.Minute, "how `long` each is watched")
	flags.DurationVar(&o.interval, "interval", time.Second, "the time between two samples or scrapes")
	if err := flags.Parse(args); err != nil {
		return err
	}
	var err error
	if o.rsm, err = filepath.Abs(o.rsm); err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "rsm-bench-")
	if err != nil {
		return fmt.Errorf("create work folder: %w", err)
	}
	defer os.RemoveAll(work)
	facts, err := page.Machine(ctx, "make bench-agent", o.rsm)
	if err != nil {
		return err
	}
	port, err := ports.Block(4)
	if err != nil {
		return err
	}
	servers, err := startServers(ctx, work, port)
	defer servers.stop()
	if err != nil {
		return err
	}
	var rows [][]string
	for _, one := range []struct {
		name    string
		measure func(context.Context, string, int) (usage, error)
		goals   bool
	}{{"rsm agent", o.agent, true}, {"rsm agent, scraped besides", o.scraped, false}, {"prometheus-node-exporter, scraped", o.nodeExporter, false}} {
		fmt.Fprintf(progress, "bench: %s for %s\n", one.name, o.watch)
		used, err := one.measure(ctx, work, port)
		if errors.Is(err, errNone) {
			continue
		}
		if err != nil {
			return fmt.Errorf("measure %s: %w", one.name, err)
		}
		rows = append(rows, used.row(one.name, one.goals))
	}
	header := []string{"process", "RSS, median", "RSS, highest", "of it anonymous", "CPU", "goal"}
	fmt.Fprint(out, page.Text(header, rows))
	if o.report == "" {
		return nil
	}
	return page.Rewrite(o.report, "agent", page.Markdown(header, rows)+facts.Markdown())
}

// processes end together.
type processes []*exec.Cmd

func (p *processes) start(ctx context.Context, dir, name string, args ...string) (*exec.Cmd, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	*p = append(*p, cmd)
	return cmd, nil
}

func (p *processes) stop() {
	for _, cmd := range slices.Backward(*p) {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}

// startServers runs a redis-server on port and a Sentinel on the next.
func startServers(ctx context.Context, work string, port int) (processes, error) {
	var p processes
	config := filepath.Join(work, "sentinel.conf")
	text := fmt.Sprintf("port %d\nsentinel monitor ops 127.0.0.1 %d 1\n", port+1, port)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return p, fmt.Errorf("write Sentinel: %w", err)
	}
	if _, err := p.start(ctx, work, "redis-server", "--port", fmt.Sprint(port), "--bind", "127.0.0.1", "--save", ""); err != nil {
		return p, err
	}
	_, err := p.start(ctx, work, "redis-sentinel", config)
	return p, err
}

// role is the configuration file of an agent, see schema.AgentRole.
const role = `{"Agent": {"Name": "web1", "Cluster": "ops", "Host": "web1", "Address": "127.0.0.1", "Zone": "a",
  "Interval": %[4]d, "Outbox": 1000, "Metrics": "%[3]s", "Nodes": [
   {"Cluster": "ops", "Name": "r1", "Addr": "127.0.0.1:%[1]d"}, {"Cluster": "ops", "Name": "s1", "Addr": "127.0.0.1:%[2]d", "Sentinel": true}]},
 "Access": {"Cluster": "ops", "Sentinels": ["127.0.0.1:%[2]d"], "Auth": {}}}
`

func (o options) agent(ctx context.Context, work string, port int) (usage, error) {
	return o.process(ctx, work, "", o.rsm, "agent", "--config", o.role(work, port, ""))
}

func (o options) scraped(ctx context.Context, work string, port int) (usage, error) {
	addr := fmt.Sprintf("127.0.0.1:%d", port+2)
	return o.process(ctx, work, addr, o.rsm, "agent", "--config", o.role(work, port, addr))
}

// role writes the configuration; the process tells when that failed.
func (o options) role(work string, port int, metrics string) string {
	file := filepath.Join(work, "agent.json")
	_ = os.WriteFile(file, fmt.Appendf(nil, role, port, port+1, metrics, o.interval), 0o600)
	return file
}

var errNone = errors.New("not installed")

func (o options) nodeExporter(ctx context.Context, work string, port int) (usage, error) {
	path, err := exec.LookPath(o.exporter)
	if err != nil {
		return usage{}, errNone
	}
	addr := fmt.Sprintf("127.0.0.1:%d", port+3)
	return o.process(ctx, work, addr, path, "--web.listen-address="+addr)
}

// process runs a program and watches it; with an address it is scraped meanwhile.
func (o options) process(ctx context.Context, work, scrape, name string, args ...string) (usage, error) {
	var p processes
	defer p.stop()
	cmd, err := p.start(ctx, work, name, args...)
	if err != nil {
		return usage{}, err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if scrape != "" {
		go o.scrape(ctx, "http://"+scrape+"/metrics")
	}
	warm := time.NewTimer(5 * time.Second)
	defer warm.Stop()
	select {
	case <-ctx.Done():
		return usage{}, ctx.Err()
	case <-warm.C:
	}
	return watch(ctx, cmd.Process.Pid, o.watch)
}

// scrape reads all metrics, once per interval, as Prometheus does.
func (o options) scrape(ctx context.Context, url string) {
	ticker := time.NewTicker(o.interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if response, err := http.Get(url); err == nil {
			_, _ = io.Copy(io.Discard, response.Body)
			_ = response.Body.Close()
		}
	}
}
