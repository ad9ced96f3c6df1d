package reconcile

import (
	"fmt"
	"strconv"
	"strings"
)

// MatchVersion reports whether a server version such as "7.0.15" satisfies a
// constraint such as ">=7.0 <8" (terms joined by spaces or commas must all hold;
// a bare version means any release that starts with it). An empty constraint
// allows all.
func MatchVersion(constraint, version string) (bool, error) {
	for term := range strings.FieldsFuncSeq(constraint, func(r rune) bool { return r == ' ' || r == ',' }) {
		ok, err := matchTerm(term, version)
		if err != nil || !ok {
			return false, err
		}
	}
	return true, nil
}

func matchTerm(term, version string) (bool, error) {
	number := strings.TrimLeft(term, "<>=!~^")
	op := strings.TrimSuffix(term, number)
	want, err := parseVersion(number)
	if err != nil {
		return false, fmt.Errorf("parse version constraint %q: %w", term, err)
	}
	have, err := parseVersion(version)
	if err != nil {
		return false, fmt.Errorf("parse version %q: %w", version, err)
	}
	order := compareVersions(have, want)
	switch op {
	case ">=":
		return order >= 0, nil
	case ">":
		return order > 0, nil
	case "<=":
		return order <= 0, nil
	case "<":
		return order < 0, nil
	case "", "=":
		return compareVersions(have[:min(len(have), len(want))], want) == 0, nil
	}
	return false, fmt.Errorf("parse version constraint %q: the operators are >=, >, <=, < and =", term)
}

func parseVersion(text string) ([]int, error) {
	var parts []int
	for part := range strings.SplitSeq(text, ".") {
		n, err := strconv.Atoi(part)
		if err != nil {
			return nil, fmt.Errorf("%q is no number", part)
		}
		parts = append(parts, n)
	}
	return parts, nil
}

// compareVersions takes missing parts as 0.
func compareVersions(a, b []int) int {
	for i := range max(len(a), len(b)) {
		x, y := 0, 0
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if x != y {
			return x - y
		}
	}
	return 0
}
