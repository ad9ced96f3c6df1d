// Package page writes measured tables: aligned for a terminal, and as Markdown
// between two marker lines of a file that people write the rest of.
package page

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"text/tabwriter"
)

// Text aligns rows for a terminal.
func Text(header []string, rows [][]string) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{header}, rows...) {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	_ = w.Flush() // into memory
	return b.String()
}

// Markdown is the same as a Markdown table.
func Markdown(header []string, rows [][]string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "| %s |\n|%s\n", strings.Join(header, " | "), strings.Repeat(" --- |", len(header)))
	for _, row := range rows {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
	}
	return b.String()
}

// Rewrite replaces what stands between the lines <!-- region:begin --> and
// <!-- region:end --> of a file. A file that is missing is made; one without the
// lines is an error, because nobody said where the text belongs.
func Rewrite(path, region, text string) error {
	begin, end := "<!-- "+region+":begin -->\n", "<!-- "+region+":end -->\n"
	old, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		old = []byte("# Benchmarks\n\n" + begin + end)
	} else if err != nil {
		return fmt.Errorf("read report: %w", err)
	}
	before, rest, ok := strings.Cut(string(old), begin)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		return fmt.Errorf("rewrite %s: it lacks the lines %q and %q", path, strings.TrimSpace(begin), strings.TrimSpace(end))
	}
	if err := os.WriteFile(path, []byte(before+begin+"\n"+text+"\n"+end+after), 0o644); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}
