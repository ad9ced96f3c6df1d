package main

import (
	"fmt"

	"github.com/urfave/cli/v2"
)

func validateCommand(con *console) *cli.Command {
	return &cli.Command{
		Name:      "validate",
		Usage:     "check a spec offline: no server, no secret, no network",
		ArgsUsage: "[PATH]",
		Description: "Prints every problem at once, each with file:line:col, a stable code and what to do.\n\n" +
			exitCodeHelp,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "format", Value: "text", Usage: "text, json or github (workflow annotations)"},
		},
		Action: func(c *cli.Context) error { return validate(c, con) },
	}
}

func validate(c *cli.Context, con *console) error {
	path, err := onePath(c)
	if err != nil {
		return err
	}
	format := c.String("format")
	if format != "text" && format != "json" && format != "github" {
		return usage("unknown --format %q: text, json or github", format)
	}
	spec, problems := evaluate(c.Context, path)
	switch format {
	case "json":
		err = problems.WriteJSON(con.out)
	case "github":
		err = problems.WriteGitHub(con.out)
	default:
		err = problems.WriteText(con.out, true)
		if err == nil && spec != nil {
			fmt.Fprintf(con.out, "%s: valid, %s.\n", path, count(len(spec.Clusters), "cluster"))
		}
	}
	if err == nil && problems.Invalid() {
		return &exit{code: exitInvalid}
	}
	return err
}
