//go:build ignore

// Command terminal turns the coloured output of a program into an SVG picture:
//
//	CLICOLOR_FORCE=1 rsm status 2>&1 | go run docs/img/terminal.go >docs/img/status.svg
//
// It knows what rsm uses: bold, dim and the eight colours. Every run of text has
// its place and length written down, so that columns align in any font.
package main

import (
	"bufio"
	"fmt"
	"html"
	"io"
	"os"
	"regexp"
	"strings"
	"unicode/utf8"
)

// The geometry of the picture, in pixels.
const (
	cellWidth  = 8.0
	lineHeight = 19.0
	fontSize   = 13.3
	margin     = 18.0
	titleBar   = 30.0
)

// columns is where a longer line goes on in the next one, as in a terminal.
const columns = 118

const (
	background = "#15181e"
	foreground = "#d8dce4"
)

// colours are those of the codes 30 to 37.
var colours = [...]string{"#4a505c", "#f0716f", "#8fd08a", "#e8c268", "#7aa7f0", "#c792ea", "#6fc8d6", "#ffffff"}

var escape = regexp.MustCompile("\x1b\\[([0-9;]*)m")

// pen is how text is drawn until the next escape.
type pen struct {
	colour    string
	bold, dim bool
}

func main() {
	if err := draw(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "terminal:", err)
		os.Exit(1)
	}
}

func draw(r io.Reader, w io.Writer) error {
	var runs strings.Builder
	rows, width := 0, 0
	scanner := bufio.NewScanner(r)
	for scanner.Scan() {
		wide, high := drawLine(&runs, strings.TrimRight(scanner.Text(), " \r"), rows)
		width, rows = max(width, wide), rows+high
	}
	if err := scanner.Err(); err != nil {
		return fmt.Errorf("read output: %w", err)
	}
	wide, high := float64(width)*cellWidth+2*margin, float64(rows)*lineHeight+titleBar+margin
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" width="%.0f" height="%.0f" `+
		`font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="%.1f">`+"\n",
		wide, high, wide, high, fontSize)
	fmt.Fprintf(&b, `<rect width="%.0f" height="%.0f" rx="9" fill="%s"/>`+"\n", wide, high, background)
	for i, colour := range []string{"#f0716f", "#e8c268", "#8fd08a"} {
		fmt.Fprintf(&b, `<circle cx="%.0f" cy="16" r="5" fill="%s"/>`+"\n", margin+float64(i)*17, colour)
	}
	b.WriteString(runs.String() + "</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// drawLine writes the runs of one line from a row on, each with the pen that
// holds there, and returns how many columns and rows it takes.
func drawLine(b *strings.Builder, line string, row int) (wide, high int) {
	now, column, from, first := pen{}, 0, 0, row
	put := func(text string) {
		for chars := []rune(text); len(chars) > 0; {
			if column == columns {
				row, column = row+1, 0
			}
			n := min(len(chars), columns-column)
			drawRun(b, now, string(chars[:n]), column, titleBar+lineHeight*float64(row)+14)
			chars, column = chars[n:], column+n
			wide = max(wide, column)
		}
	}
	for _, at := range escape.FindAllStringSubmatchIndex(line, -1) {
		put(line[from:at[0]])
		now, from = now.with(line[at[2]:at[3]]), at[1]
	}
	put(line[from:])
	return wide, row - first + 1
}

func drawRun(b *strings.Builder, p pen, text string, column int, y float64) {
	left := len(text) - len(strings.TrimLeft(text, " "))
	text = strings.TrimSpace(text)
	if text == "" {
		return
	}
	attributes := ""
	if p.bold {
		attributes += ` font-weight="bold"`
	}
	if p.dim {
		attributes += ` fill-opacity="0.55"`
	}
	colour := p.colour
	if colour == "" {
		colour = foreground
	}
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" textLength="%.1f" xml:space="preserve" fill="%s"%s>%s</text>`+"\n",
		margin+float64(column+left)*cellWidth, y, float64(utf8.RuneCountInString(text))*cellWidth, colour, attributes,
		html.EscapeString(text))
}

// with returns the pen after an escape such as "1;31".
func (p pen) with(codes string) pen {
	for code := range strings.SplitSeq(codes, ";") {
		switch {
		case code == "" || code == "0":
			p = pen{}
		case code == "1":
			p.bold = true
		case code == "2":
			p.dim = true
		case len(code) == 2 && code[0] == '3' && code[1] >= '0' && code[1] <= '7':
			p.colour = colours[code[1]-'0']
		}
	}
	return p
}
