package schema

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Severity tells whether a problem makes a spec unusable.
type Severity string

// The severities.
const (
	SeverityError   Severity = "error"
	SeverityWarning Severity = "warning"
)

// Problem is one thing that is wrong with a spec. It never holds a secret.
type Problem struct {
	Code     Code     `json:"code"`
	Severity Severity `json:"severity"`
	// File is the path as the user would open it; empty when the problem is not
	// in a file. Line and Col count from 1, in bytes; 0 is unknown.
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
	Col  int    `json:"col,omitempty"`
	// Path is the field, such as "clusters.cache.redis.nodes.a.port".
	Path string `json:"path,omitempty"`
	// Message says what is wrong, in one line.
	Message string `json:"message"`
	// Hint says what to do, in one line; may be empty.
	Hint string `json:"hint,omitempty"`
	// Source is the line of the file; empty when unknown or when it may hold a
	// secret.
	Source string `json:"source,omitempty"`
}

// severity is that of the code, unless it is set.
func (p Problem) severity() Severity {
	if p.Severity != "" {
		return p.Severity
	}
	return p.Code.severity()
}

// String returns the problem in one line without its hint.
func (p Problem) String() string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(p.File)
		if p.Line > 0 {
			fmt.Fprintf(&b, ":%d:%d", p.Line, p.Col)
		}
		b.WriteString(": ")
	}
	fmt.Fprintf(&b, "%s %s: ", p.severity(), p.Code)
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.Message)
	return b.String()
}

// Problems are all problems of a spec, ordered by place.
type Problems []Problem

// InvalidError is the error of a spec that cannot be used.
type InvalidError struct {
	// Problems has at least one error, and may have warnings too.
	Problems Problems
}

// Error tells the first error and how many more there are.
func (e *InvalidError) Error() string {
	errs := e.Problems.Errors()
	if len(errs) == 0 {
		return "spec is invalid"
	}
	if len(errs) == 1 {
		return "spec is invalid: " + errs[0].String()
	}
	return fmt.Sprintf("spec is invalid: %s (and %d more)", errs[0], len(errs)-1)
}

// Err returns an *InvalidError when there is at least one error, else nil.
func (ps Problems) Err() error {
	if !ps.Invalid() {
		return nil
	}
	return &InvalidError{Problems: ps}
}

// Invalid tells whether there is at least one error.
func (ps Problems) Invalid() bool {
	return slices.ContainsFunc(ps, func(p Problem) bool { return p.severity() == SeverityError })
}

// Errors returns the problems that are errors.
func (ps Problems) Errors() Problems { return ps.only(SeverityError) }

// Warnings returns the problems that are warnings.
func (ps Problems) Warnings() Problems { return ps.only(SeverityWarning) }

func (ps Problems) only(s Severity) Problems {
	var kept Problems
	for _, p := range ps {
		if p.severity() == s {
			kept = append(kept, p)
		}
	}
	return kept
}

// Summary counts, for example "2 errors, 1 warning"; "no problems" for none.
func (ps Problems) Summary() string {
	var parts []string
	for _, s := range []Severity{SeverityError, SeverityWarning} {
		switch n := len(ps.only(s)); n {
		case 0:
		case 1:
			parts = append(parts, "1 "+string(s))
		default:
			parts = append(parts, fmt.Sprintf("%d %ss", n, s))
		}
	}
	if len(parts) == 0 {
		return "no problems"
	}
	return strings.Join(parts, ", ")
}

// sorted orders by place and drops what is said twice.
func (ps Problems) sorted() Problems {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(
			cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col),
			cmp.Compare(a.Code, b.Code), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Message, b.Message))
	})
	return slices.Compact(ps)
}
