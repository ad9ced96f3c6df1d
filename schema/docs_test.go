package schema

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/token"

	"rsm/internal/fill"
)

// TestDocs: docs/spec.md is what the schema's comments and the code table say.
// -update writes it anew.
func TestDocs(t *testing.T) {
	t.Parallel()
	const path = "../docs/spec.md"
	want, err := reference()
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err == nil && string(got) == want {
		return
	}
	if !*update {
		t.Fatalf("%s is stale: run go test ./schema -run TestDocs -update", path)
	}
	write(t, path, want)
}

// TestCodes: every code is explained, once and in order.
func TestCodes(t *testing.T) {
	t.Parallel()
	last := Code("")
	for _, info := range Codes() {
		if info.Code <= last || info.Means == "" || info.Do == "" || info.Severity == "" {
			t.Errorf("%+v", info)
		}
		last = info.Code
	}
}

const introduction = `# Spec reference

<!-- Generated from schema/schema.cue, schema/operations.cue and schema/codes.go by: go test ./schema -run TestDocs -update -->

A spec is one directory of CUE files of one package (any name), or one ` + "`.cue`" + ` file. It says what should exist; it never
says who is master. ` + "`rsm init DIR`" + ` writes a starter, ` + "`rsm validate`" + ` checks one without a network or a server.

The smallest useful spec, two nodes and three Sentinels on this machine:

` + "```cue" + `
package spec

clusters: cache: {
	redis: nodes: {
		a: port: 6379
		b: port: 6380
	}
	sentinel: nodes: {
		s1: port: 26379
		s2: port: 26380
		s3: port: 26381
	}
}
` + "```" + `

` + "`examples/lain.cue`" + ` is a worked example. A spec may ` + "`import \"rsm.dev/schema\"`" + ` and write ` + "`schema.#Cluster & {...}`" + `, which
lets editors and ` + "`cue vet`" + ` help; rsm checks every cluster against the schema either way, and checks more than CUE can:
ports over all clusters, hosts, quorum, seed. Loops, templates, hidden fields (` + "`_name`" + `), definitions, CUE's own packages,
packages of the same module and packages vendored under ` + "`cue.mod/pkg`" + ` work. A registry is never asked, ` + "`@embed`" + ` and
` + "`@if`" + ` are refused, and evaluation is limited in time (20 s) and memory (1 GiB).

`

// reference renders docs/spec.md.
func reference() (string, error) {
	syntax, err := schemaSyntax()
	if err != nil {
		return "", err
	}
	fields, err := tables(syntax)
	return introduction + fields + "\n" + languages() + directiveTable() + codeTable(), err
}

// languages tells what expressions and templates may use.
func languages() string {
	return `## Expressions and templates

An expression is of [CEL](https://github.com/google/cel-spec): a top-level name in it is a field of the event, ` + "`event`" + ` is the whole
object. ` + "`memory.cached / memory.total * 100 > 50`, `has(event.swap) && event.swap.used > 0`, `disks.exists(d, d.usage > 90)`, `host.startsWith('db')`, " + "`event.?load.?load1.orValue(0) > 4`" + `.
An event without a field that matters makes it neither true nor false. Numbers of events are decimal; a whole number that is calculated
with one becomes decimal, and ` + "`double(size(disks))`" + ` makes any other number so. One evaluation is limited in cost.

Templates are those of Go's ` + "`text/template`" + `, and ` + "`html/template`" + ` for HTML. Besides Go's functions there are ` +
		code(slices.Sorted(maps.Keys(fill.Functions()))) + `.

`
}

func code(names []string) string { return "`" + strings.Join(names, "`, `") + "`" }

// tables renders the definitions of a file.
func tables(syntax *ast.File) (string, error) {
	var structs, leaves strings.Builder
	for _, decl := range syntax.Decls {
		def, ok := decl.(*ast.Field)
		if !ok {
			continue
		}
		name, _, err := ast.LabelName(def.Label)
		if err != nil {
			return "", err
		}
		if want, leaf := attribute(def, "want"); leaf {
			fmt.Fprintf(&leaves, "| <a id=\"%s\"></a>%s | %s | %s |\n", anchor(name), bare(name), comment(def), cell(want))
			continue
		}
		fmt.Fprintf(&structs, "### %s\n\n%s\n\n", bare(name), comment(def))
		if err := fieldTable(&structs, def); err != nil {
			return "", err
		}
	}
	return "## Fields\n\n" + structs.String() +
		"## Values\n\n| value | means | written as |\n| --- | --- | --- |\n" + leaves.String(), nil
}

func fieldTable(b *strings.Builder, def *ast.Field) error {
	lit, ok := def.Value.(*ast.StructLit)
	if !ok {
		return fmt.Errorf("%v is neither a struct nor described by @want", def.Label)
	}
	if _, isMap := lit.Elts[0].(*ast.Field).Label.(*ast.ListLit); isMap {
		fmt.Fprintf(b, "Written as %s.\n\n", kind(def.Value))
		return nil
	}
	b.WriteString("| field | value | | means |\n| --- | --- | --- | --- |\n")
	for _, decl := range lit.Elts {
		f, ok := decl.(*ast.Field)
		if !ok {
			return fmt.Errorf("unexpected %T", decl)
		}
		name, _, err := ast.LabelName(f.Label)
		if err != nil {
			return err
		}
		need := "optional"
		if f.Constraint == token.NOT {
			need = "required"
		}
		if comment(f) == "" {
			return fmt.Errorf("%s has no comment", name)
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", name, kind(f.Value), need, cell(comment(f)))
	}
	b.WriteString("\n")
	return nil
}

// kind links to a definition; a map is shown as name: value.
func kind(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		if e.Name == "_" {
			return "anything"
		}
		return "[" + bare(e.Name) + "](#" + anchor(e.Name) + ")"
	case *ast.StructLit:
		f := e.Elts[0].(*ast.Field)
		return kind(f.Label.(*ast.ListLit).Elts[0]) + ": " + kind(f.Value)
	case *ast.ListLit:
		return "list of " + kind(e.Elts[0].(*ast.Ellipsis).Type)
	}
	return "?"
}

func bare(name string) string   { return strings.TrimPrefix(name, "#") }
func anchor(name string) string { return strings.ToLower(bare(name)) }
func cell(text string) string   { return strings.ReplaceAll(text, "|", "\\|") }

// directiveTable shows what config refuses.
func directiveTable() string {
	var b strings.Builder
	b.WriteString("## Directives that config refuses\n\n| directive | instead |\n| --- | --- |\n")
	for _, name := range []string{
		"replicaof", "port", "bind", "replica-announce-ip", "replica-announced", "replica-priority", "requirepass", "masterauth",
		"user", "aclfile", "tls-key-file-pass", "dir", "pidfile", "logfile", "daemonize", "supervised", "include",
		"rename-command", "cluster-enabled", "sentinel",
	} {
		fmt.Fprintf(&b, "| `%s` | %s |\n", name, refused(name))
	}
	b.WriteString("\nThe old names with `slave` are refused alike.\n\n")
	return b.String()
}

func codeTable() string {
	var b strings.Builder
	b.WriteString("## Codes\n\nA code keeps its meaning for ever, so that scripts may rely on it. A spec with an error exits 3.\n\n")
	b.WriteString("| code | | means | do |\n| --- | --- | --- | --- |\n")
	for _, info := range Codes() {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", info.Code, info.Severity, cell(info.Means), cell(info.Do))
	}
	return b.String()
}
