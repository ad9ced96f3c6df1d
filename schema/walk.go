package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"cuelang.org/go/cue"
)

// walker checks an evaluated spec against the schema's shapes and collects
// what fits as plain maps: a leaf that does not fit is left out, so that the
// rest can still be checked.
type walker struct {
	index    *index
	problems Problems
	// places maps a field name to where it belongs, for hints.
	places map[string]string
	// secrets are values that must not be printed.
	secrets map[string]bool
}

func newWalker(ix *index, spec *shape) *walker {
	w := &walker{index: ix, places: map[string]string{}, secrets: map[string]bool{}}
	w.learn(spec, "")
	return w
}

// learn fills places.
func (w *walker) learn(s *shape, path string) {
	for _, f := range s.fields {
		at := join(path, f.name)
		if _, known := w.places[f.name]; !known {
			w.places[f.name] = at
		}
		w.learn(f.shape, at)
	}
	if s.elem != nil {
		w.learn(s.elem, path+".NAME")
	}
}

// report adds a problem at a path; name tells that the label is at fault.
func (w *walker) report(code Code, path string, name bool, format string, args ...any) *Problem {
	p := Problem{Code: code, Path: path, Message: fmt.Sprintf(format, args...)}
	if name {
		p.place(w.index.label(path))
	} else {
		p.place(w.index.at(path))
	}
	w.problems = append(w.problems, p)
	return &w.problems[len(w.problems)-1]
}

// walk returns a value as map[string]any, []any, string or int; nil when it
// does not fit.
func (w *walker) walk(v cue.Value, s *shape, path string) any {
	switch {
	case s.name == "_":
		return nil
	case (s.name == "#Secret" || s.name == "#Auth") && v.IncompleteKind()&cue.StructKind == 0:
		w.literalSecret(v, path)
		return nil
	case s.name == "#Object":
		return w.object(v, s, path)
	case s.fields != nil || s.elem != nil:
		return w.structure(v, s, path)
	case s.item != nil:
		return w.list(v, s, path)
	case s.other != nil && v.IncompleteKind() == cue.StructKind:
		return w.walk(v, s.other, path)
	}
	return w.leaf(v, s, path)
}

// object returns any struct as JSON with sorted names.
func (w *walker) object(v cue.Value, s *shape, path string) any {
	v, _ = v.Default()
	if v.IncompleteKind()&cue.StructKind == 0 {
		w.report(CodeValue, path, false, "want %s, got %s", s.want, w.got(v, path))
		return nil
	}
	if err := v.Validate(cue.Concrete(true)); err != nil {
		w.problems = append(w.problems, w.index.explain(err, path)...)
		return nil
	}
	text, err := v.MarshalJSON()
	if err == nil {
		text, err = canonical(text)
	}
	if err != nil {
		w.report(CodeValue, path, false, "it cannot be written as JSON: %v", err)
		return nil
	}
	return json.RawMessage(text)
}

// canonical is the one spelling of a JSON value: compact, names sorted, numbers as
// they were.
func canonical(text []byte) ([]byte, error) {
	var value any
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&value); err != nil {
		return nil, err
	}
	return json.Marshal(value)
}

// list returns the elements, nil for those that do not fit.
func (w *walker) list(v cue.Value, s *shape, path string) any {
	v, _ = v.Default()
	elements, err := v.List()
	switch kind := v.IncompleteKind(); {
	case kind == cue.BottomKind:
		w.problems = append(w.problems, w.index.explain(v.Err(), path)...)
		return nil
	case kind != cue.ListKind || err != nil:
		w.report(CodeValue, path, false, "want a list [ ... ], got %s", w.got(v, path))
		return nil
	}
	found := []any{}
	for elements.Next() {
		at := element(path, len(found))
		w.index.compute(at, elements.Value())
		found = append(found, w.walk(elements.Value(), s.item, at))
	}
	return found
}

func (w *walker) structure(v cue.Value, s *shape, path string) any {
	v, _ = v.Default()
	switch kind := v.IncompleteKind(); {
	case kind == cue.BottomKind && !hasFields(v):
		w.problems = append(w.problems, w.index.explain(v.Err(), path)...)
		return nil
	case kind != cue.BottomKind && kind&cue.StructKind == 0:
		p := w.report(CodeValue, path, false, "want a struct { ... }, got %s", w.got(v, path))
		if s.fields != nil {
			p.Hint = "its fields: " + strings.Join(s.names(), ", ")
		} else {
			p.Hint = "write NAME: value, once for each"
		}
		return nil
	}
	fields, err := v.Fields()
	if err != nil {
		w.problems = append(w.problems, w.index.explain(err, path)...)
		return nil
	}
	before := len(w.problems)
	found := map[string]any{}
	seen := map[string]bool{}
	for fields.Next() {
		if fields.Selector().LabelType() != cue.StringLabel {
			continue // a value that is a list and something else at once
		}
		name := fields.Selector().Unquoted()
		seen[name] = true
		// A misspelt field is not reported as missing as well.
		seen[w.entry(found, fields.Value(), s, path, name)] = true
	}
	for _, f := range s.fields {
		if f.required && !seen[f.name] {
			w.report(CodeMissing, join(path, f.name), true, "required field %s is missing", f.name)
		}
	}
	if err := v.Err(); err != nil && len(w.problems) == before && path != "" {
		w.problems = append(w.problems, w.index.explain(err, path)...)
	}
	return found
}

func hasFields(v cue.Value) bool {
	fields, err := v.Fields()
	for err == nil && fields.Next() {
		if fields.Selector().LabelType() == cue.StringLabel {
			return true
		}
	}
	return false
}

// entry checks one label and its value. It returns the name of the field that
// was probably meant when the label is unknown.
func (w *walker) entry(found map[string]any, v cue.Value, s *shape, path, name string) (meant string) {
	at := join(path, name)
	w.index.compute(at, v)
	if f := s.field(name); f != nil {
		if f.reserved {
			w.report(CodeReserved, at, true, "%s is reserved and not acted upon yet", name)
			return ""
		}
		if got := w.walk(v, f.shape, at); got != nil {
			found[name] = got
		}
		return ""
	}
	if s.elem == nil {
		return w.unknown(v, s, at, name)
	}
	if !s.keys.MatchString(name) {
		w.report(CodeName, at, true, "%q is not a good name: want %s", name, s.keyWant)
		return ""
	}
	if got := w.walk(v, s.elem, at); got != nil {
		found[name] = got
	}
	return ""
}

func (w *walker) unknown(v cue.Value, s *shape, path, name string) (meant string) {
	if s.name == "#Secret" || s.name == "#Auth" || secretName.MatchString(name) {
		w.hide(v)
	}
	guess := nearest(name, s.names())
	if f := s.field(guess); f != nil && f.shape.name == "#Secret" {
		w.hide(v)
	}
	p := w.report(CodeUnknown, path, true, "unknown field %s", name)
	switch {
	case guess != "":
		p.Hint = "did you mean " + guess + "?"
	case w.places[name] != "":
		p.Hint = name + " belongs at " + w.places[name]
	case s.name == "#Spec", s.name == "#Service":
		p.Hint = "a helper needs a hidden name such as _" + name
	default:
		p.Hint = "known fields: " + strings.Join(s.names(), ", ")
	}
	return guess
}

// leaf checks one value and returns it as text or int.
func (w *walker) leaf(v cue.Value, s *shape, path string) any {
	v, _ = v.Default()
	if v.IncompleteKind() == cue.BottomKind {
		w.problems = append(w.problems, w.index.explain(v.Err(), path)...)
		return nil
	}
	fits := s.check.Unify(v).Err()
	if refusedSecret(path) || fits != nil && aroundSecret(path) {
		w.hide(v)
	}
	if fits != nil {
		w.report(codeOf(s), path, false, "want %s, got %s", s.want, w.got(v, path))
		return nil
	}
	if !v.IsConcrete() {
		w.report(CodeIncomplete, path, false, "no value yet, only a constraint: want %s", s.want)
		return nil
	}
	return scalar(v, s.name == "#ConfigValue")
}

// codeOf gives the kinds of text that have rules their own code.
func codeOf(s *shape) Code {
	switch s.name {
	case "#Duration":
		return CodeDuration
	case "#Size":
		return CodeSize
	case "#Version":
		return CodeVersion
	case "#Cron":
		return CodeCron
	case "#Zone":
		return CodeZone
	case "#Address":
		return CodeAddress
	case "#Name":
		return CodeName
	}
	return CodeValue
}

// scalar returns a concrete value; text makes numbers and booleans text as
// redis.conf writes them.
func scalar(v cue.Value, text bool) any {
	switch v.Kind() {
	case cue.StringKind:
		s, _ := v.String()
		return s
	case cue.BoolKind:
		if yes, _ := v.Bool(); yes {
			return "yes"
		}
		return "no"
	case cue.IntKind:
		n, err := v.Int(nil)
		if err != nil {
			return nil
		}
		if text {
			return n.String()
		}
		return int(n.Int64())
	}
	n, _ := v.Float64()
	return strconv.FormatFloat(n, 'f', -1, 64)
}

// got describes a value in a few words; never a secret's.
func (w *walker) got(v cue.Value, path string) string {
	kind := v.IncompleteKind()
	switch {
	case kind == cue.StructKind:
		return "a struct"
	case kind == cue.ListKind:
		return "a list"
	case kind == cue.NullKind:
		return "null"
	case aroundSecret(path) || refusedSecret(path):
		return "***"
	case !v.IsConcrete():
		return "no value"
	}
	text, err := v.MarshalJSON()
	if err != nil {
		return kind.String()
	}
	if len(text) > 60 {
		text = append(text[:57:57], "..."...)
	}
	return string(text)
}
