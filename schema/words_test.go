package schema

import "testing"

func TestNearest(t *testing.T) {
	t.Parallel()
	fields := []string{"nodes", "quorum", "downAfter", "failoverTimeout", "parallelSyncs"}
	for word, want := range map[string]string{
		"node": "nodes", "qourum": "quorum", "down-after": "downAfter", "down_after": "downAfter", "DownAfter": "downAfter",
		"failovertimeout": "failoverTimeout", "paralelSync": "parallelSyncs", "x": "", "completely": "", "": "",
	} {
		if got := nearest(word, fields); got != want {
			t.Errorf("%q: got %q, want %q", word, got, want)
		}
	}
	// A swap counts once: plain Levenshtein would find post as near as port.
	if got := nearest("prot", []string{"post", "port"}); got != "port" {
		t.Errorf("prot: got %q", got)
	}
}

func TestVersions(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		constraint, version string
		want                bool
	}{
		{"", "anything", true},
		{">=7.0", "7.0.0", true}, {">=7.0", "7.0.15", true}, {">=7.0", "6.2.14", false}, {">= 7.0", "7.0.1", true},
		{">=6.2 <8", "7.4.1", true}, {">=6.2 <8", "8.0.0", false}, {">=6.2 <8", "6.0.16", false},
		{"7", "7.4.1", true}, {"7.0", "7.0.15", true}, {"7.0", "7.2.0", false}, {"=7.0.15", "7.0.15", true},
		{">7.0.14", "7.0.15", true}, {"<=7.0.15", "7.0.15", true}, {">7", "7.0.0", false}, {">7", "7.0.1", true},
		{">=7.10", "7.9.0", false}, {">=7", "unstable", false},
	} {
		v, err := ParseVersions(test.constraint)
		if err != nil || v.Allows(test.version) != test.want {
			t.Errorf("%q allows %q: %v, %v", test.constraint, test.version, v.Allows(test.version), err)
		}
	}
	for _, bad := range []string{"x", ">=", "=>7", "7.x", "7..0", ">=8 <7", ">7 <7.0.1", "7.0 7.2", "<0", "99999999999999999999"} {
		if v, err := ParseVersions(bad); err == nil {
			t.Errorf("%q is read as %v", bad, v)
		}
	}
}
