package handler

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"rsm/internal/fill"
)

// tiles are the figures at the top.
func (s *Summary) tiles(f *fleet, hosts []*host, nodes []*node) {
	silent := 0
	for _, h := range hosts {
		silent += btoi(h.silent(f.until) > 0)
	}
	tile := Tile{"Hosts reporting", fmt.Sprintf("%d of %d", len(hosts)-silent, len(hosts)), "none silent", Good}
	if silent > 0 {
		tile.Note, tile.State = fmt.Sprintf("%d silent", silent), Bad
	}
	s.Tiles = append(s.Tiles, tile)
	for _, c := range []struct {
		m    metric
		name string
	}{{cpu, "CPU"}, {mem, "Memory"}, {disk, "Fullest disk"}} {
		s.Tiles = append(s.Tiles, usageTile(c.name, c.m, hosts))
	}
	if len(nodes) > 0 {
		down := 0
		for _, n := range nodes {
			down += btoi(!n.up)
		}
		tile := Tile{"Redis and Sentinels up", fmt.Sprintf("%d of %d", len(nodes)-down, len(nodes)), "all answer", Good}
		if down > 0 {
			tile.Note, tile.State = fmt.Sprintf("%d down", down), Bad
		}
		s.Tiles = append(s.Tiles, tile)
	}
	if facts := s.Facts; facts != nil {
		tile := Tile{"Alerts fired", fmt.Sprint(facts.Fired), fmt.Sprintf("%d ended, %d still firing", facts.Resolved, facts.Firing), Good}
		if facts.Firing > 0 {
			tile.State = Warn
		}
		s.Tiles = append(s.Tiles, tile, taskTile(facts.Queues))
	}
}

// usageTile is the mean of all hosts and who is highest.
func usageTile(name string, m metric, hosts []*host) Tile {
	var sum float64
	var n uint64
	var top *host
	worst := math.NaN()
	for _, h := range hosts {
		one := h.series[m].quantile(0.95)
		if m == disk {
			one = h.series[m].now
		}
		if h.series[m].count == 0 {
			continue
		}
		sum, n = sum+h.series[m].sum, n+h.series[m].count
		if top == nil || one > worst {
			top, worst = h, one
		}
	}
	if top == nil {
		return Tile{name, "–", "not known", Good}
	}
	if m == disk {
		return Tile{name, percent(worst), "on " + top.name, state(worst, limits[m])}
	}
	return Tile{name, percent(sum / float64(n)), fmt.Sprintf("mean; p95 up to %s on %s", percent(worst), top.name), state(worst, limits[m])}
}

func taskTile(queues []QueueFact) Tile {
	var done, failed, dead int64
	for _, q := range queues {
		done, failed, dead = done+q.Done, failed+q.Failed, dead+q.Dead
	}
	tile := Tile{"Tasks done", figure(float64(done)), fmt.Sprintf("%s runs failed, %s for good", figure(float64(failed)), figure(float64(dead))), Good}
	if dead > 0 {
		tile.State = Warn
	}
	return tile
}

// rank lists the busiest hosts.
func (s *Summary) rank(hosts []*host, top int) {
	for _, c := range []struct {
		m     metric
		title string
		value func(*series) float64
	}{
		{cpu, "CPU, 95th percentile", func(s *series) float64 { return s.quantile(0.95) }},
		{mem, "Memory, 95th percentile", func(s *series) float64 { return s.quantile(0.95) }},
		{disk, "Fullest disk, now", func(s *series) float64 { return s.now }},
	} {
		var known []*host
		for _, h := range hosts {
			if h.series[c.m].count > 0 {
				known = append(known, h)
			}
		}
		slices.SortStableFunc(known, func(a, b *host) int {
			return cmp.Compare(c.value(&b.series[c.m]), c.value(&a.series[c.m]))
		})
		ranking := Ranking{Title: c.title}
		for _, h := range known[:min(top, len(known))] {
			of := &h.series[c.m]
			value := c.value(of)
			ranking.Rows = append(ranking.Rows, RankRow{h.name, percent(value), "mean " + percent(of.mean()), state(value, limits[c.m]), max(0, min(value, 100))})
		}
		if len(ranking.Rows) > 0 {
			s.Busiest = append(s.Busiest, ranking)
		}
	}
}

func (s *series) spread(m metric) Spread {
	value := s.quantile(0.95)
	if m == disk {
		value = s.now
	}
	return Spread{percent(s.mean()), percent(s.quantile(0.5)), percent(value), percent(s.highest()), state(value, limits[m])}
}

// highest is NaN for no values.
func (s *sketch) highest() float64 {
	if s.count == 0 {
		return math.NaN()
	}
	return s.max
}

// hostRows is the table of hosts: those that need attention first.
func (s *Summary) hostRows(hosts []*host, until time.Time) {
	for _, h := range hosts {
		row := HostRow{
			Name: h.name, State: Good, Samples: figure(float64(h.samples)), Gaps: "none",
			CPU: h.series[cpu].spread(cpu), Mem: h.series[mem].spread(mem), Disk: h.series[disk].spread(disk),
			Load: figure(h.series[load].quantile(0.95)), Net: "–", Spark: spark(&h.series[cpu]),
		}
		if in, out := &h.series[netIn], &h.series[netOut]; in.count > 0 {
			row.Net = fill.Bytes(in.mean()) + " / " + fill.Bytes(out.mean())
		}
		for _, a := range h.attention(until) {
			if level(a.State) < level(row.State) {
				row.State = a.State
			}
		}
		if n := len(h.gaps); n == maxGaps {
			row.Gaps = fmt.Sprintf("%d or more", n)
		} else if n > 0 {
			row.Gaps = fmt.Sprint(n)
		}
		row.Said = row.said(h, until)
		s.Hosts = append(s.Hosts, row)
	}
	slices.SortStableFunc(s.Hosts, func(a, b HostRow) int { return level(a.State) - level(b.State) })
	if s.HostsMore = len(s.Hosts) - maxRows; s.HostsMore > 0 {
		s.Hosts = s.Hosts[:maxRows]
	}
}

// said is what is the matter with a host, in a word or two.
func (r *HostRow) said(h *host, until time.Time) string {
	if quiet := h.silent(until); quiet > 0 {
		return "silent for " + fill.Duration(quiet)
	}
	var words []string
	for _, c := range []struct {
		name string
		is   bool
	}{
		{"CPU", r.CPU.State != Good}, {"memory", r.Mem.State != Good}, {"disk", r.Disk.State != Good},
		{"gaps", len(h.gaps) > 0}, {"drops", h.dropped > 0},
	} {
		if c.is {
			words = append(words, c.name)
		}
	}
	if len(words) == 0 {
		return "fine"
	}
	return strings.Join(words, ", ")
}

func (s *Summary) nodeRows(nodes []*node, until time.Time) {
	for _, n := range nodes {
		row := NodeRow{
			Name: n.name, Cluster: n.cluster, Role: n.role, State: Good, Said: "up",
			Ops: figure(n.series[ops].mean()), Memory: fill.Bytes(n.series[used].highest()), Clients: figure(n.series[clients].highest()), Lag: "–",
		}
		if n.sentinel {
			row.Role = "sentinel"
		}
		if n.series[lag].count > 0 {
			row.Lag = fill.Duration(time.Duration(n.series[lag].quantile(0.95) * float64(time.Second)))
		}
		for _, a := range n.attention(until) {
			if level(a.State) < level(row.State) {
				row.State = a.State
			}
		}
		if !n.up {
			row.Said = "down"
		} else if n.down > 0 {
			row.Said = fmt.Sprintf("up, was down %d of %d times", n.down, n.asked)
		}
		s.Nodes = append(s.Nodes, row)
	}
	slices.SortStableFunc(s.Nodes, func(a, b NodeRow) int {
		return cmp.Or(level(a.State)-level(b.State), strings.Compare(a.Cluster, b.Cluster))
	})
	if s.NodesMore = len(s.Nodes) - maxRows; s.NodesMore > 0 {
		s.Nodes = s.Nodes[:maxRows]
	}
}
