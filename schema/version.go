package schema

import (
	"fmt"
	"strconv"
	"strings"
)

// Versions is a parsed version constraint: comparisons that must all hold. The
// zero value allows every version.
type Versions struct {
	parts []comparison
}

type comparison struct {
	op, text string
	// want has as many numbers as were written: "7" compares the first only
	// when op is "=".
	want []int
}

// ParseVersions reads a constraint such as ">=6.2 <8". A bare "7.0" or "=7.0"
// allows every 7.0.x.
func ParseVersions(text string) (Versions, error) {
	var v Versions
	op := ""
	for _, word := range strings.Fields(text) {
		rest := strings.TrimLeft(word, "<>=")
		op += word[:len(word)-len(rest)]
		if rest == "" {
			continue
		}
		switch op {
		case "":
			op = "="
		case "=", ">", "<", ">=", "<=":
		default:
			return Versions{}, fmt.Errorf("%q is not a comparison", op)
		}
		want, err := numbers(rest)
		if err != nil {
			return Versions{}, err
		}
		v.parts = append(v.parts, comparison{op, rest, want})
		op = ""
	}
	if op != "" {
		return Versions{}, fmt.Errorf("%q compares with nothing", text)
	}
	return v, v.possible(text)
}

// String writes the constraint without needless blanks, for example
// ">=6.2 <8"; a bare version stays bare.
func (v Versions) String() string {
	words := make([]string, 0, len(v.parts))
	for _, part := range v.parts {
		words = append(words, strings.TrimPrefix(part.op, "=")+part.text)
	}
	return strings.Join(words, " ")
}

// possible refuses constraints that no version fulfils, by trying each bound
// and its neighbours.
func (v Versions) possible(text string) error {
	if len(v.parts) == 0 {
		return nil
	}
	for _, part := range v.parts {
		padded := append(append([]int(nil), part.want...), 0, 0)[:3]
		for step := -1; step <= 1; step++ {
			try := []int{padded[0], padded[1], padded[2] + step}
			if step < 0 && padded[2] == 0 {
				try = []int{padded[0], padded[1] - 1, 999}
				if padded[1] == 0 {
					try = []int{padded[0] - 1, 999, 999}
				}
			}
			if try[0] >= 0 && v.allows(try) {
				return nil
			}
		}
	}
	return fmt.Errorf("no version fulfils %q", text)
}

// Allows tells whether a version such as "7.0.15" fulfils the constraint. A
// version that cannot be read is allowed only by an empty constraint.
func (v Versions) Allows(version string) bool {
	if len(v.parts) == 0 {
		return true
	}
	have, err := numbers(version)
	return err == nil && v.allows(have)
}

func (v Versions) allows(have []int) bool {
	for _, part := range v.parts {
		if !part.holds(have) {
			return false
		}
	}
	return true
}

func (c comparison) holds(have []int) bool {
	order, length := 0, len(c.want)
	if c.op != "=" {
		length = 3
	}
	for i := 0; i < length && order == 0; i++ {
		order = number(have, i) - number(c.want, i)
	}
	switch c.op {
	case ">=":
		return order >= 0
	case ">":
		return order > 0
	case "<=":
		return order <= 0
	case "<":
		return order < 0
	}
	return order == 0
}

func number(ns []int, i int) int {
	if i < len(ns) {
		return ns[i]
	}
	return 0
}

func numbers(version string) ([]int, error) {
	var ns []int
	for _, part := range strings.Split(version, ".") {
		n, err := strconv.Atoi(part)
		if err != nil || n < 0 {
			return nil, fmt.Errorf("%q is not a version", version)
		}
		ns = append(ns, n)
	}
	return ns, nil
}
