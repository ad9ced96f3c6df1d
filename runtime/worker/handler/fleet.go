package handler

import (
	"encoding/json"
	"math"
	"time"
)

const (
	// columns is into how many parts a report divides its time.
	columns = 72
	// maxHosts is how many hosts and servers a report tells apart.
	maxHosts = 20000
	// maxGaps is how many gaps are known of each host: the longest.
	maxGaps = 5
)

// metric is an index of what is measured.
type metric int

// Of hosts.
const (
	cpu metric = iota
	mem
	disk
	load
	netIn
	netOut
	hostMetrics // how many there are
)

// Of redis-servers.
const (
	ops metric = iota
	used
	lag
	clients
	nodeMetrics // how many there are
)

// sample is what a report reads of an event of an agent.
type sample struct {
	Type     string          `json:"type"`
	Host     string          `json:"host"`
	Agent    string          `json:"agent"`
	TS       json.RawMessage `json:"ts"`
	Interval float64         `json:"interval"`
	Dropped  float64         `json:"dropped"`
	CPU      *float64        `json:"cpu_usage"`
	Mem      *float64        `json:"mem_usage"`
	Disk     *float64        `json:"disk_usage"`
	Load     *struct {
		One float64 `json:"load1"`
	} `json:"load"`
	Net []struct {
		In  float64 `json:"rx"`
		Out float64 `json:"tx"`
	} `json:"net"`

	// Of a redis-server or Sentinel.
	Cluster  string   `json:"cluster"`
	Node     string   `json:"node"`
	Addr     string   `json:"addr"`
	Role     string   `json:"role"`
	Error    string   `json:"error"`
	Sentinel bool     `json:"sentinel"`
	Up       *float64 `json:"up"`
	Ops      *float64 `json:"instantaneous_ops_per_sec"`
	Used     *float64 `json:"used_memory"`
	Lag      *float64 `json:"replication_lag"`
	Clients  *float64 `json:"connected_clients"`
}

// fleet is what is known after some samples. Its size depends on the number of
// hosts, not on that of samples.
type fleet struct {
	from, until time.Time
	events      map[string]uint64 // by type
	unreadable  uint64
	hosts       map[string]*host
	nodes       map[string]*node
	left        map[string]bool // hosts that are too many
	over        [hostMetrics][columns]sketch
}

// host is one machine.
type host struct {
	name        string
	samples     uint64
	first, last time.Time
	interval    time.Duration // as it says itself, 0 when it does not
	dropped     float64
	gaps        []gap
	series      [hostMetrics]series
}

// gap is a time without samples.
type gap struct {
	from time.Time
	long time.Duration
}

// node is one redis-server or Sentinel.
type node struct {
	cluster, name, addr, role, trouble string
	sentinel, up                       bool
	asked, down                        uint64
	last                               time.Time
	series                             [nodeMetrics]series
}

// series is one figure over time.
type series struct {
	sketch
	now  float64
	cell [columns]struct {
		sum float32
		n   uint32
	}
}

func (s *series) add(column int, value float64) {
	if math.IsNaN(value) || math.IsInf(value, 0) || value < 0 {
		return
	}
	s.sketch.add(value)
	s.now = value
	s.cell[column].sum += float32(value)
	s.cell[column].n++
}

// at is the mean of a column, NaN where there is nothing.
func (s *series) at(column int) float64 {
	return float64(s.cell[column].sum) / float64(s.cell[column].n)
}

func newFleet(from, until time.Time) *fleet {
	return &fleet{from: from, until: until, events: map[string]uint64{}, hosts: map[string]*host{}, nodes: map[string]*node{}, left: map[string]bool{}}
}

// add counts one event that entered the stream at a time.
func (f *fleet) add(entered time.Time, event []byte) {
	var s sample
	err := json.Unmarshal(event, &s)
	if _, wrongType := err.(*json.UnmarshalTypeError); err != nil && !wrongType { // the other fields are read
		f.unreadable++
		return
	}
	if s.Type == "" {
		s.Type = "monitoring"
	}
	if f.events[s.Type] > 0 || len(f.events) < 100 {
		f.events[s.Type]++
	}
	at := moment(s.TS, entered)
	if at.Before(f.from) || !at.Before(f.until) {
		return // it was sent late, and belongs to another report
	}
	column := int(int64(columns) * int64(at.Sub(f.from)/time.Millisecond) / max(1, int64(f.until.Sub(f.from)/time.Millisecond)))
	column = max(0, min(column, columns-1))
	switch {
	case s.Type == "redis" && s.Node != "":
		f.addNode(&s, at, column)
	case s.CPU != nil || s.Mem != nil || s.Disk != nil:
		f.addHost(&s, at, column)
	}
}

// moment is the ts of an event: milliseconds since 1970 or RFC 3339. One that is
// far from when the event entered the stream is of a wrong clock.
func moment(ts json.RawMessage, entered time.Time) time.Time {
	at := entered
	var millis float64
	var text time.Time
	if json.Unmarshal(ts, &millis) == nil {
		at = time.UnixMilli(int64(millis)).UTC()
	} else if json.Unmarshal(ts, &text) == nil {
		at = text
	}
	if off := at.Sub(entered); off > 10*time.Minute || off < -24*time.Hour {
		return entered
	}
	return at
}

func (f *fleet) addHost(s *sample, at time.Time, column int) {
	name := s.Host
	if name == "" {
		name = s.Agent
	}
	if name == "" {
		name = "(no name)"
	}
	h := f.hosts[name]
	if h == nil {
		if len(f.hosts) >= maxHosts {
			f.left[name] = len(f.left) < maxHosts
			return
		}
		h = &host{name: name, first: at}
		f.hosts[name] = h
	}
	h.seen(at, time.Duration(s.Interval)*time.Millisecond)
	h.dropped = max(h.dropped, s.Dropped)
	values := [hostMetrics]*float64{cpu: s.CPU, mem: s.Mem, disk: s.Disk}
	if s.Load != nil {
		values[load] = &s.Load.One
	}
	if len(s.Net) > 0 {
		var in, out float64
		for _, n := range s.Net {
			in, out = in+n.In, out+n.Out
		}
		values[netIn], values[netOut] = &in, &out
	}
	for m, value := range values {
		if value != nil {
			h.series[m].add(column, *value)
			f.over[m][column].add(*value)
		}
	}
}

// seen notes a sample, and the gap before it.
func (h *host) seen(at time.Time, interval time.Duration) {
	h.samples++
	if interval > 0 {
		h.interval = interval
	}
	if long := at.Sub(h.last); (h.interval > 0 && h.samples > 1 || h.samples > 5) && long > h.patience() {
		h.gaps = append(h.gaps, gap{h.last, long})
		if len(h.gaps) > maxGaps {
			shortest := 0
			for i, g := range h.gaps {
				if g.long < h.gaps[shortest].long {
					shortest = i
				}
			}
			h.gaps = append(h.gaps[:shortest], h.gaps[shortest+1:]...)
		}
	}
	if at.After(h.last) {
		h.last = at
	}
}

// patience is how long a host may say nothing: three of its intervals and a bit.
// For one that does not tell its interval, the mean so far counts.
func (h *host) patience() time.Duration {
	every := h.interval
	if every == 0 && h.samples > 1 {
		every = h.last.Sub(h.first) / time.Duration(h.samples-1)
	}
	return 3*every + 2*time.Second
}

func (f *fleet) addNode(s *sample, at time.Time, column int) {
	key := s.Cluster + "/" + s.Node
	n := f.nodes[key]
	if n == nil {
		if len(f.nodes) >= maxHosts {
			return
		}
		n = &node{cluster: s.Cluster, name: s.Node}
		f.nodes[key] = n
	}
	n.addr, n.sentinel, n.last = s.Addr, s.Sentinel, at
	if s.Role == "slave" { // as INFO still calls it
		s.Role = "replica"
	}
	if s.Role != "" {
		n.role = s.Role
	}
	n.asked++
	n.up, n.trouble = s.Up == nil || *s.Up > 0, s.Error
	if !n.up {
		n.down++
	}
	for m, value := range [nodeMetrics]*float64{ops: s.Ops, used: s.Used, lag: s.Lag, clients: s.Clients} {
		if value != nil {
			n.series[m].add(column, *value)
		}
	}
}
