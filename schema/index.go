package schema

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/token"
)

// index knows where each field of a spec was written. It is made from the
// syntax, as positions of evaluated values point into templates and the schema
// as often as to where the user wrote the field.
type index struct {
	labels, values map[string]token.Pos
	// computed has fields that were not written at their path.
	computed map[string]token.Pos
	// secret holds "file:line" of every line that may show a secret.
	secret map[string]bool
	// suspect is the place that most likely makes an evaluation endless.
	suspect token.Pos
}

func newIndex() *index {
	return &index{
		labels: map[string]token.Pos{}, values: map[string]token.Pos{}, computed: map[string]token.Pos{},
		secret: map[string]bool{},
	}
}

// compute remembers where a field comes from that a template or loop made.
func (ix *index) compute(path string, v cue.Value) {
	if _, written := ix.labels[path]; written {
		return
	}
	if pos := v.Pos(); mine(pos) {
		ix.computed[path] = pos
	}
}

// add indexes a file.
func (ix *index) add(f *ast.File) {
	ix.declarations(f.Decls, "")
	ix.findSuspect(f)
	ix.findSecrets(f)
}

func (ix *index) declarations(decls []ast.Decl, path string) {
	for _, decl := range decls {
		switch d := decl.(type) {
		case *ast.Field:
			ix.field(d, path)
		case *ast.EmbedDecl:
			ix.expression(d.Expr, path)
		case *ast.Comprehension:
			ix.expression(d.Value, path)
		}
	}
}

func (ix *index) field(f *ast.Field, path string) {
	name, ok := labelName(f.Label)
	if !ok {
		return
	}
	path = join(path, name)
	if _, known := ix.labels[path]; !known {
		ix.labels[path] = f.Label.Pos()
	}
	switch f.Value.(type) {
	case *ast.StructLit, *ast.BinaryExpr:
	default:
		if _, known := ix.values[path]; !known && f.Value != nil {
			ix.values[path] = f.Value.Pos()
		}
	}
	ix.expression(f.Value, path)
}

func (ix *index) expression(e ast.Expr, path string) {
	switch e := e.(type) {
	case *ast.StructLit:
		ix.declarations(e.Elts, path)
	case *ast.BinaryExpr:
		ix.expression(e.X, path)
		ix.expression(e.Y, path)
	case *ast.ParenExpr:
		ix.expression(e.X, path)
	case *ast.Alias:
		ix.expression(e.Expr, path)
	case *ast.ListLit:
		for i, value := range e.Elts {
			ix.element(value, element(path, i))
		}
	}
}

// element is field for an element of a list.
func (ix *index) element(e ast.Expr, path string) {
	if _, known := ix.labels[path]; !known {
		ix.labels[path] = e.Pos()
	}
	ix.expression(e, path)
}

// labelName returns the name of a regular field; false for hidden fields,
// definitions, patterns and computed labels.
func labelName(label ast.Label) (string, bool) {
	if alias, ok := label.(*ast.Alias); ok {
		inner, ok := alias.Expr.(ast.Label)
		if !ok {
			return "", false
		}
		label = inner
	}
	name, ident, err := ast.LabelName(label)
	if err != nil || ident && (strings.HasPrefix(name, "_") || strings.HasPrefix(name, "#")) {
		return "", false
	}
	return name, true
}

var plainName = regexp.MustCompile(`^[A-Za-z_$][A-Za-z0-9_$-]*$`)

// join appends a label to a path, quoted when it has dots or blanks.
func join(path, label string) string {
	if !plainName.MatchString(label) {
		label = strconv.Quote(label)
	}
	if path == "" {
		return label
	}
	return path + "." + label
}

// element is the path of an element of a list.
func element(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

// at returns where a path was written: its value, or its label when the value
// is a struct, or what computed it, or the same of the nearest parent.
func (ix *index) at(path string) token.Pos {
	if pos, ok := ix.values[path]; ok {
		return pos
	}
	return ix.label(path)
}

// label is at for problems with the name rather than the value.
func (ix *index) label(path string) token.Pos {
	for path != "" {
		if pos, ok := ix.labels[path]; ok {
			return pos
		}
		if pos, ok := ix.computed[path]; ok {
			return pos
		}
		path = parent(path)
	}
	return token.NoPos
}

// mine tells whether a position is in the user's files.
func mine(pos token.Pos) bool {
	return pos.IsValid() && pos.Filename() != "" && !strings.HasPrefix(pos.Filename(), importPath+"/")
}

func parent(path string) string {
	if strings.HasSuffix(path, "]") {
		return path[:strings.LastIndexByte(path, '[')]
	}
	if strings.HasSuffix(path, `"`) {
		if i := strings.LastIndex(path[:len(path)-1], `."`); i >= 0 {
			return path[:i]
		}
		return ""
	}
	i := strings.LastIndexByte(path, '.')
	if i < 0 {
		return ""
	}
	return path[:i]
}

// findSuspect looks for what makes evaluations endless: calls that repeat, and
// loops.
func (ix *index) findSuspect(f *ast.File) {
	ast.Walk(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			if call, ok := n.Fun.(*ast.SelectorExpr); ok {
				name, _, _ := ast.LabelName(call.Sel)
				if name == "Range" || name == "Repeat" {
					ix.suspect = n.Pos()
				}
			}
		case *ast.ForClause:
			if !ix.suspect.IsValid() {
				ix.suspect = n.Pos()
			}
		}
		return true
	}, nil)
}

var secretName = regexp.MustCompile(`(?i)(pass|secret|token|^auth$|masterauth|^user$|^_*pw)`)

// findSecrets marks the lines of text under names that sound like secrets.
func (ix *index) findSecrets(f *ast.File) {
	depth := 0
	enters := func(n ast.Node) bool {
		d, ok := n.(*ast.Field)
		if !ok {
			return false
		}
		name, _, err := ast.LabelName(d.Label)
		return err == nil && secretName.MatchString(name)
	}
	reference := func(n ast.Node) bool {
		d, ok := n.(*ast.Field)
		if !ok {
			return false
		}
		name, _, _ := ast.LabelName(d.Label)
		return name == "env" || name == "file"
	}
	ast.Walk(f, func(n ast.Node) bool {
		if enters(n) {
			depth++
		}
		if depth > 0 && reference(n) {
			return false
		}
		if lit, ok := n.(*ast.BasicLit); ok && depth > 0 {
			for line := lit.Pos().Line(); line <= lit.End().Line(); line++ {
				ix.secret[fmt.Sprintf("%s:%d", f.Filename, line)] = true
			}
		}
		return true
	}, func(n ast.Node) {
		if enters(n) {
			depth--
		}
	})
}
