// Command rsm keeps Redis deployments with Sentinel equal to what CUE files
// declare. It has one file per command; here is what they share: the list of
// commands, signals, and the way out.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"
)

// version is set by the linker (make build).
var version = "devel"

func main() { os.Exit(run(os.Args, os.Stdin, os.Stdout, os.Stderr)) }

// run is main without the process: it returns the exit code.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) (code int) {
	defer func() {
		if crash := recover(); crash != nil {
			fmt.Fprintf(stderr, "rsm %s crashed: %v\nThis is a bug: please report it with the lines below.\n%s", version, crash, debug.Stack())
			code = exitError
		}
	}()
	ctx, caught, stop := interrupts()
	defer stop()
	app := newApp(&console{in: stdin, out: stdout, err: stderr})
	args, err := reorder(app, args)
	if err == nil {
		err = app.RunContext(ctx, args)
	}
	if signal := caught(); signal != 0 && errors.Is(err, context.Canceled) {
		return 128 + signal
	}
	return report(err, stderr)
}

// interrupts ends the context at the first SIGINT or SIGTERM, so that rsm stops
// between two steps; the second one ends the process at once.
func interrupts() (ctx context.Context, caught func() int, stop func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		first, ok := <-signals
		if !ok {
			return
		}
		cancel(signalError(first.(syscall.Signal)))
		if second, ok := <-signals; ok {
			os.Exit(128 + int(second.(syscall.Signal)))
		}
	}()
	caught = func() int {
		var sig signalError
		if errors.As(context.Cause(ctx), &sig) {
			return int(sig)
		}
		return 0
	}
	return ctx, caught, func() { signal.Stop(signals); close(signals); cancel(nil) }
}

type signalError syscall.Signal

// Error names the signal.
func (s signalError) Error() string { return "got " + syscall.Signal(s).String() }

func newApp(con *console) *cli.App {
	app := &cli.App{
		Name:                   "rsm",
		Usage:                  "keep Redis with Sentinel equal to what CUE files declare",
		UsageText:              "rsm COMMAND [options] [PATH]",
		Version:                version,
		HideVersion:            true,
		Suggest:                true,
		EnableBashCompletion:   true,
		UseShortOptionHandling: false,
		Writer:                 con.out,
		ErrWriter:              con.err,
		Description:            exitCodeHelp,
		ExitErrHandler:         func(*cli.Context, error) {},
		OnUsageError:           func(_ *cli.Context, err error, _ bool) error { return usage("%v", err) },
		Action: func(c *cli.Context) error {
			if c.NArg() > 0 {
				return usage("unknown command %q%s", c.Args().First(), suggest(c.App.Commands, c.Args().First()))
			}
			return cli.ShowAppHelp(c)
		},
		Commands: []*cli.Command{
			initCommand(con), validateCommand(con), planCommand(con), applyCommand(con), reconcileCommand(con), serveCommand(con), diffCommand(con),
			statusCommand(con), failoverCommand(con), destroyCommand(con), proxyCommand(con),
			alertCommand(con), historyCommand(con), showCommand(con), rollbackCommand(con), retryCommand(con), suspendCommand(con), resumeCommand(con), eventsCommand(con), serviceCommand(con), hookCommand(con),
			agentCommand(con), dispatcherCommand(con), workerCommand(con), taskCommand(con), handlerCommand(con), reportCommand(con), alertsCommand(con), silenceCommand(con), versionCommand(con), completionCommand(con), evaluateCommand(con),
		},
	}
	for _, command := range app.Commands {
		for _, command := range append(command.Subcommands, command) {
			command.OnUsageError = app.OnUsageError
			command.UseShortOptionHandling = false
		}
	}
	return app
}

// oneOf is the action of a command that only has others under it.
func oneOf(c *cli.Context) error {
	if name := c.Args().First(); name != "" {
		return usage("unknown command %q of %s%s", name, c.Command.Name, suggest(c.Command.Subcommands, name))
	}
	return cli.ShowSubcommandHelp(c)
}

func suggest(commands []*cli.Command, name string) string {
	if best := cli.SuggestCommand(commands, name); best != "" {
		return ", did you mean " + strings.TrimSuffix(strings.TrimPrefix(best, "Did you mean \""), "\"?") + "?"
	}
	return ""
}
