package expr

import (
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
)

// builtin are names that CEL gives a meaning: types, and where functions belong.
// "type" is a field, as events have it.
var builtin = []string{
	"bool", "bytes", "double", "int", "list", "map", "null_type", "string", "uint", "optional_type",
	"math", "optional", "strings", "google",
}

// fields lists the paths of names in an expression, in order. bound are the names
// that its macros bind.
func fields(e ast.Expr, bound []string) (paths []string) {
	add := func(bound []string, parts ...ast.Expr) {
		for _, part := range parts {
			for _, path := range fields(part, bound) {
				if !slices.Contains(paths, path) {
					paths = append(paths, path)
				}
			}
		}
	}
	if path, ok := pathOf(e); ok {
		name, _, _ := strings.Cut(path, ".")
		if slices.Contains(bound, name) || slices.Contains(builtin, name) {
			return nil
		}
		return []string{path}
	}
	switch e.Kind() {
	case ast.SelectKind:
		add(bound, e.AsSelect().Operand())
	case ast.CallKind:
		if e.AsCall().IsMemberFunction() {
			add(bound, e.AsCall().Target())
		}
		add(bound, e.AsCall().Args()...)
	case ast.ListKind:
		add(bound, e.AsList().Elements()...)
	case ast.MapKind:
		for _, entry := range e.AsMap().Entries() {
			add(bound, entry.AsMapEntry().Key(), entry.AsMapEntry().Value())
		}
	case ast.StructKind:
		for _, entry := range e.AsStruct().Fields() {
			add(bound, entry.AsStructField().Value())
		}
	case ast.ComprehensionKind:
		c := e.AsComprehension()
		add(bound, c.IterRange(), c.AccuInit())
		inner := append(slices.Clone(bound), c.IterVar(), c.IterVar2(), c.AccuVar())
		add(inner, c.LoopCondition(), c.LoopStep(), c.Result())
	}
	return paths
}

// pathOf reads a.b.c. What has asks for is none, as it may be missing.
func pathOf(e ast.Expr) (string, bool) {
	switch e.Kind() {
	case ast.IdentKind:
		return strings.TrimPrefix(e.AsIdent(), "."), true
	case ast.SelectKind:
		path, ok := pathOf(e.AsSelect().Operand())
		return path + "." + e.AsSelect().FieldName(), ok && !e.AsSelect().IsTestOnly()
	}
	return "", false
}

// variables declares the first names of paths, as values of any type.
func variables(paths []string) []cel.EnvOption {
	var list []cel.EnvOption
	var declared []string
	for _, path := range paths {
		name, _, _ := strings.Cut(path, ".")
		if !slices.Contains(declared, name) {
			declared = append(declared, name)
			list = append(list, cel.Variable(name, cel.DynType))
		}
	}
	return list
}

// named are the paths in the event: event.a is a, and event alone names nothing.
func named(paths []string) []string {
	var list []string
	for _, path := range paths {
		path = strings.TrimPrefix(path, whole+".")
		if path != whole && !slices.Contains(list, path) {
			list = append(list, path)
		}
	}
	return list
}
