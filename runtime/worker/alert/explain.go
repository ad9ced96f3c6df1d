package alert

import (
	"strings"
	"time"

	"rsm/internal/expr"
	"rsm/schema"
)

// Explanation says what a rule makes of an event that comes alone, and why.
type Explanation struct {
	Rule string `json:"rule"`
	// Expr is the rule's expression with what it says, Clear that which ends an
	// alert, nil when there is none.
	Expr  Said  `json:"expr"`
	Clear *Said `json:"clear,omitempty"`
	// State is the verdict.
	State State `json:"state"`
	// Alert is what would fire after For, nil when nothing would.
	Alert *Item         `json:"alert,omitempty"`
	For   time.Duration `json:"for_ns"`
	// Receivers are told after GroupWait, unless Muted says what keeps the rule quiet;
	// Escalate tells others later.
	Receivers []string            `json:"receivers,omitempty"`
	Wait      time.Duration       `json:"group_wait_ns"`
	Escalate  []schema.Escalation `json:"escalate,omitempty"`
	Muted     string              `json:"muted,omitempty"`
	// InhibitedBy are the rules whose alerts would keep it quiet, with the labels that
	// must be equal.
	InhibitedBy []string `json:"inhibited_by,omitempty"`
}

// Said is what an expression says of an event.
type Said struct {
	Text  string `json:"text"`
	Holds bool   `json:"holds"`
	// Err says why it says nothing.
	Err string `json:"error,omitempty"`
	// Fields are those that it reads.
	Fields []FieldValue `json:"fields,omitempty"`
}

// FieldValue is a field of an event.
type FieldValue struct {
	Path    string `json:"path"`
	Value   any    `json:"value,omitempty"`
	Missing bool   `json:"missing,omitempty"`
}

// Explain says of each rule of the event's type what it makes of it.
func (r *Rules) Explain(e Event, now time.Time) []Explanation {
	var list []Explanation
	for _, rule := range r.byType[e.Type] {
		list = append(list, rule.explain(e, now))
	}
	return list
}

func (r *rule) explain(e Event, now time.Time) Explanation {
	v := r.judge(e)
	x := Explanation{Rule: r.Name, Expr: Explained(r.expr, e.Fields), State: v.State}
	if r.clear != nil {
		said := Explained(r.clear, e.Fields)
		x.Clear = &said
	}
	if v.State != True {
		return x
	}
	a := r.raise(v, e, earlier(e.TS, now), now)
	a.fire(a.Since.Add(r.For))
	item := r.item(a, Firing, Item{})
	item.Event = nil
	x.Alert, x.For, x.Receivers, x.Wait, x.Escalate = &item, r.For, r.Receivers, r.GroupWait, r.Escalate
	if closed, until := r.closed(now); closed {
		x.Muted = "a mute window"
		if !until.IsZero() {
			x.Muted += " until " + until.UTC().Format(time.RFC3339)
		}
	}
	for _, by := range r.InhibitedBy {
		var equal []string
		for _, label := range by.Equal {
			equal = append(equal, label+"="+a.Label(label))
		}
		x.InhibitedBy = append(x.InhibitedBy, by.Rule+"{"+strings.Join(equal, ",")+"}")
	}
	return x
}

// Explained is what a condition says of the fields of an event, and which of them
// it reads.
func Explained(condition *expr.Program, fields map[string]any) Said {
	said := Said{Text: condition.String()}
	holds, err := condition.Holds(fields)
	if said.Holds = holds; err != nil {
		said.Err = err.Error()
	}
	for _, path := range condition.Fields() {
		value, ok := field(fields, path)
		said.Fields = append(said.Fields, FieldValue{path, value, !ok})
	}
	return said
}
