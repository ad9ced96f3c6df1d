package schema

import (
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/build"
	"cuelang.org/go/cue/errors"
	"cuelang.org/go/cue/parser"
	"cuelang.org/go/cue/token"
)

// virtualRoot is where CUE believes the spec to be. It does not exist, so that
// nothing in CUE can reach a file that rsm did not read itself.
const virtualRoot = "/rsm.dev/virtual/spec"

// importPath is where a spec imports the schema from.
const importPath = "rsm.dev/schema"

// builder turns files into a CUE value without CUE's own file loader: that one
// reads the disk, asks registries, and costs more than the evaluation.
type builder struct {
	files    *files
	build    *build.Context
	index    *index
	problems Problems
	// importing holds the packages whose imports are being resolved, to refuse
	// cycles.
	importing map[string]bool
	module    *module
}

// parse parses the spec's own files; all must be of one package.
func (b *builder) parse(sources []file) []*ast.File {
	var parsed []*ast.File
	for _, source := range sources {
		syntax, err := parser.ParseFile(source.name, source.content, parser.ParseComments)
		if err != nil {
			b.syntax(source, err)
			continue
		}
		if use, problem := allowed(syntax); problem != nil {
			b.problems = append(b.problems, *problem)
			continue
		} else if !use {
			continue
		}
		parsed = append(parsed, syntax)
	}
	b.onePackage(parsed)
	return parsed
}

// syntax reports the first syntax errors of a file; the later ones are mostly
// consequences.
func (b *builder) syntax(source file, err error) {
	for i, e := range errors.Errors(err) {
		if i == 3 {
			break
		}
		p := Problem{Code: CodeSyntax, File: source.name, Line: 1, Col: 1, Message: firstLine(e)}
		if pos := e.Position(); pos.IsValid() {
			p.Line, p.Col = pos.Line(), pos.Column()
		}
		b.problems = append(b.problems, p)
	}
}

// allowed looks at the file's attributes. @extern(embed) would read files, and
// @if depends on tags that rsm does not have.
func allowed(f *ast.File) (use bool, problem *Problem) {
	for _, decl := range f.Decls {
		attribute, ok := decl.(*ast.Attribute)
		if !ok {
			continue
		}
		key, _ := attribute.Split()
		at := Problem{File: f.Filename, Line: attribute.Pos().Line(), Col: attribute.Pos().Column()}
		switch key {
		case "extern", "if":
			at.Code, at.Message = CodeEmbed, "@"+key+" is not allowed in a spec"
			return false, &at
		case "ignore":
			at.Code, at.Message = CodeIgnored, "this file is not read: it says @ignore()"
			return false, &at
		}
	}
	return true, nil
}

func (b *builder) onePackage(parsed []*ast.File) {
	for _, f := range parsed[min(1, len(parsed)):] {
		first := parsed[0]
		if f.PackageName() == first.PackageName() && f.PackageName() != "" {
			continue
		}
		b.problems = append(b.problems, Problem{
			Code: CodePackages, File: f.Filename, Line: 1, Col: 1,
			Message: "this file is of " + packageOf(f) + ", but " + first.Filename + " is of " + packageOf(first),
			Hint:    "a directory is one spec: give every file the same package clause",
		})
	}
}

func packageOf(f *ast.File) string {
	if name := f.PackageName(); name != "" {
		return "package " + name
	}
	return "no package"
}

// instance makes a package of the files.
func (b *builder) instance(dir, name string, parsed []*ast.File) *build.Instance {
	inst := b.build.NewInstance(path.Join(virtualRoot, dir), b.load)
	inst.Root = virtualRoot
	inst.PkgName = name
	for _, f := range parsed {
		// Errors are kept in the instance.
		_ = inst.AddSyntax(f)
	}
	return inst
}

// load resolves an import. Nil means "not a package of ours": CUE then looks
// among its own.
func (b *builder) load(pos token.Pos, imported string) *build.Instance {
	imported, _, _ = strings.Cut(imported, ":")
	if imported == importPath {
		syntax, err := schemaSyntax()
		if err != nil {
			return b.failed(pos, "%v", err)
		}
		return b.instance("cue.mod/pkg/"+importPath, "schema", []*ast.File{skeleton(syntax)})
	}
	if !strings.Contains(strings.Split(imported, "/")[0], ".") {
		return nil
	}
	dir, ok := b.module.find(imported)
	if !ok || b.importing[imported] {
		return b.failed(pos, "package %q cannot be found; rsm asks no registry", imported)
	}
	b.importing[imported] = true
	sources, problems := b.files.in(dir)
	before := len(b.problems)
	b.problems = append(b.problems, problems.Errors()...)
	parsed := b.parse(sources)
	if len(b.problems) > before || len(parsed) == 0 {
		return b.failed(pos, "package %q cannot be used", imported)
	}
	inst := b.instance(dir, parsed[0].PackageName(), parsed)
	inst.ImportPath = imported
	if err := inst.Complete(); err != nil {
		return inst
	}
	delete(b.importing, imported)
	return inst
}

func (b *builder) failed(pos token.Pos, format string, args ...any) *build.Instance {
	inst := b.build.NewInstance(virtualRoot, b.load)
	inst.Err = errors.Newf(pos, format, args...)
	p := Problem{Code: CodeImport, Message: inst.Err.Error()}
	if pos.IsValid() {
		p.File, p.Line, p.Col = pos.Filename(), pos.Line(), pos.Column()
	}
	b.problems = append(b.problems, p)
	return inst
}

// value evaluates the package. ok is false when it cannot be looked into, and
// the problems say why.
func (b *builder) value(ctx *cue.Context, parsed []*ast.File) (value cue.Value, ok bool) {
	inst := b.instance(".", parsed[0].PackageName(), parsed)
	value = ctx.BuildInstance(inst)
	if len(b.problems.Errors()) > 0 {
		return value, false
	}
	err := inst.Err
	if err == nil {
		err = inst.ResolutionErr
	}
	if _, failed := value.Fields(); err == nil && failed != nil {
		err = errors.Promote(failed, "")
		if all := value.Err(); all != nil {
			err = errors.Promote(all, "")
		}
	}
	if err == nil {
		return value, true
	}
	b.problems = append(b.problems, b.index.explain(err, "")...)
	return value, false
}

// module is the user's CUE module, for imports among its packages.
type module struct {
	// name is the module path without its version; dir is relative to the spec
	// directory.
	name, dir string
}

// findModule looks for cue.mod in the spec directory and above.
func findModule(f *files) *module {
	dir := "."
	for range 32 {
		content, err := f.content(filepath.Join(f.dir, dir, "cue.mod", "module.cue"), f.limits.FileSize)
		if err == nil {
			return &module{name: moduleName(content), dir: dir}
		}
		if filepath.Join(f.dir, dir) == filepath.Dir(filepath.Join(f.dir, dir)) {
			break
		}
		dir = filepath.Join(dir, "..")
	}
	return &module{dir: "."}
}

func moduleName(content []byte) string {
	syntax, err := parser.ParseFile("module.cue", content)
	if err != nil {
		return ""
	}
	for _, decl := range syntax.Decls {
		f, ok := decl.(*ast.Field)
		if !ok {
			continue
		}
		label, _, _ := ast.LabelName(f.Label)
		lit, ok := f.Value.(*ast.BasicLit)
		if label == "module" && ok {
			name, _ := strconv.Unquote(lit.Value)
			name, _, _ = strings.Cut(name, "@")
			return name
		}
	}
	return ""
}

// find returns the directory of a package, relative to the spec directory.
func (m *module) find(imported string) (string, bool) {
	bare, _, _ := strings.Cut(imported, "@")
	if strings.Contains("/"+bare+"/", "/../") {
		return "", false
	}
	if m.name != "" && strings.HasPrefix(bare+"/", m.name+"/") {
		return filepath.Join(m.dir, strings.TrimPrefix(bare, m.name)), true
	}
	return filepath.Join(m.dir, "cue.mod", "pkg", bare), m.name != ""
}
