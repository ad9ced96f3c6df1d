package handler

import (
	"cmp"
	"fmt"
	"html/template"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"rsm/internal/fill"
)

// Facts are what happened in a time besides samples.
type Facts struct {
	// Fired and Resolved are how many alerts began and ended, Firing how many go on.
	Fired, Resolved, Firing int
	// Alerts are those, the newest first.
	Alerts []AlertFact
	// Queues are what was done with tasks.
	Queues []QueueFact
}

// AlertFact is one alert of a report. Ended is zero while it goes on.
type AlertFact struct {
	Fingerprint string    `json:"fingerprint"`
	Rule        string    `json:"rule"`
	Severity    string    `json:"severity"`
	Summary     string    `json:"summary"`
	Fired       time.Time `json:"fired"`
	Ended       time.Time `json:"ended,omitzero"`
}

// QueueFact is what a queue did with tasks: Failed counts runs, the others tasks.
type QueueFact struct {
	Queue              string
	Done, Failed, Dead int64
	Waiting            int64
}

// The states of what a report shows, from fine to urgent.
const (
	Good = "good"
	Warn = "warn"
	Bad  = "bad"
)

// Summary is a report as templates see it.
type Summary struct {
	Title, Cluster, Period, Version string
	From, Until                     time.Time
	// State and Verdict are the whole of it in one word and one line.
	State, Verdict string
	Tiles          []Tile
	Attention      []Attention
	More           int // how many more need attention
	Charts         []Chart
	Busiest        []Ranking
	Hosts          []HostRow
	HostsMore      int
	Nodes          []NodeRow
	NodesMore      int
	Facts          *Facts
	AlertsMore     int
	Samples        uint64
	Events         []EventRow
	// Text is the report as plain text.
	Text string
}

// Tile is one figure at the top.
type Tile struct{ Name, Value, Note, State string }

// Attention is something that somebody should look at.
type Attention struct {
	What, Why, State string
	weight           float64 // of two in the same state the heavier comes first
}

// Chart is one chart over time.
type Chart struct {
	Title, Now string
	Lines      []Legend
	SVG        template.HTML
}

// Legend names a line of a chart; Kind is its look.
type Legend struct{ Name, Kind string }

// Ranking are the busiest hosts by one figure.
type Ranking struct {
	Title string
	Rows  []RankRow
}

// RankRow is one of them; Share is the length of its bar in percent.
type RankRow struct {
	Name, Value, Note, State string
	Share                    float64
}

// HostRow is one host.
type HostRow struct {
	Name, State, Said, Samples, Gaps string
	CPU, Mem, Disk                   Spread
	Load, Net                        string
	Spark                            template.HTML
}

// Spread is how a figure was distributed.
type Spread struct{ Mean, P50, P95, Max, State string }

// NodeRow is one redis-server or Sentinel.
type NodeRow struct{ Name, Cluster, Role, State, Said, Ops, Memory, Lag, Clients string }

// EventRow counts the events of a type.
type EventRow struct {
	Type  string
	Count uint64
}

// Where a figure of a host begins to need attention, in percent: of the CPU and
// memory its 95th percentile, of the disk the last value.
var limits = map[metric][2]float64{cpu: {85, 95}, mem: {85, 95}, disk: {80, 90}}

const (
	maxAttention = 12
	maxRows      = 150
	// slowReplica is a replication lag, in seconds.
	slowReplica = 10
)

// state judges a value by two limits.
func state(value float64, limit [2]float64) string {
	switch {
	case value >= limit[1]:
		return Bad
	case value >= limit[0]:
		return Warn
	}
	return Good
}

// level orders states, the urgent first.
func level(state string) int { return map[string]int{Bad: 0, Warn: 1}[state] + 2*btoi(state == Good) }

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// summarize says what a fleet was like; top is how many hosts are in its lists.
func (f *fleet) summarize(title, cluster string, top int, facts *Facts) *Summary {
	s := &Summary{Title: title, Cluster: cluster, From: f.from, Until: f.until, Facts: facts, State: Good}
	s.Period = period(f.from, f.until)
	for _, kind := range slices.Sorted(maps.Keys(f.events)) {
		s.Events = append(s.Events, EventRow{kind, f.events[kind]})
		s.Samples += f.events[kind]
	}
	hosts := slices.SortedFunc(maps.Values(f.hosts), func(a, b *host) int { return strings.Compare(a.name, b.name) })
	nodes := slices.SortedFunc(maps.Values(f.nodes), func(a, b *node) int {
		return cmp.Or(strings.Compare(a.cluster, b.cluster), strings.Compare(a.name, b.name))
	})
	for _, h := range hosts {
		s.attend(h.attention(f.until)...)
	}
	for _, n := range nodes {
		s.attend(n.attention(f.until)...)
	}
	s.attendFacts(facts)
	if len(f.left) > 0 {
		s.attend(Attention{"hosts", fmt.Sprintf("more than %d: the others are not in this report", maxHosts), Warn, 100})
	}
	s.tiles(f, hosts, nodes)
	s.judge(hosts, f.until)
	s.rank(hosts, max(top, 1))
	s.Charts = f.charts(hosts, nodes)
	s.hostRows(hosts, f.until)
	s.nodeRows(nodes, f.until)
	slices.SortStableFunc(s.Attention, func(a, b Attention) int {
		return cmp.Or(level(a.State)-level(b.State), cmp.Compare(b.weight, a.weight))
	})
	if s.More = len(s.Attention) - maxAttention; s.More > 0 {
		s.Attention = s.Attention[:maxAttention]
	}
	if facts != nil {
		if s.AlertsMore = len(facts.Alerts) - maxRows; s.AlertsMore > 0 {
			kept := *facts
			kept.Alerts = facts.Alerts[:maxRows]
			s.Facts = &kept
		}
	}
	return s
}

// period says which time it is about.
func period(from, until time.Time) string {
	layout := "2 Jan 15:04"
	if from.Year() != until.Year() {
		layout = "2 Jan 2006 15:04"
	}
	return fmt.Sprintf("%s to %s UTC (%s)", from.UTC().Format(layout), until.UTC().Format("2 Jan 2006 15:04"), fill.Duration(until.Sub(from)))
}

// judge says all of it in one line.
func (s *Summary) judge(hosts []*host, until time.Time) {
	bad, warn := 0, 0
	for _, a := range s.Attention {
		bad, warn = bad+btoi(a.State == Bad), warn+btoi(a.State == Warn)
	}
	silent := 0
	for _, h := range hosts {
		silent += btoi(h.silent(until) > 0)
	}
	report := fmt.Sprintf(" %d of %d hosts report.", len(hosts)-silent, len(hosts))
	switch {
	case len(hosts) == 0 && len(s.Attention) == 0:
		s.State, s.Verdict = Warn, "No host has sent a sample."
	case bad > 0 && warn > 0:
		s.State, s.Verdict = Bad, fmt.Sprintf("%d urgent, %d to watch.", bad, warn)+report
	case bad > 0:
		s.State, s.Verdict = Bad, fmt.Sprintf("%d urgent.", bad)+report
	case warn > 0:
		s.State, s.Verdict = Warn, fmt.Sprintf("Nothing urgent, %d to watch.", warn)+report
	case len(hosts) == 1:
		s.Verdict = "The host is fine."
	default:
		s.Verdict = fmt.Sprintf("All %d hosts are fine.", len(hosts))
	}
}

// percent writes a share.
func percent(value float64) string {
	switch {
	case math.IsNaN(value):
		return "–"
	case value < 9.95:
		return fmt.Sprintf("%.1f %%", value)
	}
	return fmt.Sprintf("%.0f %%", value)
}

// figure writes a number of any size, 12345 as "12.3 k".
func figure(value float64) string {
	switch {
	case math.IsNaN(value):
		return "–"
	case value >= 999.5e6:
		return fmt.Sprintf("%.1f G", value/1e9)
	case value >= 999.5e3:
		return fmt.Sprintf("%.1f M", value/1e6)
	case value >= 9999.5:
		return fmt.Sprintf("%.1f k", value/1e3)
	case value >= 9.95 || value == math.Trunc(value):
		return fmt.Sprintf("%.0f", value)
	}
	return fmt.Sprintf("%.1f", value)
}

// count writes a number of things.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
