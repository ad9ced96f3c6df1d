package schema

import (
	"fmt"
	"regexp"
	"strings"

	"cuelang.org/go/cue/errors"
	"cuelang.org/go/cue/token"
)

// most is how many of CUE's own errors are shown; beyond that they repeat.
const most = 20

// explain turns CUE's errors into problems: one for each path, with the first
// telling line and a place in the user's files. path is used for errors that
// have none of their own.
func (ix *index) explain(err error, path string) Problems {
	var problems Problems
	seen := map[string]bool{}
	for _, e := range errors.Errors(err) {
		message := firstLine(e)
		if strings.Contains(message, "errors in empty disjunction") {
			continue
		}
		at := path
		if own := strings.Join(e.Path(), "."); own != "" {
			at = own
		}
		pos := ix.place(e, at)
		key := at + " " + pos.String()
		if seen[key] {
			continue
		}
		seen[key] = true
		p := Problem{Code: CodeEvaluate, Path: at, Message: message}
		p.place(pos)
		if ix.sensitive(e, p) {
			p.Message = literal.ReplaceAllString(p.Message, `"***"`)
		}
		problems = append(problems, p)
		if len(problems) == most {
			break
		}
	}
	if len(problems) == 0 {
		problems = Problems{{Code: CodeEvaluate, Path: path, Message: "no alternative fits the value"}}
		problems[0].place(ix.at(path))
	}
	return problems
}

var literal = regexp.MustCompile(`"(\\.|[^"\\])*"`)

// sensitive tells whether an error may quote a secret.
func (ix *index) sensitive(e errors.Error, p Problem) bool {
	for _, name := range e.Path() {
		if secretName.MatchString(name) {
			return true
		}
	}
	for _, pos := range append(e.InputPositions(), e.Position()) {
		if pos.IsValid() && ix.secret[fmt.Sprintf("%s:%d", pos.Filename(), pos.Line())] {
			return true
		}
	}
	return secretName.MatchString(p.Path)
}

// place is where an error is in the user's files.
func (ix *index) place(e errors.Error, path string) token.Pos {
	if pos, ok := ix.values[path]; ok {
		return pos
	}
	for _, pos := range append([]token.Pos{e.Position()}, e.InputPositions()...) {
		if mine(pos) {
			return pos
		}
	}
	return ix.at(path)
}

// firstLine is the message of an error without the path before it and the list
// of places after it.
func firstLine(e errors.Error) string {
	format, args := e.Msg()
	text := fmt.Sprintf(format, args...)
	text, _, _ = strings.Cut(text, "\n")
	text = strings.TrimSuffix(strings.TrimSpace(text), ":")
	if len(text) > 200 {
		text = text[:200] + "..."
	}
	if text == "" {
		return "this is not valid CUE"
	}
	return text
}

// place sets a problem's place.
func (p *Problem) place(pos token.Pos) {
	if pos.IsValid() {
		p.File, p.Line, p.Col = pos.Filename(), pos.Line(), pos.Column()
	}
}

// secretWord finds lines that may show a secret, in files too broken to tell
// by syntax.
var secretWord = regexp.MustCompile(`(?i)(pass|secret|token|masterauth)[a-z]*`)

func unprintable(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f || r == 0xfffd }

// oneLine shortens what a recovered panic says.
func oneLine(crash any) string {
	text, _, _ := strings.Cut(fmt.Sprint(crash), "\n")
	if len(text) > 120 {
		text = text[:120] + "..."
	}
	return text
}
