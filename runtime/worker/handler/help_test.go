package handler

import (
	"math"
	"mime"
	"slices"
)

// quantiles is what a sketch is to say.
func quantiles(values []float64) func(float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return func(q float64) float64 {
		return sorted[max(0, int(math.Ceil(q*float64(len(sorted))))-1)]
	}
}

type mimeDecoder = mime.WordDecoder
