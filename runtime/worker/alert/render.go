package alert

import (
	"encoding/json"
	"errors"
	"strings"
	"text/template"
	"time"

	"rsm/internal/fill"
)

// maxText is how many bytes a template may write.
const maxText = 8 << 10

func parseTemplate(source string) (*template.Template, error) {
	return template.New("").Option("missingkey=zero").Funcs(fill.Functions()).Parse(source)
}

// facts are what a template knows.
type facts struct {
	Rule, Severity, Host string
	Status               Status
	Labels               map[string]string
	// Value is a number, or nil.
	Value any
	// Event is the last event.
	Event               map[string]any
	Since, Fired, Ended time.Time
}

func factsOf(a *Alert, status Status) facts {
	f := facts{Rule: a.Rule, Severity: a.Severity, Status: status, Labels: a.Labels, Since: a.Since, Fired: a.Fired, Ended: a.Ended}
	if a.Value != nil {
		f.Value = *a.Value
	}
	if len(a.Event) > 0 && json.Unmarshal(a.Event, &f.Event) == nil {
		f.Host = fill.Text(f.Event["host"])
	}
	return f
}

// item shows an alert as it is now; known is how it was told of before.
func (r *rule) item(a *Alert, status Status, known Item) Item {
	i := Item{Rule: a.Rule, Status: status, Severity: a.Severity, Labels: a.Labels, Value: a.Value,
		Since: a.Since, Fired: a.Fired, Fingerprint: a.Fingerprint, Event: a.Event, Cause: a.Cause,
		Summary: known.Summary, Description: known.Description}
	if status == Resolved {
		i.Ended, i.EndReason = a.Ended, a.EndReason
	}
	if r.summary != nil {
		f := factsOf(a, status)
		i.Summary, i.Description = strings.Join(strings.Fields(render(r.summary, f)), " "), render(r.description, f)
	}
	return i
}

// render fills in a template. What goes wrong is said in the text: an alert with a
// poor text is better than none.
func render(t *template.Template, f facts) string {
	var out limited
	err := t.Execute(&out, f)
	written := strings.ReplaceAll(out.String(), "<no value>", "")
	switch {
	case errors.Is(err, errLong):
		return written + " … (the rest is too long)"
	case err != nil:
		return strings.TrimSpace(written + " (" + strings.TrimPrefix(err.Error(), "template: :") + ")")
	}
	return written
}

var errLong = errors.New("too long")

// limited is a buffer that takes no more than maxText.
type limited struct{ strings.Builder }

func (l *limited) Write(p []byte) (int, error) {
	if room := maxText - l.Len(); len(p) > room {
		l.Builder.WriteString(strings.ToValidUTF8(string(p[:room]), ""))
		return room, errLong
	}
	return l.Builder.Write(p)
}
