package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"rsm/internal/expr"
	"rsm/runtime/bus"
	"rsm/runtime/worker/alert"
	"rsm/schema"
)

func alertCommand(con *console) *cli.Command {
	return &cli.Command{
		Name:            "alert",
		Usage:           "try the rules of a spec",
		ArgsUsage:       "test",
		HideHelpCommand: true,
		Subcommands:     []*cli.Command{alertTestCommand(con)},
		Action:          oneOf,
	}
}

func alertTestCommand(con *console) *cli.Command {
	return &cli.Command{
		Name:      "test",
		Usage:     "show what the rules and handlers of a spec make of an event, without any server",
		ArgsUsage: "[PATH]",
		Description: "Judges each event alone: which rules look at it, what their expressions say and by which fields, what\n" +
			"would fire after the time of for and who would be told, with the text, and which handlers get the event\n" +
			"itself. Nobody is told anything.\n\n" + exitCodeHelp,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "event", Usage: "the `FILE` with the event, a JSON object, or several one per line; - reads the standard input"},
			clusterFlag(),
			&cli.BoolFlag{Name: "json", Usage: "print it as JSON"},
		},
		Action: func(c *cli.Context) error { return alertTest(c, con) },
	}
}

func alertTest(c *cli.Context, con *console) error {
	path, err := onePath(c)
	if err != nil {
		return err
	}
	if c.String("event") == "" {
		return usage("alert test needs --event FILE, or - for the standard input")
	}
	now := time.Now().UTC()
	events, err := readEvents(c.String("event"), con.in, now)
	if err != nil {
		return err
	}
	spec, err := loadSpec(c.Context, con, path)
	if err != nil {
		return err
	}
	if name := c.String("cluster"); name != "" && spec.Cluster(name) == nil {
		return usage("no cluster %q in %s", name, path)
	}
	var tests []eventTest
	for _, e := range events {
		t := eventTest{ID: e.ID, Type: e.Type, Host: e.Host, TS: e.TS}
		for _, cluster := range spec.Clusters {
			if name := c.String("cluster"); name != "" && name != cluster.Name || len(cluster.Operations.Rules)+len(cluster.Operations.Handlers) == 0 {
				continue
			}
			verdict, err := judgeEvent(cluster, e, now)
			if err != nil {
				return err
			}
			t.Clusters = append(t.Clusters, verdict)
		}
		tests = append(tests, t)
	}
	if c.Bool("json") {
		return writeJSON(con.out, struct {
			FormatVersion string      `json:"format_version"`
			Events        []eventTest `json:"events"`
		}{"1.0", tests})
	}
	printEventTests(con.out, tests)
	return nil
}

// eventTest is what a spec makes of one event.
type eventTest struct {
	ID       string        `json:"id,omitempty"`
	Type     string        `json:"type"`
	Host     string        `json:"host,omitempty"`
	TS       time.Time     `json:"ts"`
	Clusters []clusterTest `json:"clusters"`
}

type clusterTest struct {
	Cluster  string              `json:"cluster"`
	Rules    []alert.Explanation `json:"rules"`
	Handlers []handlerTest       `json:"handlers"`
	// Others are the types that rules and handlers look at, for when none looks at
	// this one.
	Others []string `json:"other_types"`
}

// handlerTest is whether a handler of the event's type gets the event itself.
type handlerTest struct {
	Handler string      `json:"handler"`
	Gets    bool        `json:"gets"`
	When    *alert.Said `json:"when,omitempty"`
}

func judgeEvent(cluster *schema.Cluster, e bus.Event, now time.Time) (clusterTest, error) {
	t := clusterTest{Cluster: cluster.Name}
	rules, err := alert.Compile(cluster.Operations.Rules)
	if err != nil {
		return t, err
	}
	t.Rules = rules.Explain(alert.Event(e), now)
	types := map[string]bool{}
	for _, r := range cluster.Operations.Rules {
		types[r.Type] = true
	}
	for _, h := range cluster.Operations.Handlers {
		for _, kind := range h.Types {
			types[kind] = true
		}
		if !slices.Contains(h.Types, e.Type) {
			continue
		}
		got := handlerTest{Handler: h.Name, Gets: true}
		if h.When != "" {
			when, err := expr.Condition(h.When)
			if err != nil {
				return t, fmt.Errorf("handler %s: when: %w", h.Name, err)
			}
			said := alert.Explained(when, e.Fields)
			got.When, got.Gets = &said, said.Holds
		}
		t.Handlers = append(t.Handlers, got)
	}
	t.Others = slices.Sorted(maps.Keys(types))
	return t, nil
}

// readEvents reads one JSON object, or one per line.
func readEvents(name string, stdin io.Reader, now time.Time) ([]bus.Event, error) {
	content, err := readInput(name, stdin)
	if err != nil {
		return nil, fmt.Errorf("read event: %w", err)
	}
	if name == "-" {
		name = "standard input"
	}
	if json.Valid(content) {
		e, err := bus.Parse(bytes.TrimSpace(content), now)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return []bus.Event{e}, nil
	}
	var events []bus.Event
	var wrong []error
	lines := bufio.NewScanner(bytes.NewReader(content))
	lines.Buffer(nil, bus.MaxEvent+2)
	for number := 1; lines.Scan(); number++ {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		e, err := bus.Parse(bytes.Clone(lines.Bytes()), now)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("%s:%d: %w", name, number, err))
			continue
		}
		events = append(events, e)
	}
	if err := lines.Err(); err != nil {
		wrong = append(wrong, fmt.Errorf("%s: %w", name, err))
	}
	if len(wrong) == 0 && len(events) == 0 {
		return nil, fmt.Errorf("%s: there is no event in it", name)
	}
	return events, errors.Join(wrong...)
}

// mostEvents is how many bytes of events are read.
const mostEvents = 64 << 20

func readInput(name string, stdin io.Reader) ([]byte, error) {
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer func() { _ = file.Close() }()
		stdin = file
	}
	content, err := io.ReadAll(io.LimitReader(stdin, mostEvents+1))
	if err == nil && len(content) > mostEvents {
		err = fmt.Errorf("there are more than %d MiB", mostEvents>>20)
	}
	return content, err
}
