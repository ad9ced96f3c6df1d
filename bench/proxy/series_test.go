package proxy

import (
	"math"
	"testing"
	"time"
)

func TestMiddle(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		values []int
		want   int
	}{{[]int{7}, 7}, {[]int{9, 1, 5}, 5}, {[]int{4, 1, 3, 2}, 2}, {[]int{1, 1, 1, 100, 100}, 1}} {
		given := append([]int(nil), c.values...)
		if got := middle(c.values); got != c.want {
			t.Errorf("middle of %v is %d, want %d", c.values, got, c.want)
		}
		for i := range given {
			if given[i] != c.values[i] {
				t.Fatalf("middle has sorted its argument: %v", c.values)
			}
		}
	}
}

func samples(rates ...float64) []sample {
	all := make([]sample, len(rates))
	for i, r := range rates {
		all[i] = sample{rps: r, p50: time.Millisecond, p99: time.Duration(1e9 / r), cpu: time.Duration(i+1) * time.Microsecond}
	}
	return all
}

// TestCell has rounds of different speed: the ratio is that of each round, not
// that of the medians, which would be 900/1000.
func TestCell(t *testing.T) {
	t.Parallel()
	at := place{load: "c50-P1", op: "SET", target: rsm}
	base := place{load: "c50-P1", op: "SET", target: direct}
	s := series{base: samples(1000, 2000, 500), at: samples(900, 1600, 600)}
	c, ok := s.cell(at)
	if !ok || c.rounds != 3 || c.rps != 900 || c.cpu != 2*time.Microsecond || c.p50 != time.Millisecond {
		t.Errorf("cell is %+v", c)
	}
	if !near(c.ratio, 0.9) || !near(c.lowest, 0.8) || !near(c.highest, 1.2) || !near(c.p99Ratio, 1/0.9) {
		t.Errorf("ratios are %.3f (%.3f to %.3f), p99 %.3f", c.ratio, c.lowest, c.highest, c.p99Ratio)
	}
	if c, _ := s.cell(base); c.ratio != 1 {
		t.Errorf("direct is %.2f of itself", c.ratio)
	}
	if _, ok := s.cell(place{load: "c1-P1", op: "SET", target: rsm}); ok {
		t.Error("a place without samples has a cell")
	}
	delete(s, base)
	if c, ok := s.cell(at); !ok || c.ratio != 0 {
		t.Errorf("without direct the ratio is %.2f, want none", c.ratio)
	}
}

func near(got, want float64) bool { return math.Abs(got-want) < 1e-6 }
