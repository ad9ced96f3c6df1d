package alert

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"text/template"

	"rsm/internal/expr"
	"rsm/schema"
)

// Rules are compiled rules; safe for concurrent use.
type Rules struct {
	byName map[string]*rule
	byType map[string][]*rule
	// broken are the names of those that do not compile.
	broken map[string]bool
}

// rule is one that is ready to be used.
type rule struct {
	schema.Rule
	identity             string
	expr, clear          *expr.Program // clear is nil when the end of expr ends it
	summary, description *template.Template
}

// Compile prepares rules. The error joins what is wrong with each; those that are
// right work all the same, and alerts of the others stay as they are.
func Compile(rules []schema.Rule) (*Rules, error) {
	r := &Rules{map[string]*rule{}, map[string][]*rule{}, map[string]bool{}}
	var wrong []error
	for _, declared := range rules {
		compiled, err := compileRule(declared)
		if err != nil {
			r.broken[declared.Name] = true
			wrong = append(wrong, fmt.Errorf("rule %s: %w", declared.Name, err))
			continue
		}
		r.byName[declared.Name] = compiled
		r.byType[declared.Type] = append(r.byType[declared.Type], compiled)
	}
	return r, errors.Join(wrong...)
}

func compileRule(declared schema.Rule) (*rule, error) {
	r := &rule{Rule: declared, identity: identityOf(declared)}
	var wrong []error
	check := func(what string, err error) {
		if err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %w", what, err))
		}
	}
	var err error
	r.expr, err = expr.Condition(declared.Expr)
	check("expr", err)
	if declared.Clear != "" {
		r.clear, err = expr.Condition(declared.Clear)
		check("clear", err)
	}
	r.summary, err = parseTemplate(declared.Summary)
	check("summary", err)
	r.description, err = parseTemplate(declared.Description)
	check("description", err)
	return r, errors.Join(wrong...)
}

// identityOf digests what makes the alerts of a rule what they are. Another
// expression, severity or receiver is none of it: the next event and the next
// notification follow those.
func identityOf(r schema.Rule) string {
	return digest(r.Type, r.By, r.Labels, r.GroupBy)
}

// digest is a short stable hash of values that JSON knows.
func digest(values ...any) string {
	content, err := json.Marshal(values)
	if err != nil { // not of what is used here
		content = []byte(err.Error())
	}
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:8])
}

// Inhibitors are the names of the rules that others are inhibited by, sorted: their
// firing alerts belong in Env.Firing.
func (r *Rules) Inhibitors() []string {
	names := map[string]bool{}
	for _, rule := range r.byName {
		for _, by := range rule.InhibitedBy {
			names[by.Rule] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// of finds the rule of an alert. why says that there is none any more.
func (r *Rules) of(name, identity string) (found *rule, why string) {
	switch found = r.byName[name]; {
	case found == nil && r.broken[name]:
		return nil, ""
	case found == nil:
		return nil, "rule removed"
	case found.identity != identity:
		return nil, "rule changed"
	}
	return found, ""
}
