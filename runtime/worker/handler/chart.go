package handler

import (
	"fmt"
	"html"
	"html/template"
	"math"
	"slices"
	"strings"
	"time"
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
	rate := func(v float64) string { return bytesText(v) + "/s" }
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

// svg draws it. Each column has a title, which browsers show at the pointer.
func (p plot) svg() string {
	var out strings.Builder
	fmt.Fprintf(&out, `<svg viewBox="0 0 %.0f %.0f" role="img" aria-label="%s">`, chartWide, chartHigh, html.EscapeString(p.describe()))
	for i := range 5 {
		value := p.top * float64(i) / 4
		fmt.Fprintf(&out, `<line class="grid" x1="%.0f" x2="%.0f" y1="%.1[3]f" y2="%.1[3]f"/>`, roomLeft, chartWide-roomRight, p.y(value))
		if i%2 == 0 {
			fmt.Fprintf(&out, `<text x="%.0f" y="%.1f" text-anchor="end">%s</text>`, roomLeft-6, p.y(value)+4, html.EscapeString(p.scale(value)))
		}
	}
	p.times(&out)
	if p.band[0] != p.band[1] {
		fmt.Fprintf(&out, `<path class="band" d="%s"/>`, p.between(p.lines[p.band[0]].values, p.lines[p.band[1]].values))
	}
	for _, l := range slices.Backward(p.lines) {
		fmt.Fprintf(&out, `<path class="line %s" d="%s"/>`, l.kind, p.path(l.values))
	}
	p.titles(&out)
	out.WriteString("</svg>")
	return out.String()
}

// scale is short, as there is little room.
func (p plot) scale(value float64) string {
	text := strings.TrimSuffix(p.write(value), "/s")
	if value == 0 {
		return "0"
	}
	return strings.Replace(strings.Replace(text, ".0 ", " ", 1), "iB", "", 1)
}

// describe is the chart for those who do not see it.
func (p plot) describe() string {
	text := p.title + " over time."
	for _, l := range p.lines {
		low, high, sum, n := math.Inf(1), math.Inf(-1), 0.0, 0.0
		for _, v := range l.values {
			if !math.IsNaN(v) {
				low, high, sum, n = min(low, v), max(high, v), sum+v, n+1
			}
		}
		if n > 0 {
			text += fmt.Sprintf(" %s: %s to %s, mean %s.", l.name, p.write(low), p.write(high), p.write(sum/n))
		}
	}
	return text
}

// times are the labels below.
func (p plot) times(out *strings.Builder) {
	const labels = 4
	layout := "15:04"
	if p.until.Sub(p.from) > 36*time.Hour {
		layout = "2 Jan"
	}
	for i := range labels + 1 {
		at := p.from.Add(p.until.Sub(p.from) * time.Duration(i) / labels)
		x, anchor := p.x(float64(columns)*float64(i)/labels-0.5), "middle"
		switch i {
		case 0:
			anchor = "start"
		case labels:
			anchor = "end"
		}
		fmt.Fprintf(out, `<text x="%.1f" y="%.0f" text-anchor="%s">%s</text>`, x, chartHigh-5, anchor, at.UTC().Format(layout))
	}
}

// path goes through the values; it is broken where there are none, and a single
// value is a dot.
func (p plot) path(values [columns]float64) string {
	var out strings.Builder
	down := false
	for i, v := range values {
		if math.IsNaN(v) {
			down = false
			continue
		}
		command := "M"
		if down {
			command = "L"
		}
		fmt.Fprintf(&out, "%s%.1f %.1f", command, p.x(float64(i)), p.y(v))
		alone := !down && (i+1 == columns || math.IsNaN(values[i+1]))
		if alone {
			out.WriteString("h.1")
		}
		down = true
	}
	return out.String()
}

// between is the room between two lines, in pieces without gaps.
func (p plot) between(low, high [columns]float64) string {
	var out strings.Builder
	for i := 0; i < columns; i++ {
		from := i
		for i < columns && !math.IsNaN(low[i]) && !math.IsNaN(high[i]) {
			i++
		}
		if i-from < 2 {
			continue
		}
		for j := from; j < i; j++ {
			fmt.Fprintf(&out, "%s%.1f %.1f", map[bool]string{true: "M", false: "L"}[j == from], p.x(float64(j)), p.y(high[j]))
		}
		for j := i - 1; j >= from; j-- {
			fmt.Fprintf(&out, "L%.1f %.1f", p.x(float64(j)), p.y(low[j]))
		}
		out.WriteString("Z")
	}
	return out.String()
}

// titles are what is shown at the pointer.
func (p plot) titles(out *strings.Builder) {
	wide := (chartWide - roomLeft - roomRight) / columns
	for i := range columns {
		at := p.from.Add(p.until.Sub(p.from) * time.Duration(i) / columns)
		text := at.UTC().Format("Mon 2 Jan 15:04")
		known := false
		for _, l := range p.lines {
			if v := l.values[i]; !math.IsNaN(v) {
				text, known = text+"\n"+l.name+": "+p.write(v), true
			}
		}
		if known {
			fmt.Fprintf(out, `<rect class="hit" x="%.1f" y="%.0f" width="%.2f" height="%.0f"><title>%s</title></rect>`,
				p.x(float64(i)-0.5), roomTop, wide, chartHigh-roomTop-roomBelow, html.EscapeString(text))
		}
	}
}

// spark is a small line of one figure in percent.
func spark(s *series) template.HTML {
	if s.count == 0 {
		return ""
	}
	const wide, high = 96.0, 22.0
	var path strings.Builder
	down := false
	for i := range columns {
		v := s.at(i)
		if math.IsNaN(v) {
			down = false
			continue
		}
		fmt.Fprintf(&path, "%s%.1f %.1f", map[bool]string{false: "M", true: "L"}[down], float64(i)/(columns-1)*wide, high-1-min(v, 100)/100*(high-2))
		if !down && (i+1 == columns || math.IsNaN(s.at(i+1))) {
			path.WriteString("h.1")
		}
		down = true
	}
	return template.HTML(fmt.Sprintf(`<svg class="spark" viewBox="0 0 %.0f %.0f" aria-hidden="true"><path class="line a" d="%s"/></svg>`, wide, high, path.String()))
}
