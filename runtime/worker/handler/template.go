package handler

import (
	"bytes"
	"embed"
	"fmt"
	htmltemplate "html/template"
	"io"
	"strings"
	"text/template"

	"rsm/internal/fill"
)

// builtin are the templates of messages that declare none.
//
//go:embed templates
var builtin embed.FS

// maxRendered is how many bytes a template may make.
const maxRendered = 4 << 20

// renderText runs a text template; name is what errors call it.
func renderText(name, source string, data any) (string, error) {
	t, err := template.New(name).Funcs(fill.Functions()).Parse(source)
	if err != nil {
		return "", templateError(err)
	}
	return execute(t, data)
}

// renderHTML runs an HTML template: values are escaped for where they stand.
func renderHTML(name, source string, data any) (string, error) {
	t, err := htmltemplate.New(name).Funcs(fill.Functions()).Parse(source)
	if err != nil {
		return "", templateError(err)
	}
	return execute(t, data)
}

func execute(t interface{ Execute(io.Writer, any) error }, data any) (string, error) {
	var out limited
	if err := t.Execute(&out, data); err != nil {
		return "", templateError(err)
	}
	return strings.ReplaceAll(out.String(), "<no value>", ""), nil
}

// templateError says the name, the line and what is wrong.
func templateError(err error) error {
	return permanent("template %s", strings.TrimPrefix(strings.TrimPrefix(err.Error(), "html/"), "template: "))
}

// limited is a buffer that refuses to grow without end.
type limited struct{ bytes.Buffer }

// Write fails once more than maxRendered bytes were written.
func (l *limited) Write(p []byte) (int, error) {
	if l.Len()+len(p) > maxRendered {
		return 0, fmt.Errorf("it makes more than %s", fill.Bytes(maxRendered))
	}
	return l.Buffer.Write(p)
}
