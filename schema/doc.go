// Package schema says what may be declared, and turns CUE files into a Spec or
// into problems that tell file, line and column.
//
//	spec, problems := schema.Load(ctx, "specs/", schema.Limits{})
//	if err := problems.Err(); err != nil { ... }
//
// The way of a spec:
//
//	files.go    reads the files, within limits, and warns of ignored ones
//	build.go    parses them and evaluates the package, without CUE's own loader:
//	            no disk, no registry, no @embed
//	walk.go     checks each value against the schema's shapes (shape.go)
//	decode.go   fills in defaults and makes the Spec
//	checks.go   checks what one field alone cannot show
//
// schema.cue is the one truth about fields: the checks, docs/spec.md and what
// `rsm init` writes for editors are all made from it.
//
// CUE cannot be interrupted and has no limits, so that LoadIsolated evaluates in
// a process of its own (ServeEvaluation).
package schema
