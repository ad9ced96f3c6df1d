package main

import (
	"encoding/json"
	"fmt"
	"io"
	"path"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"rsm/reconcile"
	"rsm/runtime/controller/ledger"
)

func eventsCommand(con *console) *cli.Command {
	return &cli.Command{
		Name:      "events",
		Usage:     "print what rsm serve has told, as JSON lines",
		ArgsUsage: "[CLUSTER]",
		Description: "One JSON object a line, the oldest first. With --follow it goes on for ever, from now or from --since\n" +
			"on. CLUSTER leaves out what is about others. Types may hold *, as in --type 'apply.*'.\n\n" + exitCodeHelp,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "follow", Aliases: []string{"f"}, Usage: "go on with what happens"},
			&cli.StringFlag{Name: "since", Usage: "not what was before this `TIME` (RFC 3339), or before a duration such as 1h"},
			&cli.StringSliceFlag{Name: "type", Usage: "only events of this `TYPE`; may be given again"},
			&cli.StringFlag{Name: "format", Value: "json", Usage: "json or text"},
			stateDirFlag(),
		},
		Action: func(c *cli.Context) error {
			if c.NArg() > 1 {
				return usage("events takes one CLUSTER")
			}
			return events(c, con)
		},
	}
}

func events(c *cli.Context, con *console) error {
	since, err := moment("since", c.String("since"), time.Now(), -1)
	if err != nil {
		return err
	}
	l, err := openLedger(c)
	if err != nil {
		return err
	}
	p := eventPrinter{w: con.out, paint: painter(con.out), cluster: c.Args().First(), types: c.StringSlice("type"), since: since}
	for _, pattern := range p.types {
		if _, err := path.Match(pattern, ""); err != nil {
			return usage("--type %q is no pattern", pattern)
		}
	}
	switch c.String("format") {
	case "json":
		p.write = p.json
	case "text":
		p.write = p.text
	default:
		return usage("--format is json or text, not %q", c.String("format"))
	}
	switch {
	case !c.Bool("follow"):
		return l.Events(p.event)
	case since.IsZero():
		return l.Follow(c.Context, p.event)
	}
	return l.Tail(c.Context, p.event)
}

// eventPrinter writes the events that were asked for.
type eventPrinter struct {
	w       io.Writer
	paint   func(reconcile.Style, string) string
	cluster string
	types   []string // patterns
	since   time.Time
	write   func(ledger.Event) error
}

func (p *eventPrinter) event(e ledger.Event) error {
	if e.Time.Before(p.since) || p.cluster != "" && e.Cluster != p.cluster {
		return nil
	}
	wanted := func(pattern string) bool { ok, _ := path.Match(pattern, e.Type); return ok }
	if len(p.types) > 0 && !slices.ContainsFunc(p.types, wanted) {
		return nil
	}
	return p.write(e)
}

func (p *eventPrinter) json(e ledger.Event) error {
	enc := json.NewEncoder(p.w)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil {
		return fmt.Errorf("write event: %w", err)
	}
	return nil
}

func (p *eventPrinter) text(e ledger.Event) error {
	kind := fmt.Sprintf("%-14s", e.Type)
	if style, ok := map[string]reconcile.Style{"error": reconcile.StyleHeld, "warning": reconcile.StyleChange}[e.Level]; ok && p.paint != nil {
		kind = p.paint(style, kind)
	}
	line := local(e.Time) + "  " + kind + "  " + orDash(e.Cluster)
	if e.Commit != "" {
		line += "  " + short(e.Commit)
	}
	if e.Attempt != 0 {
		line += fmt.Sprintf("  attempt %d", e.Attempt)
	}
	_, err := fmt.Fprintln(p.w, line+"  "+plain(e.Message))
	return err
}
