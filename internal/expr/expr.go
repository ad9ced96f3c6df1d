// Package expr compiles and evaluates the CEL expressions of rules and handlers.
//
// An expression speaks of one event, a JSON object. Each top-level name in it is a
// field of the event, of any type; event is the object as a whole, for
// has(event.swap) and for fields whose names are no identifiers,
// event["disk usage"]. Numbers are those of JSON, so that they compare with whole
// numbers and calculate with them: used / total * 100 > 90.
//
// The language is https://github.com/google/cel-spec, with optional values
// (event.?swap.orValue(0)) and the string and math functions of cel-go.
package expr

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/ext"
)

// whole is the name of the object itself.
const whole = "event"

const (
	// longest is how many characters an expression may have.
	longest = 10_000
	// costliest is how much one evaluation may cost in CEL's own unit, about a
	// comparison each: a few milliseconds.
	costliest = 100_000
)

// ErrMissing is the error of an evaluation that needs a field which the event does
// not have, or an element that a list does not have.
var ErrMissing = errors.New("missing field")

// Program is a compiled expression. Any number of goroutines may use it at once.
type Program struct {
	text    string
	program cel.Program
	fields  []string
	boolean bool
}

// Compile reads an expression. The error names the first place at fault as
// "line:column: what".
func Compile(text string) (*Program, error) {
	if strings.TrimSpace(text) == "" {
		return nil, errors.New("1:1: the expression is empty")
	}
	base, err := environment()
	if err != nil {
		return nil, err
	}
	parsed, issues := base.Parse(text)
	if issues.Err() != nil {
		return nil, first(issues)
	}
	paths := fields(parsed.NativeRep().Expr(), nil)
	env, err := base.Extend(variables(paths)...)
	if err != nil {
		return nil, fmt.Errorf("1:1: %w", err)
	}
	decimals(parsed)
	checked, issues := env.Check(parsed)
	if issues.Err() != nil {
		return nil, first(issues)
	}
	program, err := env.Program(checked, options(checked)...)
	if err != nil {
		return nil, fmt.Errorf("1:1: %w", err)
	}
	kind := checked.OutputType().Kind()
	return &Program{text, program, named(paths), kind == types.BoolKind || kind == types.DynKind}, nil
}

// Condition is Compile for an expression that is true or false: one that can be
// nothing of the kind is refused.
func Condition(text string) (*Program, error) {
	p, err := Compile(text)
	if err != nil {
		return nil, err
	}
	if !p.boolean {
		return nil, errors.New("1:1: the expression is neither true nor false")
	}
	return p, nil
}

// String is the expression as it was written.
func (p *Program) String() string { return p.text }

// Fields are the paths of the fields that the expression reads, such as "cpu_usage"
// and "mem.free", in the order of the text. Those that it only asks for by has are
// not among them, nor those that it finds in another way than by their names.
func (p *Program) Fields() []string { return p.fields }

// Eval returns the value for an event: bool, int64, uint64, float64, string, nil,
// or what else CEL has. The error is ErrMissing when a field is missing that
// matters; one in a part of && or || that decides nothing does not.
func (p *Program) Eval(fields map[string]any) (any, error) {
	value, _, err := p.program.Eval(event(fields))
	if err != nil {
		return nil, failure(err)
	}
	if value.Type() == types.NullType {
		return nil, nil
	}
	return value.Value(), nil
}

// Holds is Eval for a Condition. A value that is neither true nor false is an error.
func (p *Program) Holds(fields map[string]any) (bool, error) {
	value, err := p.Eval(fields)
	if err != nil {
		return false, err
	}
	yes, ok := value.(bool)
	if !ok {
		return false, fmt.Errorf("the expression is %v, neither true nor false", value)
	}
	return yes, nil
}

// failure names a missing field. CEL has no exported errors, only texts.
func failure(err error) error {
	text := err.Error()
	for _, missing := range []string{"no such key: ", "no such attribute(s): ", "index out of bounds: "} {
		if _, name, ok := strings.Cut(text, missing); ok {
			return fmt.Errorf("%w: %s", ErrMissing, name)
		}
	}
	return err
}

// event lets an expression look up fields by name.
type event map[string]any

// ResolveName finds a variable.
func (e event) ResolveName(name string) (any, bool) {
	if name == whole {
		return map[string]any(e), true
	}
	value, ok := e[name]
	return value, ok
}

// Parent is none.
func (e event) Parent() cel.Activation { return nil }

// environment is that of every expression, without its fields. It is built when
// the first one is compiled, as that takes milliseconds.
var environment = sync.OnceValues(func() (*cel.Env, error) {
	return cel.NewEnv(
		cel.OptionalTypes(), ext.Strings(), ext.Math(),
		cel.CrossTypeNumericComparisons(true),
		cel.ParserExpressionSizeLimit(longest),
		cel.ParserRecursionLimit(100),
	)
})

// options bounds what an evaluation costs. One without a loop costs no more than it
// is long, and counting would make it slower by half.
func options(checked *cel.Ast) []cel.ProgramOption {
	loops := false
	ast.PreOrderVisit(checked.NativeRep().Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		loops = loops || e.Kind() == ast.ComprehensionKind
	}))
	list := []cel.ProgramOption{cel.EvalOptions(cel.OptOptimize)}
	if loops {
		list = append(list, cel.CostLimit(costliest))
	}
	return list
}

// first is the first of several errors, with its place.
func first(issues *cel.Issues) error {
	e := issues.Errors()[0]
	message, _, _ := strings.Cut(e.Message, "\n")
	message = strings.TrimPrefix(message, "Syntax error: ")
	// What the parser expects is a list of all that could stand there.
	message, _, _ = strings.Cut(message, " expecting ")
	if strings.Contains(message, "'<EOF>'") {
		message = "the expression ends too early"
	}
	return fmt.Errorf("%d:%d: %s", max(e.Location.Line(), 1), max(e.Location.Column()+1, 1), message)
}
