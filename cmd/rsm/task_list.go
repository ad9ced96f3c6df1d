package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"rsm/runtime/worker/queue"
)

func taskListCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "ls", Usage: "list tasks: those that come next first",
		Flags: taskFlags(
			&cli.StringFlag{Name: "state", Usage: "pending, active, scheduled, dead or done", DefaultText: "all but done"},
			&cli.Int64Flag{Name: "limit", Value: 50, Usage: "how many of each state, 1000 at most"},
			&cli.Int64Flag{Name: "offset", Usage: "how many to leave out first"},
			&cli.BoolFlag{Name: "json", Usage: "print JSON, a task a line"}),
		Action: func(c *cli.Context) error {
			states := []queue.State{queue.Active, queue.Pending, queue.Scheduled, queue.Dead}
			if state := queue.State(c.String("state")); state != "" {
				if !slices.Contains(queue.States, state) {
					return usage("--state is one of %v, not %q", queue.States, state)
				}
				states = []queue.State{state}
			}
			return listTasks(c, con, states)
		},
	}
}

func taskDeadCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "dead", Usage: "list dead tasks, the newest first, and why; or delete them",
		Flags: taskFlags(
			&cli.Int64Flag{Name: "limit", Value: 50, Usage: "how many, 1000 at most"},
			&cli.Int64Flag{Name: "offset", Usage: "how many to leave out first"},
			&cli.BoolFlag{Name: "json", Usage: "print JSON, a task a line"},
			&cli.BoolFlag{Name: "delete", Usage: "delete them, all or those of --type"},
			&cli.StringFlag{Name: "type", Usage: "with --delete: only those whose type begins with `PREFIX`"}),
		Action: func(c *cli.Context) error {
			if !c.Bool("delete") {
				return listTasks(c, con, []queue.State{queue.Dead})
			}
			return onQueue(c, con, func(ctx context.Context, q *queue.Queue) error {
				n, err := q.DeleteDead(ctx, c.String("type"))
				if err == nil {
					fmt.Fprintf(con.out, "deleted %s\n", counted(n, "dead task"))
				}
				return err
			})
		},
	}
}

func listTasks(c *cli.Context, con *console, states []queue.State) error {
	if c.NArg() > 0 {
		return usage("task %s takes no argument", c.Command.Name)
	}
	page := queue.Page{Offset: c.Int64("offset"), Limit: c.Int64("limit")}
	return onQueue(c, con, func(ctx context.Context, q *queue.Queue) error {
		now, shown := time.Now(), 0
		table := tabwriter.NewWriter(con.out, 0, 4, 2, ' ', 0)
		for _, state := range states {
			list, total, err := q.List(ctx, state, page)
			if err != nil {
				return err
			}
			for _, info := range list {
				if c.Bool("json") {
					if err := writeTaskJSON(con.out, info); err != nil {
						return err
					}
					continue
				}
				if shown++; shown == 1 {
					fmt.Fprintln(table, "STATE\tID\tTYPE\tAGE\tRUNS\tABOUT")
				}
				fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\t%s\n", info.State, orDash(info.ID), orDash(info.Type), around(info.Born, now), info.Failures+info.Crashes, aboutTask(info, now))
			}
			if left := total - page.Offset - int64(len(list)); left > 0 && !c.Bool("json") {
				fmt.Fprintf(table, "%s\t… %d more\t\t\t\t\n", state, left)
			}
		}
		if shown == 0 && !c.Bool("json") {
			fmt.Fprintf(con.err, "queue %s has none\n", q.Name())
		}
		return table.Flush()
	})
}

// aboutTask is what matters of a task in its state.
func aboutTask(info queue.Info, now time.Time) string {
	var parts []string
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	switch info.State {
	case queue.Active:
		add("worker %s", info.Owner)
	case queue.Scheduled:
		add("runs %s", around(info.At, now))
	case queue.Dead:
		add("died %s", around(info.At, now))
	case queue.Finished:
		add("%s", oneLineOf(string(info.Result), 60))
	}
	if info.State != queue.Active && info.Worker != "" {
		add("for worker %s", info.Worker)
	}
	if pairs, err := queue.LabelPairs(info.Labels); err == nil && len(pairs) > 0 {
		add("for %s", strings.Join(pairs, ","))
	}
	if info.Priority != queue.Normal {
		add("%s priority", map[queue.Priority]string{queue.High: "high", queue.Low: "low"}[info.Priority])
	}
	if info.LastError != "" {
		add("%s", oneLineOf(info.LastError, 100))
	}
	return strings.Join(parts, ", ")
}

// oneLineOf is a text on one line, cut to a length.
func oneLineOf(text string, most int) string {
	return cut(plain(strings.Join(strings.Fields(text), " ")), most)
}

func taskShowCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "show", Usage: "print all that is known of a task", ArgsUsage: "ID",
		Flags: taskFlags(&cli.BoolFlag{Name: "json", Usage: "print JSON"}),
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return usage("task show takes one ID")
			}
			return onQueue(c, con, func(ctx context.Context, q *queue.Queue) error {
				info, err := q.Get(ctx, c.Args().First())
				if err != nil {
					return err
				}
				if c.Bool("json") {
					return writeTaskJSON(con.out, info)
				}
				return writeTask(con.out, info, time.Now())
			})
		},
	}
}

func writeTask(w io.Writer, info queue.Info, now time.Time) error {
	table := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(table, "%s\t%s\n", name, plain(value))
		}
	}
	row("id", info.ID)
	row("type", info.Type)
	row("state", strings.TrimSuffix(string(info.State)+", "+aboutTask(info, now), ", "))
	if !info.Born.IsZero() {
		row("added", local(info.Born)+", "+around(info.Born, now))
	}
	row("runs", fmt.Sprintf("%d failed, %d ended with their worker", info.Failures, info.Crashes))
	row("error", info.LastError)
	if info.Unique != nil {
		row("unique key", info.Unique.Key)
	}
	row("payload", string(info.Payload))
	row("result", string(info.Result))
	return table.Flush()
}

// taskJSON is a task as the commands print it.
type taskJSON struct {
	ID        string            `json:"id,omitempty"`
	Type      string            `json:"type"`
	State     queue.State       `json:"state"`
	Worker    string            `json:"worker,omitempty"`
	At        time.Time         `json:"at,omitzero"`
	Added     time.Time         `json:"added,omitzero"`
	For       string            `json:"for,omitempty"`
	Labels    map[string]string `json:"labels,omitempty"`
	Priority  int               `json:"priority,omitempty"`
	Failures  int               `json:"failures"`
	Crashes   int               `json:"crashes"`
	LastError string            `json:"last_error,omitempty"`
	Payload   json.RawMessage   `json:"payload,omitempty"`
	Result    json.RawMessage   `json:"result,omitempty"`
}

func writeTaskJSON(w io.Writer, info queue.Info) error {
	out := taskJSON{ID: info.ID, Type: info.Type, State: info.State, Worker: info.Owner, At: info.At.UTC(), Added: info.Born.UTC(), For: info.Worker,
		Labels: info.Labels, Priority: int(info.Priority), Failures: info.Failures, Crashes: info.Crashes, LastError: info.LastError,
		Payload: asJSON(info.Payload), Result: asJSON(info.Result)}
	if info.At.IsZero() {
		out.At = time.Time{}
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(out); err != nil {
		return fmt.Errorf("write task: %w", err)
	}
	return nil
}

// asJSON is content that is JSON, or a JSON string of what is not.
func asJSON(content []byte) json.RawMessage {
	if len(content) == 0 || json.Valid(content) {
		return content
	}
	text, _ := json.Marshal(string(content))
	return text
}
