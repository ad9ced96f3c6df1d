package schema

import (
	"math"
	"strconv"
	"strings"
)

// ParseSize reads a number of bytes as redis.conf has them: k, m and g are powers
// of 1000; kb, mb and gb of 1024. ok is false for everything else.
func ParseSize(text string) (n int64, ok bool) {
	lower := strings.ToLower(text)
	digits := strings.TrimRight(lower, "bkmg")
	factor := int64(0)
	switch lower[len(digits):] {
	case "", "b":
		factor = 1
	case "k":
		factor = 1000
	case "kb":
		factor = 1 << 10
	case "m":
		factor = 1e6
	case "mb":
		factor = 1 << 20
	case "g":
		factor = 1e9
	case "gb":
		factor = 1 << 30
	default:
		return 0, false
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n > math.MaxInt64/factor {
		return 0, false
	}
	return n * factor, true
}
