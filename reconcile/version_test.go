package reconcile

import (
	"testing"

	"rsm/schema"
)

// TestAllowsVersion: the schema compares versions; what cannot be read, of the
// spec or of a server, allows nothing.
func TestAllowsVersion(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		constraint, version string
		ok                  bool
	}{
		{"", "7.0.15", true},
		{"", "", true},
		{">=7.0", "7.0.15", true},
		{">=7.0", "6.2.14", false},
		{">=6.2 <8", "7.0.15", true},
		{">=6.2 <7", "7.0.15", false},
		{"7.0", "7.0.15", true},
		{">=7.0", "", false},
		{">=7.0", "unstable", false},
		{"newest", "7.0.15", false},
	} {
		c := &schema.Cluster{Redis: schema.Redis{Version: tt.constraint}}
		if got := allowsVersion(c, tt.version); got != tt.ok {
			t.Errorf("allowsVersion(%q, %q) = %v", tt.constraint, tt.version, got)
		}
	}
}
