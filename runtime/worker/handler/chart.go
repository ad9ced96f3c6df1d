package handler

import (
	"html/template"
	"math"
	"slices"
	"time"

	"rsm/internal/fill"
)

// The size of a chart in its own units, and the room around what is drawn.
const (
	chartWide, chartHigh = 400.0, 190.0
	roomLeft, roomRight  = 38.0, 8.0
	roomTop, roomBelow   = 8.0, 20.0
)

// line is one line of a chart; NaN is a gap. kind is its class.
type line struct {
	name, kind string
	values     [columns]float64
}

// plot is a chart before it is drawn.
type plot struct {
	title       string
	from, until time.Time
	write       func(float64) string
	top         float64 // the end of the scale, 0 for what fits
	unit        float64 // of what scales are made, such as 1024 for bytes; 0 is 1000
	lines       []line
	// band fills the room between two lines.
	band [2]int
}

// charts are those of hosts, and of Redis when there is any.
func (f *fleet) charts(hosts []*host, nodes []*node) []Chart {
	var charts []Chart
	for _, c := range []struct {
		m     metric
		title string
	}{{cpu, "CPU"}, {mem, "Memory"}, {disk, "Fullest disk"}} {
		p := plot{title: c.title, from: f.from, until: f.until, write: percent, top: 100, band: [2]int{0, 1}}
		half, high := line{name: "median", kind: "a"}, line{name: "95th percentile", kind: "b"}
		for i := range columns {
			half.values[i], high.values[i] = f.over[c.m][i].quantile(0.5), f.over[c.m][i].quantile(0.95)
		}
		p.lines = append(p.lines, half, high)
		if len(hosts) > 1 {
			p.lines = append(p.lines, busiest(hosts, c.m))
		}
		charts = p.draw(charts)
	}
	load1 := plot{title: "Load", from: f.from, until: f.until, write: figure, band: [2]int{0, 1}, lines: []line{{name: "median", kind: "a"}, {name: "95th percentile", kind: "b"}}}
	for i := range columns {
		load1.lines[0].values[i], load1.lines[1].values[i] = f.over[load][i].quantile(0.5), f.over[load][i].quantile(0.95)
	}
	charts = load1.draw(charts)
	rate := func(v float64) string { return fill.Bytes(v) + "/s" }
	network := plot{title: "Network, all hosts", from: f.from, until: f.until, write: rate, unit: 1024, lines: []line{{name: "in", kind: "a"}, {name: "out", kind: "b"}}}
	network.lines[0].values, network.lines[1].values = totalOf(hosts, netIn), totalOf(hosts, netOut)
	charts = network.draw(charts)
	commands := plot{title: "Redis, all servers", from: f.from, until: f.until, write: figure, lines: []line{{name: "commands/s", kind: "a"}}}
	commands.lines[0].values = total(nodes, ops)
	return commands.draw(charts)
}

// busiest is the host with the highest 95th percentile.
func busiest(hosts []*host, m metric) line {
	top := slices.MaxFunc(hosts, func(a, b *host) int {
		x, y := a.series[m].quantile(0.95), b.series[m].quantile(0.95)
		return btoi(x > y || math.IsNaN(y)) - btoi(y > x || math.IsNaN(x))
	})
	l := line{name: top.name, kind: "c"}
	for i := range columns {
		l.values[i] = top.series[m].at(i)
	}
	return l
}

// totalOf adds up the means of hosts.
func totalOf(hosts []*host, m metric) [columns]float64 {
	return sum(len(hosts), func(i, column int) float64 { return hosts[i].series[m].at(column) })
}

// total adds up the means of servers.
func total(nodes []*node, m metric) [columns]float64 {
	return sum(len(nodes), func(i, column int) float64 { return nodes[i].series[m].at(column) })
}

// sum adds up n values of each column; those that are not known do not count.
func sum(n int, at func(i, column int) float64) (out [columns]float64) {
	for column := range columns {
		known := false
		for i := range n {
			if v := at(i, column); !math.IsNaN(v) {
				out[column], known = out[column]+v, true
			}
		}
		if !known {
			out[column] = math.NaN()
		}
	}
	return out
}

// draw adds the chart, unless there is nothing to show.
func (p plot) draw(to []Chart) []Chart {
	highest, last := math.NaN(), math.NaN()
	for _, l := range p.lines {
		for _, v := range l.values {
			if !math.IsNaN(v) && !(v <= highest) {
				highest = v
			}
		}
	}
	if math.IsNaN(highest) {
		return to
	}
	for _, v := range p.lines[0].values {
		if !math.IsNaN(v) {
			last = v
		}
	}
	if p.top == 0 {
		p.top = roundUp(highest, p.unit)
	}
	c := Chart{Title: p.title, Now: p.lines[0].name + " now " + p.write(last)}
	for _, l := range p.lines {
		c.Lines = append(c.Lines, Legend{l.name, l.kind})
	}
	c.SVG = template.HTML(p.svg()) // every text in it is escaped
	return append(to, c)
}

// roundUp is the end of a scale with four equal parts that are easy to read. unit
// is the step between two prefixes, 1000 or 1024.
func roundUp(highest, unit float64) float64 {
	if highest <= 0 {
		return 1
	}
	prefix := 1.0
	for unit > 0 && highest/prefix >= unit {
		prefix *= unit
	}
	power := math.Pow(10, math.Floor(math.Log10(highest/prefix))) * prefix
	for _, n := range []float64{1, 2, 4, 6, 8, 10} {
		if n*power >= highest {
			return n * power
		}
	}
	return 10 * power
}

func (p plot) x(column float64) float64 {
	return roomLeft + (column+0.5)/columns*(chartWide-roomLeft-roomRight)
}

func (p plot) y(value float64) float64 {
	return roomTop + (1-min(value, p.top)/p.top)*(chartHigh-roomTop-roomBelow)
}
