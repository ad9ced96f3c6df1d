package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"rsm/runtime/worker/queue"
)

func taskCommand(con *console) *cli.Command {
	return &cli.Command{
		Name:            "task",
		Usage:           "add tasks to a queue, and see what becomes of them",
		ArgsUsage:       "add|ls|show|dead|stats|watch|cancel|delete|retry|pause|drain|resume",
		HideHelpCommand: true,
		Subcommands: []*cli.Command{
			taskAddCommand(con), taskListCommand(con), taskShowCommand(con), taskDeadCommand(con), taskStatsCommand(con), taskWatchCommand(con),
			taskChange(con, "cancel", "take tasks out that wait or run; a worker that runs one is told to stop", cancelTasks),
			taskChange(con, "delete", "take tasks out that wait, are dead, or whose result is kept", deleteTasks),
			taskRetryCommand(con),
			taskMode(con, "pause", "start no more tasks of the queue; those that run go on", (*queue.Queue).Pause),
			taskMode(con, "drain", "take in no more tasks, and run those that wait", (*queue.Queue).Drain),
			taskMode(con, "resume", "end pause and drain", (*queue.Queue).Resume),
		},
		Action: oneOf,
	}
}

// taskFlags are those of a command on one queue, and more.
func taskFlags(more ...cli.Flag) []cli.Flag {
	list := append([]cli.Flag{&cli.StringFlag{Name: "queue", Aliases: []string{"q"}, Value: "default", Usage: "the `NAME` of the queue"}}, more...)
	return append(list, operationsFlags()...)
}

// onQueue runs do with the queue of --queue.
func onQueue(c *cli.Context, con *console, do func(context.Context, *queue.Queue) error) error {
	return withOperations(c, con, func(ctx context.Context, o *operations) error {
		settings, err := o.queueNamed(c.String("queue"))
		if err != nil {
			return err
		}
		return do(ctx, queue.New(o.Client.Client, settings))
	})
}

// taskChange is a command that does something to tasks by their ids.
func taskChange(con *console, name, text string, change func(context.Context, io.Writer, *queue.Queue, []string) error) *cli.Command {
	return &cli.Command{
		Name: name, Usage: text, ArgsUsage: "ID...", Flags: taskFlags(),
		Action: func(c *cli.Context) error {
			if c.NArg() == 0 {
				return usage("task %s needs the ID of a task", name)
			}
			return onQueue(c, con, func(ctx context.Context, q *queue.Queue) error {
				return change(ctx, con.out, q, c.Args().Slice())
			})
		},
	}
}

func cancelTasks(ctx context.Context, w io.Writer, q *queue.Queue, ids []string) error {
	removed, err := q.Cancel(ctx, ids...)
	return tellRemoved(w, "cancelled", "it neither waits nor runs", ids, removed, err)
}

func deleteTasks(ctx context.Context, w io.Writer, q *queue.Queue, ids []string) error {
	removed, err := q.Delete(ctx, ids...)
	return tellRemoved(w, "deleted", "a worker runs it: cancel it", ids, removed, err)
}

// tellRemoved says of each task what became of it; one that was not removed makes
// it an error.
func tellRemoved(w io.Writer, done, beyond string, ids []string, removed []queue.Removed, err error) error {
	if err != nil {
		return err
	}
	var left []string
	for i, where := range removed {
		switch where {
		case "":
			left = append(left, ids[i]+" (there is no such task)")
		case "no":
			left = append(left, ids[i]+" ("+beyond+")")
		default:
			fmt.Fprintf(w, "%s  %s, was %s\n", ids[i], done, where)
		}
	}
	if len(left) > 0 {
		return fmt.Errorf("not %s: %s", done, strings.Join(left, ", "))
	}
	return nil
}

func taskRetryCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "retry", Usage: "run dead or scheduled tasks now, with all their attempts", ArgsUsage: "[ID...]",
		Flags: taskFlags(
			&cli.BoolFlag{Name: "dead", Usage: "all dead tasks"},
			&cli.StringFlag{Name: "type", Usage: "with --dead: only those whose type begins with `PREFIX`"}),
		Action: func(c *cli.Context) error {
			if c.Bool("dead") == (c.NArg() > 0) {
				return usage("task retry takes the ID of a task, or --dead")
			}
			return onQueue(c, con, func(ctx context.Context, q *queue.Queue) error {
				if c.Bool("dead") {
					n, err := q.RetryDead(ctx, c.String("type"))
					if err == nil {
						fmt.Fprintf(con.out, "%s will run again\n", counted(n, "task"))
					}
					return err
				}
				n, err := q.Retry(ctx, c.Args().Slice()...)
				if err == nil && n < c.NArg() {
					err = fmt.Errorf("%d of %s will run again: the others are neither dead nor scheduled, or another task holds their unique key", n, counted(c.NArg(), "task"))
				}
				if err == nil {
					fmt.Fprintf(con.out, "%s will run again\n", counted(n, "task"))
				}
				return err
			})
		},
	}
}

// taskMode is a command that changes what a queue does.
func taskMode(con *console, name, text string, change func(*queue.Queue, context.Context) error) *cli.Command {
	flags := taskFlags()
	if name == "drain" {
		flags = taskFlags(&cli.DurationFlag{Name: "wait", Usage: "wait until it is empty, `DURATION` at most"})
	}
	return &cli.Command{
		Name: name, Usage: text, Flags: flags,
		Action: func(c *cli.Context) error {
			if c.NArg() > 0 {
				return usage("task %s takes no argument: the queue is named by --queue", name)
			}
			return onQueue(c, con, func(ctx context.Context, q *queue.Queue) error {
				if err := change(q, ctx); err != nil {
					return err
				}
				stats, err := q.Stats(ctx)
				if err != nil {
					return err
				}
				fmt.Fprintf(con.out, "queue %s: %s; %d wait, %d run\n", q.Name(), modeText(stats.Mode), stats.Pending+stats.Scheduled, stats.Active)
				if wait := c.Duration("wait"); wait > 0 {
					ctx, cancel := context.WithTimeout(ctx, wait)
					defer cancel()
					return q.WaitIdle(ctx)
				}
				return nil
			})
		},
	}
}

func modeText(mode queue.Mode) string {
	switch mode {
	case queue.Stopped:
		return "paused"
	case queue.Drained:
		return "draining"
	}
	return "running"
}

func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// around writes when a time is, seen from now: before it, or after it.
func around(t, now time.Time) string {
	switch d := t.Sub(now); {
	case t.IsZero():
		return "-"
	case d < 0:
		return ago(t, now)
	case d < 48*time.Hour:
		return "in " + d.Round(time.Second).String()
	}
	return "on " + local(t)
}
