package proxy

import (
	"fmt"
	"strings"
	"time"
)

// goal is what rsm's throughput should be under a load: at least so many times
// that of a direct connection, and more than that of predixy, which is no
// package of Debian and was measured once, by hand, in the same way on a machine
// of 2 cores.
type goal struct {
	load    string
	least   float64
	predixy [2]float64 // SET, GET
}

// goals has one for each load.
var goals = []goal{
	{"c1-P1", 0.95, [2]float64{1.08, 0.88}},
	{"c50-P1", 1.0, [2]float64{0.99, 1.07}},
	{"c50-P16", 0.8, [2]float64{0.65, 0.64}},
	{"c50-P64", 0.95, [2]float64{0.65, 0.58}},
	{"c500-P1", 1.1, [2]float64{1.07, 1.04}},
	{"c50-10kB", 0.95, [2]float64{0.82, 0.65}},
}

// The other goals.
const (
	mostTail     = 1.5  // p99 as a ratio to direct's
	mostMemory   = 1024 // bytes per idle connection
	mostLate     = 50 * time.Millisecond
	mostStall    = 2 * time.Second
	noneMeasured = "not measured"
)

// verdict is a goal and what came of it.
type verdict struct {
	what, measured string
	met            bool
}

func (v verdict) row() []string {
	word := "MISSED"
	if v.met {
		word = "met"
	}
	if v.measured == noneMeasured {
		word = ""
	}
	return []string{v.what, v.measured, word}
}

// verdicts judges what was measured of rsm, throughput wherever processes were
// placed: where nothing is pinned single rows move by a tenth and more.
func (r results) verdicts(o options) []verdict {
	var all []verdict
	for _, g := range goals {
		for _, pin := range o.placements {
			all = append(all, r.judgeLoad(g, pin)...)
		}
	}
	all = append(all, r.judgeIdle())
	return append(all, r.judgeFailovers()...)
}

// judgeLoad judges one load, SET and GET: both have to reach the goal.
func (r results) judgeLoad(g goal, pin bool) []verdict {
	name := g.load
	for _, l := range loads {
		if l.name == g.load {
			name = l.String()
		}
	}
	peers := "HAProxy, nutcracker, predixy"
	if pin { // predixy was measured only where nothing was
		name, peers, g.predixy = name+", pinned", "HAProxy, nutcracker", [2]float64{}
	}
	rate := verdict{what: fmt.Sprintf("%s: throughput ≥ %.2f × direct", name, g.least), met: true}
	ahead := verdict{what: name + ": ahead of " + peers, met: true}
	tail := verdict{what: fmt.Sprintf("%s: p99 ≤ %.1f × direct", name, mostTail), met: true}
	var rates, tails, behind []string
	for i, op := range ops {
		c, ok := r.loads.cell(place{pin, g.load, op, rsm})
		if !ok {
			return []verdict{missing(rate), missing(ahead), missing(tail)}
		}
		rates, rate.met = append(rates, fmt.Sprintf("%s %.2f", op, c.ratio)), rate.met && c.ratio >= g.least
		tails, tail.met = append(tails, fmt.Sprintf("%s %.2f", op, c.p99Ratio)), tail.met && c.p99Ratio <= mostTail
		behind = append(behind, r.peersAhead(c, g.predixy[i])...)
	}
	rate.measured, tail.measured = strings.Join(rates, ", "), strings.Join(tails, ", ")
	ahead.measured = "ahead of all"
	if len(behind) > 0 {
		ahead.met, ahead.measured = false, "behind "+strings.Join(behind, ", ")
	}
	return []verdict{rate, ahead, tail}
}

func missing(v verdict) verdict {
	v.measured, v.met = noneMeasured, false
	return v
}

// peersAhead lists the proxies that are not slower than rsm.
func (r results) peersAhead(own cell, predixy float64) []string {
	var ahead []string
	for _, peer := range []string{haproxy, nutcracker} {
		at := own.place
		at.target = peer
		if c, ok := r.loads.cell(at); ok && c.ratio >= own.ratio {
			ahead = append(ahead, fmt.Sprintf("%s (%s %.2f)", peer, own.op, c.ratio))
		}
	}
	if predixy >= own.ratio {
		ahead = append(ahead, fmt.Sprintf("predixy (%s %.2f)", own.op, predixy))
	}
	return ahead
}

func (r results) judgeIdle() verdict {
	v := verdict{what: fmt.Sprintf("memory of an idle connection ≤ %d B", mostMemory)}
	for _, i := range r.idle {
		if i.target == rsm {
			v.met, v.measured = i.bytes <= mostMemory, fmt.Sprintf("%.0f B", i.bytes)
			return v
		}
	}
	return missing(v)
}

// judgeFailovers judges the worst of all runs.
func (r results) judgeFailovers() []verdict {
	late := verdict{what: fmt.Sprintf("crash: first write ≤ %s after the new master accepts one, in every run", duration(mostLate))}
	stall := verdict{what: fmt.Sprintf("handover: longest stall ≤ %s, in every run", duration(mostStall))}
	whole := verdict{what: "handover: 0 acknowledged writes lost, 0 requests failed, in every run"}
	if s := summarise(r.failovers, crash, rsm); s.runs > 0 {
		late.measured, late.met = fmt.Sprintf("%s in %d runs", duration(s.late.most), s.runs), s.late.most <= mostLate
	} else {
		late = missing(late)
	}
	s := summarise(r.failovers, handover, rsm)
	if s.runs == 0 {
		return []verdict{late, missing(stall), missing(whole)}
	}
	stall.measured, stall.met = fmt.Sprintf("%s in %d runs", duration(s.stall.most), s.runs), s.stall.most <= mostStall
	whole.measured, whole.met = fmt.Sprintf("%d lost, %d failed in %d runs", s.lost, s.failed.total(), s.runs), s.lost == 0 && s.failed.total() == 0
	return []verdict{late, stall, whole}
}

// spread is the middle and the worst of some runs.
type spread struct{ middle, most time.Duration }

func spreadOf(runs []outcome, field func(outcome) time.Duration) spread {
	s := spread{middle: median(runs, field)}
	for _, run := range runs {
		s.most = max(s.most, field(run))
	}
	return s
}

// summary is what all runs of one drill came to; lost and failed are sums.
type summary struct {
	runs                int
	late, outage, stall spread
	acked, lost         int
	failed              reasons
}

func summarise(all []outcome, kind, target string) summary {
	var runs []outcome
	s := summary{failed: reasons{}}
	for _, o := range all {
		if o.kind != kind || o.target != target {
			continue
		}
		runs = append(runs, o)
		s.acked, s.lost = s.acked+o.acked, s.lost+o.lost
		s.failed.add(o.failed)
	}
	if s.runs = len(runs); s.runs == 0 {
		return s
	}
	s.late = spreadOf(runs, func(o outcome) time.Duration { return o.late })
	s.outage = spreadOf(runs, func(o outcome) time.Duration { return o.outage })
	s.stall = spreadOf(runs, func(o outcome) time.Duration { return o.stall })
	return s
}
