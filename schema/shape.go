package schema

import (
	_ "embed"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/build"
	"cuelang.org/go/cue/parser"
	"cuelang.org/go/cue/token"
)

//go:embed schema.cue
var clusterSource []byte

//go:embed operations.cue
var operationsSource []byte

//go:embed service.cue
var serviceSource []byte

// Source returns the CUE schema, as `rsm init` writes it under cue.mod.
func Source() []byte { return slices.Concat(clusterSource, operationsSource) }

// schemaSyntax parses the embedded schema anew: CUE resolves identifiers in
// place, so that a tree belongs to one evaluation.
func schemaSyntax() (*ast.File, error) {
	f, err := parser.ParseFile(importPath+"/schema.cue", Source(), parser.ParseComments)
	if err != nil {
		return nil, fmt.Errorf("parse schema: %w", err)
	}
	return f, nil
}

// serviceSyntax is schemaSyntax for what belongs to a service.
func serviceSyntax() (*ast.File, error) {
	f, err := parser.ParseFile(importPath+"/service.cue", serviceSource, parser.ParseComments)
	if err != nil {
		return nil, fmt.Errorf("parse schema: %w", err)
	}
	return f, nil
}

// shape is a definition of the schema, made ready to check values against. It
// is a struct (fields), a map (keys, elem), a list (item), a leaf (check), or open.
//
// Values are checked shape by shape rather than by one big unification: a
// single unification hides errors behind others, blames the schema's lines,
// and loses closedness when a user embeds a definition at file level.
type shape struct {
	name   string
	fields []*field
	// keys is what a map's labels must match, keyWant says so in words.
	keys    *regexp.Regexp
	keyWant string
	elem    *shape
	// item is what each element of a list must be.
	item *shape
	// check is unified with leaves; want says what it asks for.
	check cue.Value
	want  string
	// other is the struct that a leaf may be instead: text | #Struct.
	other *shape
}

// field is one field of a struct shape.
type field struct {
	name     string
	required bool
	// reserved fields are accepted as they are.
	reserved bool
	shape    *shape
	doc      string
}

func (s *shape) field(name string) *field {
	for _, f := range s.fields {
		if f.name == name {
			return f
		}
	}
	return nil
}

func (s *shape) names() []string {
	names := make([]string, 0, len(s.fields))
	for _, f := range s.fields {
		names = append(names, f.name)
	}
	return names
}

// shaper reads shapes from the schema's syntax and takes leaf checks from its
// value. It understands the few forms that schema.cue uses, nothing more.
type shaper struct {
	value       cue.Value
	definitions map[string]*ast.Field
	made        map[string]*shape
}

// shapes returns the shape of a definition in files of one package.
func shapes(ctx *cue.Context, root string, files ...func() (*ast.File, error)) (*shape, error) {
	s := &shaper{definitions: map[string]*ast.Field{}, made: map[string]*shape{}}
	inst := build.NewContext().NewInstance("", nil)
	for _, file := range files {
		syntax, err := file()
		if err != nil {
			return nil, err
		}
		if err := s.add(syntax); err != nil {
			return nil, err
		}
		if err := inst.AddSyntax(syntax); err != nil {
			return nil, fmt.Errorf("build schema: %w", err)
		}
	}
	s.value = ctx.BuildInstance(inst)
	if err := s.value.Err(); err != nil {
		return nil, fmt.Errorf("build schema: %w", err)
	}
	return s.definition(root)
}

// add remembers the definitions of a file.
func (s *shaper) add(syntax *ast.File) error {
	for _, decl := range syntax.Decls {
		if f, ok := decl.(*ast.Field); ok {
			name, _, err := ast.LabelName(f.Label)
			if err != nil {
				return fmt.Errorf("read schema: %w", err)
			}
			s.definitions[name] = f
		}
	}
	return nil
}

func (s *shaper) definition(name string) (*shape, error) {
	if made := s.made[name]; made != nil {
		return made, nil
	}
	def := s.definitions[name]
	if def == nil {
		return nil, errors.New("read schema: no definition " + name)
	}
	made := &shape{name: name}
	s.made[name] = made
	lit, ok := def.Value.(*ast.StructLit)
	if _, leaf := attribute(def, "want"); !ok || leaf {
		made.check = s.value.LookupPath(cue.MakePath(cue.Def(name)))
		made.want, _ = attribute(def, "want")
		return made, errors.Join(made.check.Err(), s.alternative(made, def.Value))
	}
	return made, s.structure(made, lit)
}

// alternative finds the struct that a leaf may be instead.
func (s *shaper) alternative(made *shape, e ast.Expr) (err error) {
	either, ok := e.(*ast.BinaryExpr)
	if !ok || either.Op != token.OR {
		return nil
	}
	if name, ok := either.Y.(*ast.Ident); ok && strings.HasPrefix(name.Name, "#") {
		made.other, err = s.definition(name.Name)
	}
	return err
}

func (s *shaper) structure(made *shape, lit *ast.StructLit) error {
	for _, decl := range lit.Elts {
		f, ok := decl.(*ast.Field)
		if !ok {
			return fmt.Errorf("read schema: %s has a %T", made.name, decl)
		}
		if pattern, ok := f.Label.(*ast.ListLit); ok {
			if err := s.pattern(made, pattern, f.Value); err != nil {
				return err
			}
			continue
		}
		name, _, err := ast.LabelName(f.Label)
		if err != nil {
			return fmt.Errorf("read schema: %w", err)
		}
		inner, err := s.expr(f.Value)
		if err != nil {
			return fmt.Errorf("%s.%s: %w", made.name, name, err)
		}
		_, reserved := attribute(f, "reserved")
		made.fields = append(made.fields, &field{
			name: name, required: f.Constraint == token.NOT, reserved: reserved, shape: inner, doc: comment(f),
		})
	}
	return nil
}

func (s *shaper) pattern(made *shape, label *ast.ListLit, value ast.Expr) error {
	key, ok := label.Elts[0].(*ast.Ident)
	if !ok || s.definitions[key.Name] == nil {
		return errors.New("read schema: a pattern must name a definition")
	}
	unary, ok := s.definitions[key.Name].Value.(*ast.UnaryExpr)
	if !ok {
		return errors.New("read schema: " + key.Name + " is not a regular expression")
	}
	text, err := strconv.Unquote(unary.X.(*ast.BasicLit).Value)
	if err != nil {
		return fmt.Errorf("read schema: %w", err)
	}
	if made.keys, err = regexp.Compile(text); err != nil {
		return fmt.Errorf("read schema: %w", err)
	}
	made.keyWant, _ = attribute(s.definitions[key.Name], "want")
	made.elem, err = s.expr(value)
	return err
}

func (s *shaper) expr(e ast.Expr) (*shape, error) {
	switch e := e.(type) {
	case *ast.Ident:
		if e.Name == "_" {
			return &shape{name: "_"}, nil
		}
		return s.definition(e.Name)
	case *ast.StructLit:
		made := &shape{}
		return made, s.structure(made, e)
	case *ast.ListLit:
		return s.list(e)
	}
	return nil, fmt.Errorf("read schema: unexpected %T", e)
}

// list reads [...#Name].
func (s *shaper) list(lit *ast.ListLit) (*shape, error) {
	if len(lit.Elts) == 1 {
		if rest, ok := lit.Elts[0].(*ast.Ellipsis); ok {
			item, err := s.expr(rest.Type)
			return &shape{item: item}, err
		}
	}
	return nil, errors.New("read schema: a list must be [...#Name]")
}

// attribute returns the text of @key("text").
func attribute(f *ast.Field, key string) (text string, ok bool) {
	for _, a := range f.Attrs {
		if k, body := a.Split(); k == key {
			text, _ = strconv.Unquote(body)
			return text, true
		}
	}
	return "", false
}

// comment returns the doc comment of a field as one paragraph.
func comment(n ast.Node) string {
	var lines []string
	for _, group := range ast.Comments(n) {
		if group.Doc {
			lines = append(lines, strings.TrimSpace(group.Text()))
		}
	}
	return strings.Join(strings.Fields(strings.Join(lines, " ")), " ")
}

// skeleton opens a schema: every struct takes any further field and every leaf
// any value. A spec that imports the schema is evaluated against the skeleton,
// so that every mistake reaches rsm's own checks instead of ending CUE's.
func skeleton(f *ast.File) *ast.File {
	open := &ast.File{Filename: f.Filename}
	for _, decl := range f.Decls {
		if def, ok := decl.(*ast.Field); ok {
			decl = &ast.Field{Label: def.Label, Constraint: def.Constraint, Value: opened(def.Value)}
		}
		open.Decls = append(open.Decls, decl)
	}
	return open
}

func opened(e ast.Expr) ast.Expr {
	lit, ok := e.(*ast.StructLit)
	if !ok {
		if name, ok := e.(*ast.Ident); ok {
			return ast.NewIdent(name.Name)
		}
		return ast.NewIdent("_")
	}
	made := &ast.StructLit{}
	for _, decl := range lit.Elts {
		f, ok := decl.(*ast.Field)
		if !ok {
			continue
		}
		if _, pattern := f.Label.(*ast.ListLit); pattern {
			any := &ast.ListLit{Elts: []ast.Expr{ast.NewIdent("string")}}
			made.Elts = append(made.Elts, &ast.Field{Label: any, Value: opened(f.Value)})
			continue
		}
		made.Elts = append(made.Elts, &ast.Field{Label: f.Label, Constraint: token.OPTION, Value: opened(f.Value)})
	}
	made.Elts = append(made.Elts, &ast.Ellipsis{})
	return made
}
