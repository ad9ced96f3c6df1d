package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"rsm/reconcile"
)

// console is where a command reads and writes: results on out, progress and
// prompts on err.
type console struct {
	in  io.Reader
	out io.Writer
	err io.Writer
}

func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// colours decides for one stream (no-color.org, bixense.com/clicolors).
func colours(stream io.Writer) bool {
	if os.Getenv("NO_COLOR") != "" {
		return false
	}
	if force := os.Getenv("CLICOLOR_FORCE"); force != "" && force != "0" {
		return true
	}
	return isTerminal(stream) && os.Getenv("TERM") != "dumb"
}

var ansi = map[reconcile.Style]string{
	reconcile.StyleAdd: "32", reconcile.StyleChange: "33", reconcile.StyleRemove: "31",
	reconcile.StyleWait: "36", reconcile.StyleHeld: "1;31", reconcile.StyleDim: "2", reconcile.StyleBold: "1",
}

// painter returns how to colour text for a stream, nil for not at all.
func painter(stream io.Writer) func(reconcile.Style, string) string {
	if !colours(stream) {
		return nil
	}
	return func(style reconcile.Style, text string) string {
		if code, ok := ansi[style]; ok && text != "" {
			return "\x1b[" + code + "m" + text + "\x1b[0m"
		}
		return text
	}
}

// live reports whether stderr may show a line that is redrawn.
func (con *console) live() bool { return isTerminal(con.err) && os.Getenv("CI") == "" }

// interactive reports whether somebody is there to answer.
func (con *console) interactive() bool { return isTerminal(con.in) && isTerminal(con.err) }

// confirm asks a question; only the exact answer is a yes.
func (con *console) confirm(question, answer string) (bool, error) {
	fmt.Fprint(con.err, question)
	line, err := bufio.NewReader(con.in).ReadString('\n')
	if err != nil && err != io.EOF {
		return false, fmt.Errorf("read answer: %w", err)
	}
	return strings.TrimSpace(line) == answer, nil
}
