package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"rsm/schema"
)

func initCommand(con *console) *cli.Command {
	return &cli.Command{
		Name:      "init",
		Usage:     "write a starter spec, with the schema for cue vet and editors",
		ArgsUsage: "[DIR]",
		Action: func(c *cli.Context) error {
			dir, err := onePath(c)
			if err != nil {
				return err
			}
			if err := schema.Init(dir); err != nil {
				return err
			}
			fmt.Fprintf(con.out, "Wrote a starter spec in %s. Next: edit rsm.cue, then rsm plan %s\n", dir, dir)
			return nil
		},
	}
}
