package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"rsm/schema"
)

func validateCommand(con *console) *cli.Command {
	return &cli.Command{
		Name:      "validate",
		Usage:     "check a spec offline: no server, no secret, no network",
		ArgsUsage: "[PATH]",
		Description: "Prints every problem at once, each with file:line:col, a stable code and what to do.\n\n" +
			exitCodeHelp,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "format", Value: "text", Usage: "text, json, github (workflow annotations), sarif (code scanning) or markdown"},
		},
		Action: func(c *cli.Context) error { return validate(c, con) },
	}
}

func validate(c *cli.Context, con *console) error {
	path, err := onePath(c)
	if err != nil {
		return err
	}
	write := problemWriters[c.String("format")]
	if write == nil {
		return usage("unknown --format %q: text, json, github, sarif or markdown", c.String("format"))
	}
	spec, problems := evaluate(c.Context, path)
	err = write(problems, con.out)
	if err == nil && spec != nil && c.String("format") == "text" {
		fmt.Fprintf(con.out, "%s: valid, %s.\n", path, count(len(spec.Clusters), "cluster"))
	}
	if err == nil && problems.Invalid() {
		return &exit{code: exitInvalid}
	}
	return err
}

// problemWriters are the values of --format. Those that a forge reads have paths
// as it knows them.
var problemWriters = map[string]func(schema.Problems, io.Writer) error{
	"text":     func(ps schema.Problems, w io.Writer) error { return ps.WriteText(w, true) },
	"json":     schema.Problems.WriteJSON,
	"github":   func(ps schema.Problems, w io.Writer) error { return inRepository(ps).WriteGitHub(w) },
	"sarif":    func(ps schema.Problems, w io.Writer) error { return inRepository(ps).WriteSARIF(w, version) },
	"markdown": func(ps schema.Problems, w io.Writer) error { return inRepository(ps).WriteMarkdown(w) },
}

// inRepository names files by their path from the root of the repository that
// they are in; those that are in none keep theirs.
func inRepository(problems schema.Problems) schema.Problems {
	named := append(schema.Problems(nil), problems...)
	for i := range named {
		if path, ok := fromRoot(named[i].File); ok {
			named[i].File = path
		}
	}
	return named
}

func fromRoot(file string) (string, bool) {
	abs, err := filepath.Abs(file)
	if file == "" || err != nil {
		return "", false
	}
	for dir := filepath.Dir(abs); ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, ".git")); err == nil {
			path, err := filepath.Rel(dir, abs)
			return filepath.ToSlash(path), err == nil
		}
		if dir == filepath.Dir(dir) {
			return "", false
		}
	}
}
