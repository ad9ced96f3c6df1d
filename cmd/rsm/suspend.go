package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"rsm/runtime/controller/ledger"
)

func suspendCommand(con *console) *cli.Command {
	return &cli.Command{
		Name:      "suspend",
		Usage:     "have rsm serve only look at a cluster, for a reason",
		ArgsUsage: "CLUSTER",
		Description: "Neither new commits are applied nor drift is healed until rsm resume, or until the time given.\n" +
			"What runs goes on, Sentinel still fails over, and the service goes on to tell what differs.\n\n" + exitCodeHelp,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "reason", Usage: "why, for those who wonder; needed"},
			&cli.StringFlag{Name: "until", Usage: "when it ends by itself: a `TIME` (RFC 3339), or a duration such as 2h"},
			stateDirFlag(),
		},
		Action: func(c *cli.Context) error {
			name, err := oneCluster(c)
			if err != nil {
				return err
			}
			return suspend(c, con, name, time.Now())
		},
	}
}

func suspend(c *cli.Context, con *console, name string, now time.Time) error {
	reason := strings.TrimSpace(c.String("reason"))
	if reason == "" {
		return usage("suspend needs a --reason: somebody will wonder")
	}
	until, err := moment("until", c.String("until"), now, 1)
	if err != nil {
		return err
	}
	if !until.IsZero() && !until.After(now) {
		return usage("--until %s has passed", c.String("until"))
	}
	l, err := openLedger(c)
	if err != nil {
		return err
	}
	return decide(con, l, name, func(_ *ledger.Control, cluster *ledger.Cluster) (string, *ledger.Event) {
		wish := &ledger.Suspension{Reason: reason, By: whoami(), Since: now.UTC(), Until: until.UTC()}
		if until.IsZero() {
			wish.Until = time.Time{}
		}
		before := cluster.Suspended
		if before.Active(now) {
			wish.Since = before.Since
			if before.Reason == reason && before.Until.Equal(wish.Until) {
				return suspended(before) + ", as before", nil
			}
		}
		cluster.Suspended = wish
		return suspended(wish), &ledger.Event{Level: "warning", Type: "suspended", Commit: cluster.Applied, Message: suspended(wish)}
	})
}

// suspended tells of a suspension in words.
func suspended(s *ledger.Suspension) string {
	const form = "2006-01-02 15:04 MST" // it may be read elsewhere
	end := ""
	if !s.Until.IsZero() {
		end = " until " + s.Until.Local().Format(form)
	}
	return fmt.Sprintf("suspended%s by %s since %s: %s", end, plain(s.By), s.Since.Local().Format(form), plain(s.Reason))
}
