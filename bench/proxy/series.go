package proxy

import (
	"cmp"
	"slices"
	"time"
)

// place names a row of measurements.
type place struct {
	pinned           bool
	load, op, target string
}

// series are the samples of each place, one per round: samples with the same
// index were measured next to each other.
type series map[place][]sample

// cell is what a table shows of a place: medians over the rounds. The ratios are
// medians of ratios to the direct connection in the same round, so that a slow
// minute of the machine weighs on both sides.
type cell struct {
	place
	rounds          int
	rps, ratio      float64
	p50, p99, cpu   time.Duration
	p99Ratio        float64
	lowest, highest float64 // ratio of the worst and best round
}

// cell summarises a place. ok is false when there are no samples.
func (s series) cell(at place) (c cell, ok bool) {
	own := s[at]
	if len(own) == 0 {
		return cell{place: at}, false
	}
	base := at
	base.target = direct
	c = cell{place: at, rounds: len(own),
		rps: median(own, func(s sample) float64 { return s.rps }),
		p50: median(own, func(s sample) time.Duration { return s.p50 }),
		p99: median(own, func(s sample) time.Duration { return s.p99 }),
		cpu: median(own, func(s sample) time.Duration { return s.cpu })}
	if rates := ratios(own, s[base], func(s sample) float64 { return s.rps }); len(rates) > 0 {
		c.ratio, c.lowest, c.highest = middle(rates), slices.Min(rates), slices.Max(rates)
	}
	if tails := ratios(own, s[base], func(s sample) float64 { return float64(s.p99) }); len(tails) > 0 {
		c.p99Ratio = middle(tails)
	}
	return c, true
}

// ratios divides sample by sample, as far as both go.
func ratios(own, base []sample, field func(sample) float64) []float64 {
	var all []float64
	for i := range min(len(own), len(base)) {
		if below := field(base[i]); below > 0 {
			all = append(all, field(own[i])/below)
		}
	}
	return all
}

func median[S any, N cmp.Ordered](samples []S, field func(S) N) N {
	all := make([]N, len(samples))
	for i, s := range samples {
		all[i] = field(s)
	}
	return middle(all)
}

// middle is the median; of an even number the lower of the two in the middle,
// which is a value that was measured. There must be one at least.
func middle[N cmp.Ordered](values []N) N {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[(len(sorted)-1)/2]
}
