package main

import (
	"context"
	"fmt"
	"os"

	"github.com/urfave/cli/v2"

	"rsm/schema"
)

// evaluateName is the hidden command in which specs are evaluated.
const evaluateName = "internal-evaluate"

// evaluateCommand is the child process of evaluate.
func evaluateCommand(con *console) *cli.Command {
	return &cli.Command{
		Name:   evaluateName,
		Hidden: true,
		Usage:  "evaluate a spec for another rsm process",
		Action: func(*cli.Context) error { return schema.ServeEvaluation(con.in, con.out) },
	}
}

// evaluate loads a spec in a child process of this binary: CUE cannot be
// interrupted and has no limits of its own.
func evaluate(ctx context.Context, path string) (*schema.Spec, schema.Problems) {
	exe, err := os.Executable()
	if err != nil {
		return nil, schema.Problems{{Code: schema.CodeCrash, Severity: schema.SeverityError, File: path,
			Message: fmt.Sprintf("cannot find the rsm binary to evaluate with: %v", err)}}
	}
	return schema.LoadIsolated(ctx, []string{exe, evaluateName}, path, schema.Limits{})
}
