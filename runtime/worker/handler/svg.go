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
