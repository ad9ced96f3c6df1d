package alert

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Silence mutes alerts by their labels for a time. A person made it and said why.
type Silence struct {
	Version int64  `json:"version"`
	ID      string `json:"id"`
	// Matchers must all match.
	Matchers []Matcher `json:"matchers"`
	Creator  string    `json:"creator"`
	Reason   string    `json:"reason"`
	Starts   time.Time `json:"starts"`
	Ends     time.Time `json:"ends"`
	// UntilResolved ends it before Ends, as soon as what it mutes has ended.
	UntilResolved bool `json:"until_resolved,omitempty"`
	// Matched tells that it has muted something.
	Matched bool `json:"matched,omitempty"`
}

// Matcher is a condition on a label. An alert that has no such label has it empty;
// "rule" and "severity" are labels, too.
type Matcher struct {
	Label string `json:"label"`
	// Op is "=", "!=", "=~" or "!~"; the latter two match the whole value against a
	// regular expression.
	Op    string `json:"op"`
	Value string `json:"value"`
}

// ParseMatcher reads "label=value", "label!=value", "label=~regexp" or
// "label!~regexp".
func ParseMatcher(text string) (Matcher, error) {
	at := strings.IndexAny(text, "=!")
	if at < 1 || at+1 >= len(text) && text[at] == '!' {
		return Matcher{}, fmt.Errorf("matcher %q: write label=value, label!=value, label=~regexp or label!~regexp", text)
	}
	m := Matcher{Label: strings.TrimSpace(text[:at]), Op: text[at : at+1], Value: text[at+1:]}
	if rest := text[at:]; strings.HasPrefix(rest, "=~") || strings.HasPrefix(rest, "!~") || strings.HasPrefix(rest, "!=") {
		m.Op, m.Value = rest[:2], rest[2:]
	}
	if _, err := m.compile(); err != nil {
		return Matcher{}, err
	}
	return m, nil
}

// String writes it as ParseMatcher reads it.
func (m Matcher) String() string { return m.Label + m.Op + m.Value }

// compile makes a condition on the value of the label.
func (m Matcher) compile() (func(string) bool, error) {
	switch m.Op {
	case "=":
		return func(value string) bool { return value == m.Value }, nil
	case "!=":
		return func(value string) bool { return value != m.Value }, nil
	case "=~", "!~":
		pattern, err := regexp.Compile("^(?:" + m.Value + ")$")
		if err != nil {
			return nil, fmt.Errorf("matcher %q: %w", m, err)
		}
		return func(value string) bool { return pattern.MatchString(value) == (m.Op == "=~") }, nil
	}
	return nil, fmt.Errorf("matcher %q: unknown operator %q: =, !=, =~ or !~", m, m.Op)
}

// Validate says what a silence lacks, nil when it can be used.
func (s Silence) Validate() error {
	var wrong []error
	lacks := func(it bool, what string) {
		if it {
			wrong = append(wrong, errors.New(what))
		}
	}
	lacks(s.ID == "", "it has no id")
	lacks(s.Creator == "", "it has no creator: say who mutes")
	lacks(strings.TrimSpace(s.Reason) == "", "it has no reason: say why")
	lacks(s.Ends.IsZero(), "it has no end: say for how long")
	lacks(!s.Ends.IsZero() && !s.Ends.After(s.Starts), "it ends before it begins")
	lacks(len(s.Matchers) == 0, "it has no matcher: say which alerts, such as host=web1")
	narrow := false
	for _, m := range s.Matchers {
		matches, err := m.compile()
		if err != nil {
			wrong = append(wrong, err)
			continue
		}
		lacks(m.Label == "", "a matcher has no label")
		narrow = narrow || !matches("")
	}
	lacks(len(s.Matchers) > 0 && len(wrong) == 0 && !narrow, "it matches alerts without any of its labels, too: that would be nearly all")
	if len(wrong) > 0 {
		return fmt.Errorf("silence %s: %w", s.ID, errors.Join(wrong...))
	}
	return nil
}

// Next tells what becomes of a silence: nil when it is over. alerts are all there
// are; ask when one of them changes its status and at s.Ends.
func (s Silence) Next(alerts []Alert, now time.Time) (next *Silence, changed bool) {
	if !now.Before(s.Ends) {
		return nil, true
	}
	if !s.UntilResolved || now.Before(s.Starts) {
		return &s, false
	}
	mutes := false
	prepared := prepare(s)
	for i := range alerts {
		mutes = mutes || alerts[i].Status == Firing && prepared.matches(&alerts[i])
	}
	switch {
	case s.Matched && !mutes:
		return nil, true
	case !s.Matched && mutes:
		s.Matched = true
		s.Version++
		return &s, true
	}
	return &s, false
}

// lead is how long before its end it is announced.
func (s Silence) lead() time.Duration { return min(15*time.Minute, s.Ends.Sub(s.Starts)/4) }

// notice names its end: one that is moved is announced again.
func (s Silence) notice() string { return s.ID + "@" + s.Ends.UTC().Format(time.RFC3339) }

// prepared is a silence whose matchers are compiled.
type prepared struct {
	Silence
	conditions []func(string) bool
}

// prepare compiles. A matcher that cannot be read, which Validate lets none be,
// matches nothing: who hears too much will mend it.
func prepare(s Silence) prepared {
	p := prepared{s, make([]func(string) bool, len(s.Matchers))}
	for i, m := range s.Matchers {
		matches, err := m.compile()
		if err != nil {
			matches = func(string) bool { return false }
		}
		p.conditions[i] = matches
	}
	return p
}

func (p prepared) matches(a *Alert) bool {
	for i, matches := range p.conditions {
		if !matches(a.Label(p.Matchers[i].Label)) {
			return false
		}
	}
	return len(p.conditions) > 0
}

// inForce are the silences that mute now.
func inForce(silences []Silence, now time.Time) (found []prepared) {
	for _, s := range silences {
		if !now.Before(s.Starts) && now.Before(s.Ends) {
			found = append(found, prepare(s))
		}
	}
	return found
}
