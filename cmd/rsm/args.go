package main

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// reorder moves flags in front of the arguments of a command: cli v2 would take
// a flag behind an argument for an argument and say nothing. "--" ends the flags.
func reorder(app *cli.App, args []string) ([]string, error) {
	at := slices.IndexFunc(args[min(1, len(args)):], func(a string) bool { return !strings.HasPrefix(a, "-") }) + 1
	if at == 0 {
		return args, nil
	}
	command := app.Command(args[at])
	if command == nil || slices.Contains(args, "--generate-bash-completion") {
		return args, nil
	}
	if at+1 < len(args) {
		if sub := subcommand(command, args[at+1]); sub != nil {
			command, at = sub, at+1
		}
	}
	takes := valueFlags(command)
	var flags, rest []string
	for i := at + 1; i < len(args); i++ {
		arg := args[i]
		switch {
		case arg == "--":
			rest = append(rest, args[i+1:]...)
			i = len(args)
		case len(arg) < 2 || arg[0] != '-':
			rest = append(rest, arg)
		default:
			flags = append(flags, arg)
			name := strings.TrimLeft(arg, "-")
			if takes[name] {
				if i+1 == len(args) {
					return nil, usage("flag %s needs a value", arg)
				}
				i++
				flags = append(flags, args[i])
			}
		}
	}
	out := append(slices.Clone(args[:at+1]), flags...)
	return append(append(out, "--"), rest...), nil
}

func subcommand(of *cli.Command, name string) *cli.Command {
	i := slices.IndexFunc(of.Subcommands, func(c *cli.Command) bool { return c.HasName(name) })
	if i < 0 {
		return nil
	}
	return of.Subcommands[i]
}

// valueFlags names the flags that take the next argument as their value.
func valueFlags(command *cli.Command) map[string]bool {
	takes := map[string]bool{}
	for _, flag := range command.Flags {
		if _, isBool := flag.(*cli.BoolFlag); isBool {
			continue
		}
		for _, name := range flag.Names() {
			takes[name] = true
		}
	}
	return takes
}

// onePath returns the only argument, or the current directory.
func onePath(c *cli.Context) (string, error) {
	switch c.NArg() {
	case 0:
		return ".", nil
	case 1:
		return c.Args().First(), nil
	}
	return "", usage("%s takes one PATH, got %d arguments: %s", c.Command.Name, c.NArg(), strings.Join(c.Args().Slice(), " "))
}
