package alert

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

	by []string // the values of the rule's By fields
}
