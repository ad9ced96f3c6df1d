package proxy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"rsm/bench/page"
)

// title is how the report calls a target.
var title = map[string]string{direct: "direct", haproxy: "HAProxy", nutcracker: "nutcracker", rsm: "rsm"}

// text is everything for a terminal.
func (r results) text(o options) string {
	var b strings.Builder
	header := []string{"load", "command", "through", "requests/s", "to direct", "of rounds", "p50", "p99", "p99 to direct", "CPU/command"}
	for _, pin := range o.placements {
		if rows := r.loadRows(o, pin); len(rows) > 0 {
			b.WriteString(placementName(pin) + "\n" + page.Text(header, rows) + "\n")
		}
	}
	if len(r.idle) > 0 {
		b.WriteString(page.Text(idleHeader, r.idleRows()) + "\n")
	}
	if len(r.failovers) > 0 {
		b.WriteString(page.Text(failoverHeader, r.failoverRows()) + "\n")
	}
	if !o.quick {
		judged := slices.DeleteFunc(r.verdictRows(o), func(row []string) bool { return row[1] == noneMeasured })
		b.WriteString(page.Text(verdictHeader, judged))
	}
	return b.String()
}

func placementName(pin bool) string {
	if pin {
		return "Pinned: the load generator on processor 0, the server and the proxy on processor 1"
	}
	return "Not pinned"
}

// loadRows are the cells that were measured, in the order of the loads.
func (r results) loadRows(o options, pin bool) [][]string {
	var rows [][]string
	for _, l := range o.loads {
		for _, op := range ops {
			for _, name := range o.targets {
				if c, ok := r.loads.cell(place{pin, l.name, op, name}); ok {
					rows = append(rows, loadRow(l, c))
				}
			}
		}
	}
	return rows
}

func loadRow(l load, c cell) []string {
	row := []string{l.String(), c.op, c.target, rate(c.rps), "", "", latency(c.p50), latency(c.p99), "", ""}
	if c.target != direct {
		row[4], row[5] = fmt.Sprintf("%.2f", c.ratio), fmt.Sprintf("%.2f–%.2f", c.lowest, c.highest)
		row[8], row[9] = fmt.Sprintf("%.2f", c.p99Ratio), computing(c)
	}
	return row
}

// markdown is the section of the report.
func (r results) markdown(o options) string {
	var b strings.Builder
	section := func(name string, header []string, rows [][]string) {
		if len(rows) > 0 {
			fmt.Fprintf(&b, "**%s**\n\n%s\n", name, page.Markdown(header, rows))
		}
	}
	section("Goals", verdictHeader, r.verdictRows(o))
	proxies := slices.DeleteFunc(slices.Clone(o.targets), func(name string) bool { return name == direct })
	for _, pin := range o.placements {
		where := ", not pinned"
		if pin {
			where = ", pinned"
		}
		section("Requests per second, and the ratio to direct"+where, loadHeader(o.targets), r.matrix(o, o.targets, pin, func(c cell) string {
			if c.target == direct {
				return rate(c.rps)
			}
			return fmt.Sprintf("%.2f", c.ratio)
		}))
		section("Latency, p50 / p99"+where, loadHeader(o.targets), r.matrix(o, o.targets, pin, func(c cell) string { return latency(c.p50) + " / " + latency(c.p99) }))
		section("CPU of the proxy per command"+where, loadHeader(proxies), r.matrix(o, proxies, pin, computing))
	}
	section("Idle connections", idleHeader, r.idleRows())
	section("Failovers, 8 writers; median and worst of the runs", failoverHeader, r.failoverRows())
	return strings.TrimSuffix(b.String(), "\n")
}

// matrix has a row for each load and command, and a column for each named target.
func (r results) matrix(o options, names []string, pin bool, show func(cell) string) [][]string {
	var rows [][]string
	for _, l := range o.loads {
		for _, op := range ops {
			row, some := []string{l.String() + ", " + op}, false
			for _, name := range names {
				c, ok := r.loads.cell(place{pin, l.name, op, name})
				if some = some || ok; ok {
					row = append(row, show(c))
				} else {
					row = append(row, "")
				}
			}
			if some {
				rows = append(rows, row)
			}
		}
	}
	return rows
}

func loadHeader(names []string) []string {
	header := []string{"load"}
	for _, name := range names {
		header = append(header, title[name])
	}
	return header
}

// computing is the CPU time of a command.
func computing(c cell) string {
	if c.cpu <= 0 {
		return ""
	}
	return fmt.Sprintf("%.1f µs", float64(c.cpu)/float64(time.Microsecond))
}

var (
	verdictHeader  = []string{"goal", "measured", "verdict"}
	idleHeader     = []string{"through", "idle connections", "memory each", "descriptors each"}
	failoverHeader = []string{"failover", "through", "runs", "first write after the new master's", "outage", "longest stall of a writer", "acknowledged", "lost", "failed"}
)

func (r results) verdictRows(o options) [][]string {
	var rows [][]string
	for _, v := range r.verdicts(o) {
		rows = append(rows, v.row())
	}
	return rows
}

func (r results) idleRows() [][]string {
	var rows [][]string
	for _, i := range r.idle {
		rows = append(rows, []string{title[i.target], fmt.Sprint(i.clients), fmt.Sprintf("%.0f B", i.bytes), fmt.Sprintf("%.1f", i.files)})
	}
	return rows
}

func (r results) failoverRows() [][]string {
	var rows [][]string
	for _, d := range drills(options{}) {
		s := summarise(r.failovers, d.kind, d.target)
		if s.runs == 0 {
			continue
		}
		late := ""
		if d.kind == crash {
			late = both(s.late)
		}
		rows = append(rows, []string{d.kind, title[d.target], fmt.Sprint(s.runs), late, both(s.outage), both(s.stall),
			fmt.Sprint(s.acked), fmt.Sprint(s.lost), s.failed.String()})
	}
	return rows
}

func both(s spread) string { return duration(s.middle) + ", " + duration(s.most) }

// rate rounds requests per second to three digits.
func rate(rps float64) string {
	switch {
	case rps >= 1e6:
		return fmt.Sprintf("%.2f M", rps/1e6)
	case rps >= 1e5:
		return fmt.Sprintf("%.0f k", rps/1e3)
	}
	return fmt.Sprintf("%.1f k", rps/1e3)
}

// latency is in µs up to 10 ms.
func latency(d time.Duration) string {
	if d >= 10*time.Millisecond {
		return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
	}
	return fmt.Sprintf("%d µs", d.Round(time.Microsecond).Microseconds())
}

// duration is in ms below a second.
func duration(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%d ms", d.Round(time.Millisecond).Milliseconds())
	}
	return strings.TrimSuffix(fmt.Sprintf("%.2f", d.Seconds()), ".00") + " s"
}
