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
	factor, ok := map[string]int64{
		"": 1, "b": 1, "k": 1000, "kb": 1 << 10, "m": 1e6, "mb": 1 << 20, "g": 1e9, "gb": 1 << 30,
	}[lower[len(digits):]]
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || !ok || n > math.MaxInt64/factor {
		return 0, false
	}
	return n * factor, true
}
