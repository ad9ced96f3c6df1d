package alert

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"rsm/internal/expr"
	"rsm/internal/fill"
)

// State is what a rule says of an event.
type State string

const (
	// True: the expression of the rule holds.
	True State = "true"
	// Cleared: an alert ends by it. Where there is none, nothing happens.
	Cleared State = "cleared"
	// Held: the expression does not hold, and what would clear it does not either. A
	// firing alert stays, nothing else begins.
	Held State = "held"
	// Unknown: it cannot be said, see Verdict.Err. Nothing changes by it.
	Unknown State = "unknown"
)

// Verdict is what one rule says of one event.
type Verdict struct {
	// Rule is its name, Fingerprint that of the alert that it is about: of the rule
	// and the values of its By fields.
	Rule, Fingerprint string
	State             State
	// Value is the first number among the fields of the expression, nil when there
	// is none.
	Value *float64
	// Err says why it is Unknown.
	Err error
}

// Verdicts asks each rule of the event's type.
func (r *Rules) Verdicts(e Event) []Verdict {
	rules := r.byType[e.Type]
	if len(rules) == 0 {
		return nil
	}
	verdicts := make([]Verdict, len(rules))
	for i, rule := range rules {
		verdicts[i] = rule.judge(e)
	}
	return verdicts
}

func (r *rule) judge(e Event) Verdict {
	v := Verdict{Rule: r.Name, Fingerprint: r.fingerprint(e), Value: number(r.expr, e.Fields)}
	v.State, v.Err = r.state(e)
	return v
}

func (r *rule) state(e Event) (State, error) {
	holds, err := r.expr.Holds(e.Fields)
	switch {
	case err != nil:
		return Unknown, err
	case holds:
		return True, nil
	case r.clear == nil:
		return Cleared, nil
	}
	switch clears, err := r.clear.Holds(e.Fields); {
	case err != nil:
		return Unknown, fmt.Errorf("clear: %w", err)
	case clears:
		return Cleared, nil
	}
	return Held, nil
}

// number is the first number among the fields of the expression.
func number(of *expr.Program, fields map[string]any) *float64 {
	for _, path := range of.Fields() {
		if value, ok := field(fields, path); ok {
			if n, ok := value.(float64); ok {
				return &n
			}
		}
	}
	return nil
}

// fingerprint tells one alert from another. A field that is missing counts as an
// empty one: an alert with a label less is better than none.
func (r *rule) fingerprint(e Event) string {
	buffer := make([]byte, 0, 128)
	buffer = append(buffer, r.Name...)
	for _, path := range r.By {
		value, _ := field(e.Fields, path)
		buffer = append(buffer, 0)
		buffer = append(buffer, path...)
		buffer = append(buffer, 1)
		buffer = append(buffer, fill.Text(value)...)
	}
	sum := sha256.Sum256(buffer)
	return hex.EncodeToString(sum[:8])
}

// labels are those of the rule and the fields that it goes by.
func (r *rule) labels(e Event) map[string]string {
	labels := make(map[string]string, len(r.Labels)+len(r.By))
	for name, value := range r.Labels {
		labels[name] = value
	}
	for _, path := range r.By {
		value, _ := field(e.Fields, path)
		labels[path] = fill.Text(value)
	}
	return labels
}
