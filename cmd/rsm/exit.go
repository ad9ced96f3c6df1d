package main

import (
	"errors"
	"fmt"
	"io"

	"rsm/internal/supervise"
	"rsm/reconcile/observe"
	"rsm/schema"
)

// The exit codes of every command.
const (
	exitOK      = 0
	exitError   = 1
	exitPending = 2
	exitInvalid = 3
	exitRefused = 4
	exitPartial = 5
	exitLocked  = 6
	exitUsage   = 64
)

const exitCodeHelp = `Exit codes: 0 ok, 1 error, 2 changes pending (only with --detailed-exitcode),
3 spec invalid, 4 refused, held or stale plan, 5 partly applied, 6 locked by
another rsm, 64 usage, 130 or 143 interrupted.`

// exit is an error with an exit code. A nil err says nothing: all was said.
type exit struct {
	code int
	err  error
}

// Error is the cause, or the bare code when all was said.
func (e *exit) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.err.Error()
}

// Unwrap returns the cause.
func (e *exit) Unwrap() error { return e.err }

func usage(format string, args ...any) error { return &exit{exitUsage, fmt.Errorf(format, args...)} }

func refused(format string, args ...any) error {
	return &exit{exitRefused, fmt.Errorf(format, args...)}
}

// exitCode is the one table from errors to exit codes.
func exitCode(err error) int {
	var coded *exit
	var invalid *schema.InvalidError
	var secret *observe.SecretError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &coded):
		return coded.code
	case errors.As(err, &invalid), errors.As(err, &secret):
		return exitInvalid
	case errors.Is(err, supervise.ErrLocked):
		return exitLocked
	}
	return exitError
}

// worst keeps the code that weighs more; many clusters end with one code.
func worst(a, b int) int {
	weight := map[int]int{exitOK: 0, exitPending: 1, exitRefused: 2, exitLocked: 3, exitPartial: 4, exitInvalid: 5, exitError: 6}
	if weight[b] > weight[a] {
		return b
	}
	return a
}

// report says what went wrong on stderr and returns the exit code.
func report(err error, stderr io.Writer) int {
	code := exitCode(err)
	var coded *exit
	if errors.As(err, &coded) && coded.err == nil || err == nil {
		return code
	}
	fmt.Fprintf(stderr, "rsm: %v\n", err)
	if code == exitUsage {
		fmt.Fprintln(stderr, "Run rsm --help, or rsm COMMAND --help.")
	}
	return code
}
