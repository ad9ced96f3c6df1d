package proxy

import (
	"fmt"
	"time"

	"rsm/bench/page"
)

// loadHeader are the columns of the throughput table.
var loadHeader = []string{"load", "command", "through", "requests/s", "ratio to direct", "of rounds", "p50", "p99", "p99 to direct", "CPU per command"}

// loadText is the throughput table for a terminal, one per placement.
func loadText(o options, s series) string {
	text := ""
	for _, pin := range o.placements {
		text += placementName(pin) + "\n" + page.Text(loadHeader, loadRows(o, s, pin)) + "\n"
	}
	return text
}

func placementName(pin bool) string {
	if pin {
		return "Pinned: load generator on processor 0, the server and the proxy on processor 1"
	}
	return "Not pinned"
}

// loadRows are the cells that were measured, in the order of the loads.
func loadRows(o options, s series, pin bool) [][]string {
	var rows [][]string
	for _, l := range o.loads {
		for _, op := range ops {
			for _, name := range o.targets {
				if c, ok := s.cell(place{pin, l.name, op, name}); ok {
					rows = append(rows, loadRow(l, c))
				}
			}
		}
	}
	return rows
}

func loadRow(l load, c cell) []string {
	row := []string{l.String(), c.op, c.target, rate(c.rps), "", "", micros(c.p50), micros(c.p99), "", ""}
	if c.target == direct {
		return row
	}
	row[4], row[5] = fmt.Sprintf("%.2f", c.ratio), fmt.Sprintf("%.2f–%.2f", c.lowest, c.highest)
	row[8] = fmt.Sprintf("%.2f", c.p99Ratio)
	if c.cpu > 0 {
		row[9] = fmt.Sprintf("%.1f µs", float64(c.cpu)/float64(time.Microsecond))
	}
	return row
}

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

func micros(d time.Duration) string {
	if d >= 10*time.Millisecond {
		return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
	}
	return fmt.Sprintf("%d µs", d.Round(time.Microsecond).Microseconds())
}
