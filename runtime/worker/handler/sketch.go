package handler

import "math"

// sketchError is the relative error of the quantiles of a sketch: what it calls 50
// is between 49.5 and 50.5. Count, mean and maximum are exact.
const sketchError = 0.01

// smallest is the smallest value that a sketch tells from 0.
const smallest = 1e-3

// sketch holds the distribution of values from 0 up in little memory, whatever
// their number: it counts them in buckets that each end a fixed factor above the
// one before (the idea is that of DDSketch, Masson et al., VLDB 2019).
type sketch struct {
	count, zeros uint64
	sum, max     float64
	first        int // the bucket that counts[0] is
	counts       []uint32
}

// base is the factor between two buckets.
const base = (1 + sketchError) / (1 - sketchError)

// logBase is the logarithm of base.
var logBase = math.Log(base)

// add counts a value. Negative ones and what is no number are none that rsm's
// agents send; they are left out.
func (s *sketch) add(value float64) {
	if !(value >= 0) || math.IsInf(value, 0) {
		return
	}
	s.count++
	s.sum += value
	s.max = max(s.max, value)
	if value < smallest {
		s.zeros++
		return
	}
	s.bucket(int(math.Ceil(math.Log(value) / logBase)))
}

// bucket counts one more in a bucket and makes room for it if need be.
func (s *sketch) bucket(i int) {
	switch {
	case s.counts == nil:
		s.first, s.counts = i, make([]uint32, 1, 8)
	case i < s.first:
		s.counts = append(make([]uint32, s.first-i, s.first-i+len(s.counts)), s.counts...)
		s.first = i
	case i >= s.first+len(s.counts):
		s.counts = append(s.counts, make([]uint32, i-s.first-len(s.counts)+1)...)
	}
	s.counts[i-s.first]++
}

// mean is NaN for no values.
func (s *sketch) mean() float64 { return s.sum / float64(s.count) }

// quantile is the value that a share q of all is not above; NaN for no values.
func (s *sketch) quantile(q float64) float64 {
	if s.count == 0 {
		return math.NaN()
	}
	rank := uint64(math.Ceil(q * float64(s.count)))
	if rank <= s.zeros {
		return 0
	}
	seen := s.zeros
	for i, n := range s.counts {
		if seen += uint64(n); seen >= rank {
			return min(2*math.Pow(base, float64(s.first+i))/(base+1), s.max)
		}
	}
	return s.max
}
