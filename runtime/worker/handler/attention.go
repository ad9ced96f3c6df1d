package handler

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"rsm/internal/fill"
)

func (s *Summary) attend(more ...Attention) { s.Attention = append(s.Attention, more...) }

// silent is for how long a host has said nothing at the end, 0 when it is not
// silent.
func (h *host) silent(until time.Time) time.Duration {
	if quiet := until.Sub(h.last); quiet > h.patience() {
		return quiet
	}
	return 0
}

// attention is what somebody should look at on a host.
func (h *host) attention(until time.Time) (list []Attention) {
	if quiet := h.silent(until); quiet > 0 {
		list = append(list, Attention{h.name, "silent for " + fill.Duration(quiet) + ", last heard at " + h.last.UTC().Format("2 Jan 15:04:05"), Bad, 300})
	}
	for _, c := range []struct {
		m     metric
		value float64
		text  string
	}{
		{disk, h.series[disk].now, "fullest disk at %s"},
		{cpu, h.series[cpu].quantile(0.95), "CPU above %s for 5 % of the time"},
		{mem, h.series[mem].quantile(0.95), "memory above %s for 5 % of the time"},
	} {
		if at := state(c.value, limits[c.m]); h.series[c.m].count > 0 && at != Good {
			list = append(list, Attention{h.name, strings.Replace(c.text, "%s", percent(c.value), 1), at, c.value})
		}
	}
	if len(h.gaps) > 0 {
		long := slices.MaxFunc(h.gaps, func(a, b gap) int { return cmp.Compare(a.long, b.long) })
		list = append(list, Attention{h.name, h.gapText(long), Warn, 50})
	}
	if h.dropped > 0 {
		list = append(list, Attention{h.name, fmt.Sprintf("its agent dropped %.0f samples while Redis was away", h.dropped), Warn, 40})
	}
	return list
}

// gapText tells of the gaps, and when the longest was.
func (h *host) gapText(longest gap) string {
	when := fmt.Sprintf("%s from %s on", fill.Duration(longest.long), longest.from.UTC().Format("2 Jan 15:04:05"))
	switch n := len(h.gaps); {
	case n == 1:
		return "no samples for " + when
	case n == maxGaps:
		return fmt.Sprintf("no samples %d times or more, the longest time for %s", n, when)
	default:
		return fmt.Sprintf("no samples %d times, the longest time for %s", n, when)
	}
}

// attention is what somebody should look at on a server.
func (n *node) attention(until time.Time) (list []Attention) {
	name := n.kind() + " " + n.name
	switch {
	case !n.up:
		list = append(list, Attention{name, join2("does not answer", n.trouble), Bad, 400})
	case n.down > 0:
		list = append(list, Attention{name, fmt.Sprintf("did not answer %d of %d times", n.down, n.asked), Warn, 95})
	}
	if slow := n.series[lag].quantile(0.95); slow >= slowReplica {
		list = append(list, Attention{name, "replication was " + fill.Duration(time.Duration(slow*float64(time.Second))) + " behind for 5 % of the time", Warn, 90})
	}
	return list
}

func (n *node) kind() string {
	if n.sentinel {
		return "Sentinel"
	}
	return "Redis"
}

func (s *Summary) attendFacts(facts *Facts) {
	if facts == nil {
		return
	}
	for _, a := range facts.Alerts {
		if a.Ended.IsZero() {
			at := Warn
			if a.Severity == "critical" {
				at = Bad
			}
			s.attend(Attention{a.Rule, fmt.Sprintf("%s (fires since %s)", a.Summary, a.Fired.UTC().Format("2 Jan 15:04")), at, 200})
		}
	}
	for _, q := range facts.Queues {
		if q.Dead > 0 {
			s.attend(Attention{"queue " + q.Queue, count(int(q.Dead), "task") + " failed for good: rsm task dead", Warn, 80})
		}
	}
}
