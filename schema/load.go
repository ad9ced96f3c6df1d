package schema

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/build"
	"cuelang.org/go/cue/cuecontext"
	"cuelang.org/go/cue/token"
)

// Load reads the spec at path, a directory of CUE files of one package or one
// .cue file, and checks it. It needs no network and no server. The Spec is nil
// when the problems have an error; they are ordered by place and hold no
// secret.
//
// CUE has no limits of its own and cannot be interrupted: ctx is looked at
// between the steps only. Use LoadIsolated for a spec that is not trusted.
func Load(ctx context.Context, path string, limits Limits) (*Spec, Problems) {
	l := &loader{limits: limits.withDefaults()}
	return l.load(ctx, request{Path: path})
}

// loader makes one Spec, or one Service.
type loader struct {
	limits Limits
	files  *files
	// service, if set, is what is read instead of a spec.
	service *Service
	// parsed, if set, is called when the evaluation is about to start, with the
	// place that would be to blame if it does not end.
	parsed func(Problem)
}

func (l *loader) load(ctx context.Context, ask request) (spec *Spec, problems Problems) {
	l.files = ask.files()
	if l.service != nil {
		l.files.hint = "docs/service.md tells what belongs in it"
	}
	if problem := l.files.open(l.limits); problem != nil {
		return nil, l.finish(Problems{*problem}, nil)
	}
	ix, secrets := newIndex(), map[string]bool{}
	defer func() {
		if crash := recover(); crash != nil {
			p := Problem{Code: CodeCrash, File: l.files.path, Message: "CUE crashed on this spec: " + oneLine(crash)}
			spec, problems = nil, append(problems, p)
		}
		problems = l.finish(l.located(problems, ix), secrets)
		if problems.Invalid() {
			spec = nil
		}
	}()
	sources, problems := l.files.spec()
	if problems.Invalid() && len(sources) == 0 {
		return nil, problems
	}
	b := &builder{
		files: l.files, build: build.NewContext(), index: ix,
		importing: map[string]bool{}, module: findModule(l.files),
	}
	parsed := b.parse(sources)
	problems = append(problems, b.problems...)
	for _, f := range parsed {
		ix.add(f)
	}
	if problems.Invalid() || len(parsed) == 0 {
		return nil, append(problems, nothing(l.files, problems)...)
	}
	b.problems = nil
	spec, more := l.evaluate(ctx, b, parsed, secrets)
	return spec, append(problems, more...)
}

// nothing is said when files were there but none was used.
func nothing(f *files, problems Problems) Problems {
	if problems.Invalid() {
		return nil
	}
	return Problems{{Code: CodeEmpty, File: f.path, Message: "no CUE file is used in this directory"}}
}

func (l *loader) evaluate(ctx context.Context, b *builder, parsed []*ast.File, secrets map[string]bool) (*Spec, Problems) {
	if err := ctx.Err(); err != nil {
		return nil, Problems{{Code: CodeLimit, File: l.files.path, Message: "stopped: " + err.Error()}}
	}
	if l.parsed != nil {
		suspect := Problem{Code: CodeLimit}
		suspect.place(b.index.suspect)
		l.parsed(l.located(Problems{suspect}, b.index)[0])
	}
	// A new context each time: one that is used again grows for ever.
	cc := cuecontext.New()
	value, ok := b.value(cc, parsed)
	if !ok {
		return nil, b.problems
	}
	shape, err := l.shape(cc)
	if err != nil {
		return nil, Problems{{Code: CodeCrash, Message: err.Error()}}
	}
	w := newWalker(b.index, shape)
	w.secrets = secrets
	d := &decoder{walker: w, dir: l.files.base(), spec: &Spec{Positions: map[string]string{}}}
	root, _ := w.walk(value, shape, "").(map[string]any)
	if l.service != nil {
		d.decodeService(l.service, root)
	} else {
		d.decode(root)
	}
	l.rest(value, d)
	d.spec.Positions = positions(b.index)
	d.spec.Digest = l.files.digest()
	return d.spec, append(b.problems, w.problems...)
}

// shape is that of what is read.
func (l *loader) shape(cc *cue.Context) (*shape, error) {
	if l.service != nil {
		return shapes(cc, "#Service", schemaSyntax, serviceSyntax)
	}
	return shapes(cc, "#Spec", schemaSyntax)
}

// rest reports errors in what the shapes do not look at: hidden fields,
// definitions and reserved fields.
func (l *loader) rest(value cue.Value, d *decoder) {
	if d.problems.Invalid() {
		return
	}
	if err := value.Validate(cue.All()); err != nil {
		d.problems = append(d.problems, d.index.explain(err, "")...)
	}
}

// positions are the written places of all that a spec declares.
func positions(ix *index) map[string]string {
	places := make(map[string]string, len(ix.labels))
	for path, pos := range ix.labels {
		top, _, _ := strings.Cut(path, ".")
		if slices.Contains(declared, top) {
			places[path] = place(pos)
		}
	}
	return places
}

var declared = []string{"clusters", "hosts", "proxies", "agents", "dispatchers", "workers", "queues", "handlers", "rules"}

func place(pos token.Pos) string {
	return fmt.Sprintf("%s:%d:%d", pos.Filename(), pos.Line(), pos.Column())
}

// located turns names relative to the spec directory into paths as the user
// would open them, and adds source lines. Problems about whole files have such
// a path already.
func (l *loader) located(problems Problems, ix *index) Problems {
	for i := range problems {
		p := &problems[i]
		one, ok := l.files.read[p.File]
		if !ok {
			if p.File != "" && !filepath.IsAbs(p.File) && p.Line > 0 {
				p.File = l.files.shown(p.File)
			}
			if p.File == "" {
				p.File = l.files.path
			}
			continue
		}
		key := fmt.Sprintf("%s:%d", p.File, p.Line)
		p.File = l.files.shown(p.File)
		if p.Line > 0 && !ix.secret[key] {
			p.Source = sourceLine(one.content, p.Line)
		}
	}
	return problems
}

// sourceLine returns a line of a file; "" when it is long or may show a
// secret.
func sourceLine(content []byte, line int) string {
	lines := strings.Split(string(content), "\n")
	if line > len(lines) {
		return ""
	}
	text := strings.TrimRight(lines[line-1], "\r")
	if len(text) > 160 || strings.ContainsFunc(text, unprintable) {
		return ""
	}
	if at := secretWord.FindStringIndex(text); at != nil && strings.ContainsAny(text[at[1]:], "\"'") {
		return ""
	}
	return text
}

// finish fills in severities, removes secrets and sorts.
func (l *loader) finish(problems Problems, secrets map[string]bool) Problems {
	for i := range problems {
		problems[i].Severity = problems[i].Code.severity()
	}
	scrub(problems, secrets)
	return problems.sorted()
}
