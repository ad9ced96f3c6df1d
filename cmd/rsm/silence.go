package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os/user"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"rsm/runtime/bus"
	"rsm/runtime/worker/alert"
	"rsm/runtime/worker/dispatch"
)

func silenceCommand(con *console) *cli.Command {
	return &cli.Command{
		Name:            "silence",
		Usage:           "mute alerts for a time",
		ArgsUsage:       "add|ls|expire",
		HideHelpCommand: true,
		Subcommands:     []*cli.Command{silenceAddCommand(con), silenceListCommand(con), silenceExpireCommand(con)},
		Action:          oneOf,
	}
}

func silenceAddCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "add", Usage: "mute the alerts whose labels match", ArgsUsage: "MATCHER...",
		Description: "A MATCHER is label=value, label!=value, label=~regexp or label!~regexp; all must match. rule and severity are\n" +
			"labels, too. The end is announced shortly before it comes, and what still fires then is told at once.\n" +
			"Prints the id of the silence.",
		Flags: append([]cli.Flag{
			&cli.DurationFlag{Name: "for", Usage: "how long, such as 2h"},
			&cli.StringFlag{Name: "reason", Usage: "why: a `TEXT` for the others"},
			&cli.StringFlag{Name: "by", Usage: "the `NAME` of who mutes", DefaultText: "who runs this"},
			&cli.BoolFlag{Name: "until-resolved", Usage: "end it as soon as what it mutes has ended, after --for at the latest"},
		}, operationsFlags()...),
		Action: func(c *cli.Context) error {
			s, err := newSilence(c)
			if err != nil {
				return err
			}
			return withOperations(c, con, func(ctx context.Context, o *operations) error {
				now, err := o.Time(ctx).Result()
				if err != nil {
					return fmt.Errorf("add silence: %w", err)
				}
				s.Starts, s.Ends = now.UTC(), now.UTC().Add(c.Duration("for"))
				if err := dispatch.AddSilence(ctx, o.Client, s); err != nil {
					return err
				}
				_, err = fmt.Fprintln(con.out, s.ID)
				return err
			})
		},
	}
}

// newSilence is a silence without its times.
func newSilence(c *cli.Context) (alert.Silence, error) {
	switch {
	case c.Duration("for") <= 0:
		return alert.Silence{}, usage("silence add needs --for DURATION, such as --for 2h: every silence has an end")
	case strings.TrimSpace(c.String("reason")) == "":
		return alert.Silence{}, usage("silence add needs --reason TEXT: others want to know why nobody is told")
	case c.NArg() == 0:
		return alert.Silence{}, usage("silence add needs a MATCHER, such as host=web1: say which alerts")
	}
	s := alert.Silence{ID: new(bus.IDs).New(), Creator: c.String("by"), Reason: c.String("reason"), UntilResolved: c.Bool("until-resolved")}
	if s.Creator == "" {
		if who, err := user.Current(); err == nil {
			s.Creator = who.Username
		}
	}
	for _, text := range c.Args().Slice() {
		m, err := alert.ParseMatcher(text)
		if err != nil {
			return s, usage("%v", err)
		}
		s.Matchers = append(s.Matchers, m)
	}
	return s, nil
}

func silenceListCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "ls", Usage: "list the silences", Flags: append([]cli.Flag{&cli.BoolFlag{Name: "json", Usage: "print JSON"}}, operationsFlags()...),
		Action: func(c *cli.Context) error {
			if c.NArg() > 0 {
				return usage("silence ls takes no argument: the spec is named by --spec")
			}
			return withOperations(c, con, func(ctx context.Context, o *operations) error {
				list, err := dispatch.ReadSilences(ctx, o.Client)
				if err != nil {
					return err
				}
				if c.Bool("json") {
					return writeJSON(con.out, map[string]any{"format_version": "1.0", "silences": list})
				}
				return writeSilences(con.out, list)
			})
		},
	}
}

func writeSilences(w io.Writer, list []alert.Silence) error {
	table := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tENDS\tBY\tMATCHERS\tREASON")
	for _, s := range list {
		matchers := make([]string, len(s.Matchers))
		for i, m := range s.Matchers {
			matchers[i] = plain(m.String())
		}
		ends := s.Ends.Local().Format("Jan 02 15:04:05")
		if s.UntilResolved {
			ends += " or when resolved"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", s.ID, ends, cmp.Or(plain(s.Creator), "-"), strings.Join(matchers, " "), plain(s.Reason))
	}
	return table.Flush()
}

func silenceExpireCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "expire", Usage: "end silences now", ArgsUsage: "ID...", Flags: operationsFlags(),
		Action: func(c *cli.Context) error {
			if c.NArg() == 0 {
				return usage("silence expire needs the ID of a silence, see rsm silence ls")
			}
			return withOperations(c, con, func(ctx context.Context, o *operations) error {
				for _, id := range c.Args().Slice() {
					if err := dispatch.ExpireSilence(ctx, o.Client, id); err != nil {
						return err
					}
					fmt.Fprintf(con.out, "%s  expired\n", id)
				}
				return nil
			})
		},
	}
}
