package agent

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

const (
	// graphiteBytes bounds what waits for a server that is away.
	graphiteBytes = 1 << 20
	// graphiteLimit bounds one push.
	graphiteLimit = 5 * time.Second
)

// pushGraphite sends what was seen last, once per interval, until ctx ends. What
// cannot be sent is kept for the next time, the latest megabyte of it.
func (a *Agent) pushGraphite(ctx context.Context) {
	g := a.Role.Agent.Graphite
	ticker := time.NewTicker(max(g.Interval, time.Second))
	defer ticker.Stop()
	waiting, before := "", ""
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			waiting = bounded(waiting + a.graphiteLines(now))
		}
		err := push(ctx, g.Addr, waiting)
		if text := brief(err); text != before && ctx.Err() == nil {
			a.trouble("graphite "+g.Addr, text)
			before = text
		}
		if err == nil {
			waiting = ""
		}
	}
}

// bounded drops the oldest lines of what is too long.
func bounded(lines string) string {
	if len(lines) <= graphiteBytes {
		return lines
	}
	rest := lines[len(lines)-graphiteBytes:]
	return rest[strings.IndexByte(rest, '\n')+1:]
}

// push sends lines on a connection of its own, as the protocol has no answer that
// would tell whether an older one still lives.
func push(ctx context.Context, addr, lines string) error {
	ctx, cancel := context.WithTimeout(ctx, graphiteLimit)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return err
	}
	if _, err := conn.Write([]byte(lines)); err != nil {
		return err
	}
	return conn.Close()
}

// graphiteLines are lines "<prefix>.<cluster>.<node>.<Section>.<field> <value>
// <seconds>": the servers of the host, and the host itself as a node of the
// cluster that the agent belongs to.
func (a *Agent) graphiteLines(now time.Time) string {
	var b strings.Builder
	sample, nodes := a.seen.get()
	line := func(cluster, node, section, field string, value float64, at time.Time) {
		if p := strings.Trim(a.Role.Agent.Graphite.Prefix, "."); p != "" {
			b.WriteString(p + ".")
		}
		fmt.Fprintf(&b, "%s.%s.%s.%s %s %d\n", key(cluster), key(node), section, field, text(value), at.Unix())
	}
	if sample != nil {
		for _, f := range hostFigures(sample) {
			line(a.Role.Agent.Cluster, a.Role.Agent.Host, "Host", f.name, f.value, now)
		}
	}
	for _, n := range nodes {
		line(n.cluster, n.name, "Server", "up", number(n.up), now)
		for _, f := range figures {
			if value, ok := n.numbers[f.name]; ok {
				line(n.cluster, n.name, f.section, f.name, value, n.at)
			}
		}
	}
	return b.String()
}

// key makes a name one part of a key: dots would split it.
func key(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, name)
}

func text(value float64) string { return strconv.FormatFloat(value, 'f', -1, 64) }

// hostFigure is one number of a sample.
type hostFigure struct {
	name, help string
	value      float64
}

// hostFigures are the numbers of a sample that have no labels.
func hostFigures(s *Sample) []hostFigure {
	list := []hostFigure{{"dropped_total", "Samples that the outbox has lost.", float64(s.Dropped)},
		{"stale", "Parts of the host that do not answer.", float64(len(s.Stale))}}
	add := func(name, help string, value float64) { list = append(list, hostFigure{name, help, value}) }
	for _, u := range []struct {
		name, help string
		value      *float64
	}{{"cpu_usage", "Percent of all cores in use.", s.CPU}, {"mem_usage", "Percent of memory in use.", s.Mem},
		{"disk_usage", "Percent in use of the fullest mount.", s.Disk}} {
		if u.value != nil {
			add(u.name, u.help, *u.value)
		}
	}
	if s.Times != nil {
		add("cpu_iowait", "Percent of CPU time spent waiting for disks.", s.Times.IOWait)
		add("cpu_steal", "Percent of CPU time that the hypervisor took.", s.Times.Steal)
	}
	if s.Load != nil {
		add("load1", "Load average of one minute.", s.Load.One)
		add("load5", "Load average of five minutes.", s.Load.Five)
		add("load15", "Load average of fifteen minutes.", s.Load.Fifteen)
	}
	if s.Memory != nil {
		add("memory_total_bytes", "Memory.", float64(s.Memory.Total))
		add("memory_available_bytes", "Memory that programs can get without swapping.", float64(s.Memory.Available))
	}
	if s.Swap != nil {
		add("swap_used_bytes", "Swap space in use.", float64(s.Swap.Used))
	}
	if s.Uptime > 0 {
		add("uptime_seconds", "Time since the host started.", float64(s.Uptime))
	}
	return list
}
