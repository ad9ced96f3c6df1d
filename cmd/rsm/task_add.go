package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"rsm/runtime/worker/queue"
)

func taskAddCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "add", Usage: "add a task, or one for each line of the input", ArgsUsage: "TYPE [PAYLOAD]",
		Description: "PAYLOAD is JSON, and - means the input. The id of the task is printed; one that is there already is not\n" +
			"added again, so that a command that failed may be repeated with --id.\n\n" + exitCodeHelp,
		Flags: taskFlags(
			&cli.StringFlag{Name: "id", Usage: "the `ID` of the task", DefaultText: "a new one"},
			&cli.BoolFlag{Name: "lines", Usage: "each line of the input is a payload: many tasks at once"},
			&cli.DurationFlag{Name: "delay", Usage: "not before this `DURATION` has passed"},
			&cli.StringFlag{Name: "at", Usage: "not before this `TIME` (RFC 3339)"},
			&cli.StringFlag{Name: "priority", Value: "normal", Usage: "high, normal or low"},
			&cli.StringFlag{Name: "worker", Usage: "only for the worker of this `NAME`"},
			&cli.StringSliceFlag{Name: "label", Usage: "only for workers with this label, `NAME=VALUE`; may be given again"},
			&cli.IntFlag{Name: "attempts", Usage: "how often it is run in all", DefaultText: "that of the queue"},
			&cli.DurationFlag{Name: "timeout", Usage: "how long one run may take", DefaultText: "that of the queue"},
			&cli.DurationFlag{Name: "retention", Usage: "for how long its result is kept", DefaultText: "that of the queue"},
			&cli.StringFlag{Name: "unique", Usage: "not while another task has this `KEY`"},
			&cli.StringFlag{Name: "unique-scope", Value: string(queue.UntilDone), Usage: "until_start, until_done or until_ttl"},
			&cli.DurationFlag{Name: "unique-ttl", Usage: "after which the key is free in any case"},
			&cli.BoolFlag{Name: "wait", Usage: "wait until it is done, and print its result; exit code 1 when it is dead"}),
		Action: func(c *cli.Context) error {
			tasks, err := tasksToAdd(c, con.in)
			if err != nil {
				return err
			}
			return onQueue(c, con, func(ctx context.Context, q *queue.Queue) error {
				receipts, err := q.Add(ctx, tasks...)
				for _, r := range receipts {
					fmt.Fprintln(con.out, receiptText(r))
				}
				if err != nil || !c.Bool("wait") {
					return err
				}
				return waitForTasks(ctx, con.out, q, receipts)
			})
		},
	}
}

func receiptText(r queue.Receipt) string {
	switch r.Outcome {
	case queue.Added:
		return r.ID
	case queue.Held:
		return r.ID + "  not added: task " + r.Holder + " has the key"
	case queue.Exists:
		return r.ID + "  was added before"
	case "":
		return r.ID + "  may or may not have been added: add it again with this --id"
	}
	return r.ID + "  not added: " + string(r.Outcome)
}

// tasksToAdd reads the arguments and flags of rsm task add.
func tasksToAdd(c *cli.Context, in io.Reader) ([]queue.Task, error) {
	if c.NArg() == 0 || c.NArg() > 2 || c.Bool("lines") && (c.NArg() != 1 || c.String("id") != "") {
		return nil, usage("task add takes a TYPE and one PAYLOAD (or, with --lines, a TYPE and no --id)")
	}
	like, err := taskLike(c)
	if err != nil {
		return nil, err
	}
	if c.Bool("lines") {
		return tasksOfLines(like, in)
	}
	switch payload := c.Args().Get(1); payload {
	case "":
	case "-":
		content, err := io.ReadAll(io.LimitReader(in, queue.MaxPayload+1))
		if err != nil {
			return nil, fmt.Errorf("read payload: %w", err)
		}
		like.Payload = json.RawMessage(strings.TrimSpace(string(content)))
	default:
		like.Payload = json.RawMessage(payload)
	}
	return checked(like)
}

// checked finds mistakes before anything is asked of a server.
func checked(tasks ...queue.Task) ([]queue.Task, error) {
	for i := range tasks {
		id, _, _, err := tasks[i].Encode()
		if err != nil {
			return nil, usage("%v", err)
		}
		tasks[i].ID = id
	}
	return tasks, nil
}

func tasksOfLines(like queue.Task, in io.Reader) ([]queue.Task, error) {
	var tasks []queue.Task
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, queue.MaxPayload+1)
	for n := 1; lines.Scan(); n++ {
		if strings.TrimSpace(lines.Text()) == "" {
			continue
		}
		like.Payload = json.RawMessage(lines.Text())
		task, err := checked(like)
		if err != nil {
			return nil, usage("line %d: %v", n, err)
		}
		tasks = append(tasks, task...)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read lines: %w", err)
	}
	return tasks, nil
}

// taskLike is a task with everything but its payload.
func taskLike(c *cli.Context) (queue.Task, error) {
	t := queue.Task{ID: c.String("id"), Type: c.Args().First(), Delay: c.Duration("delay"), Worker: c.String("worker"),
		Attempts: c.Int("attempts"), Timeout: c.Duration("timeout"), Retention: c.Duration("retention")}
	priorities := map[string]queue.Priority{"high": queue.High, "normal": queue.Normal, "low": queue.Low}
	priority, ok := priorities[c.String("priority")]
	if !ok {
		return t, usage("--priority is high, normal or low, not %q", c.String("priority"))
	}
	t.Priority = priority
	if at := c.String("at"); at != "" {
		when, err := time.Parse(time.RFC3339, at)
		if err != nil {
			return t, usage("--at %q is no time such as 2027-01-31T09:00:00Z", at)
		}
		t.RunAt = when
	}
	for _, label := range c.StringSlice("label") {
		name, value, ok := strings.Cut(label, "=")
		if !ok {
			return t, usage("--label %q: NAME=VALUE is wanted", label)
		}
		if t.Labels == nil {
			t.Labels = map[string]string{}
		}
		t.Labels[name] = value
	}
	if key := c.String("unique"); key != "" {
		t.Unique = &queue.Unique{Key: key, Scope: queue.Scope(c.String("unique-scope")), TTL: c.Duration("unique-ttl")}
	}
	return t, nil
}

// waitForTasks prints the results of tasks when they are done.
func waitForTasks(ctx context.Context, w io.Writer, q *queue.Queue, receipts []queue.Receipt) error {
	var failed error
	for _, r := range receipts {
		if r.Outcome != queue.Added && r.Outcome != queue.Exists {
			continue
		}
		info, err := waitForTask(ctx, q, r.ID)
		switch {
		case errors.Is(err, queue.ErrNotFound): // done, and no result is kept
		case err != nil:
			return err
		case info.State == queue.Dead:
			failed = fmt.Errorf("task %s is dead: %s", r.ID, info.LastError)
		default:
			fmt.Fprintf(w, "%s\n", info.Result)
		}
	}
	return failed
}

func waitForTask(ctx context.Context, q *queue.Queue, id string) (queue.Info, error) {
	for {
		info, err := q.Get(ctx, id)
		if err != nil || info.State == queue.Dead || info.State == queue.Finished {
			return info, err
		}
		select {
		case <-ctx.Done():
			return info, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}
