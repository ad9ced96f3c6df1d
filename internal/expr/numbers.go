package expr

import (
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

// decimals makes whole numbers in calculations with fields decimal: CEL refuses to
// calculate with an int and a double (and to ask whether they are equal), and every
// number of JSON is a double.
func decimals(parsed *cel.Ast) {
	literals := ast.NewExprFactory()
	ast.PreOrderVisit(parsed.NativeRep().Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		leaves := operands(e)
		if !slices.ContainsFunc(leaves, decimal) {
			return
		}
		for _, leaf := range leaves {
			if leaf.Kind() != ast.LiteralKind {
				continue
			}
			if n, ok := leaf.AsLiteral().(types.Int); ok {
				leaf.SetKindCase(literals.NewLiteral(leaf.ID(), types.Double(n)))
			}
		}
	}))
}

// operands are what a calculation is made of, those of its parts included; none
// when e calculates nothing.
func operands(e ast.Expr) []ast.Expr {
	if e.Kind() != ast.CallKind || !slices.Contains(calculations, e.AsCall().FunctionName()) {
		return nil
	}
	var list []ast.Expr
	for _, arg := range e.AsCall().Args() {
		if parts := operands(arg); parts != nil {
			list = append(list, parts...)
		} else {
			list = append(list, arg)
		}
	}
	return list
}

// decimal tells whether an operand is a field or a decimal number. Names with an @
// are the counters of macros, which are ints.
func decimal(e ast.Expr) bool {
	switch e.Kind() {
	case ast.IdentKind:
		return !strings.HasPrefix(e.AsIdent(), "@")
	case ast.SelectKind:
		return true
	case ast.CallKind:
		return e.AsCall().FunctionName() == operators.Index
	case ast.LiteralKind:
		_, ok := e.AsLiteral().(types.Double)
		return ok
	}
	return false
}

var calculations = []string{operators.Add, operators.Subtract, operators.Multiply, operators.Divide, operators.Negate, operators.Equals, operators.NotEquals}
