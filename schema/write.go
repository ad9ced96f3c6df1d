package schema

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// WriteText writes the problems for people: a line each, a second one with the
// hint, and with excerpts the source line with a caret under the place.
func (ps Problems) WriteText(w io.Writer, excerpts bool) error {
	var b strings.Builder
	for _, p := range ps {
		fmt.Fprintln(&b, p)
		if excerpts && p.Source != "" && p.Col > 0 {
			margin := fmt.Sprintf("%5d | ", p.Line)
			fmt.Fprintf(&b, "%s%s\n%s| %s^\n", margin, p.Source, strings.Repeat(" ", len(margin)-2), indent(p.Source, p.Col))
		}
		if p.Hint != "" {
			fmt.Fprintf(&b, "    hint: %s\n", p.Hint)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// indent returns the blanks that lead to a column; tabs stay tabs, so that the
// caret stands right whatever the tab width.
func indent(line string, col int) string {
	var b strings.Builder
	for i, r := range line {
		if i >= col-1 {
			break
		}
		if r == '\t' {
			b.WriteByte('\t')
		} else {
			b.WriteByte(' ')
		}
	}
	return b.String()
}

// WriteJSON writes one JSON document with format_version, valid (no errors),
// the counts and the problems.
func (ps Problems) WriteJSON(w io.Writer) error {
	problems := ps
	if problems == nil {
		problems = Problems{}
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(struct {
		FormatVersion string   `json:"format_version"`
		Valid         bool     `json:"valid"`
		Errors        int      `json:"errors"`
		Warnings      int      `json:"warnings"`
		Problems      Problems `json:"problems"`
	}{"1.0", !ps.Invalid(), len(ps.Errors()), len(ps.Warnings()), problems})
}

// WriteGitHub writes workflow commands, which GitHub shows beside the lines of
// a pull request.
func (ps Problems) WriteGitHub(w io.Writer) error {
	data := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	property := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
	var b strings.Builder
	for _, p := range ps {
		props := []string{"title=" + property.Replace(string(p.Code))}
		if p.File != "" {
			props = append([]string{"file=" + property.Replace(p.File)}, props...)
		}
		if p.Line > 0 {
			props = append(props, fmt.Sprintf("line=%d", p.Line), fmt.Sprintf("col=%d", p.Col))
		}
		fmt.Fprintf(&b, "::%s %s::%s\n", p.Severity, strings.Join(props, ","), data.Replace(p.sentence()))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteMarkdown writes a table for a comment of a pull request, the errors
// first. What is too much for one, more than 60,000 bytes, is counted only.
func (ps Problems) WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	b.WriteString("<!-- rsm-validate -->\n**rsm validate: " + ps.Summary() + "**\n")
	if len(ps) > 0 {
		b.WriteString("\n| place | | what is wrong |\n| --- | --- | --- |\n")
	}
	left := 0
	for _, p := range append(ps.Errors(), ps.Warnings()...) {
		place := p.File
		if p.Line > 0 {
			place = fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col)
		}
		row := fmt.Sprintf("| `%s` | %s %s | %s |\n", strings.ReplaceAll(place, "`", "'"), p.severity(), p.Code, asText.Replace(p.sentence()))
		if b.Len()+len(row) > 59_900 {
			left++
			continue
		}
		b.WriteString(row)
	}
	if left > 0 {
		fmt.Fprintf(&b, "\n… and %d more\n", left)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// asText keeps text from being Markdown, HTML or a mention.
var asText = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "\n", "<br>", "\\", "\\\\", "|", "\\|", "*", "\\*", "_", "\\_", "`", "\\`",
	"[", "\\[", "]", "\\]", "~", "\\~", "@", "@\u200b", "#", "#\u200b")
