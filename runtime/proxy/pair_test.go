package proxy_test

import (
	"testing"

	"rsm/internal/redistest"
)

// newPair starts two equal servers and a proxy in front of the second.
func newPair(t testing.TB, config ...string) *lockstep {
	t.Helper()
	// DEBUG DIGEST compares datasets; what blocks is told of its timeout at 1/hz.
	config = append([]string{"enable-debug-command yes", "hz 500"}, config...)
	direct, proxied := redistest.Start(t, config...), redistest.Start(t, config...)
	return newLockstep(t, direct, proxied)
}
