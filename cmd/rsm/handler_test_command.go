package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"rsm/runtime/bus"
	"rsm/runtime/worker/handler"
	"rsm/schema"
)

func handlerCommand(con *console) *cli.Command {
	return &cli.Command{
		Name:            "handler",
		Usage:           "try the handlers of a spec, and see what they did",
		ArgsUsage:       "test|log",
		HideHelpCommand: true,
		Subcommands:     []*cli.Command{handlerTestCommand(con), handlerLogCommand(con)},
		Action:          oneOf,
	}
}

func handlerTestCommand(con *console) *cli.Command {
	return &cli.Command{
		Name:      "test",
		Usage:     "show what a handler would send, without sending it",
		ArgsUsage: "NAME [PATH]",
		Description: "Prints the mail, the request, the command with its input, or the line that the handler of the spec makes\n" +
			"of an event, or of an alert. Nothing is sent, run or read but the spec; where a secret belongs it says\n" +
			"<secret>.\n\n" + exitCodeHelp,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "event", Usage: "the `FILE` with the event, or with the payload of a task (what rsm task show prints); - reads the standard input", DefaultText: "one that is made up"},
			&cli.StringFlag{Name: "alert", Usage: "show an alert that is `STATUS`, firing or resolved, instead of the event itself"},
			clusterFlag(),
		},
		Action: func(c *cli.Context) error { return tryHandler(c, con) },
	}
}

func tryHandler(c *cli.Context, con *console) error {
	name, path := c.Args().Get(0), c.Args().Get(1)
	if name == "" || c.NArg() > 2 {
		return usage("handler test takes the NAME of a handler and at most one PATH")
	}
	if path == "" {
		path = "."
	}
	status := c.String("alert")
	if status != "" && status != "firing" && status != "resolved" {
		return usage("--alert is firing or resolved, not %q", status)
	}
	spec, err := loadSpec(c.Context, con, path)
	if err != nil {
		return err
	}
	h, cluster, err := specHandler(spec, name, c.String("cluster"))
	if err != nil {
		return err
	}
	if h.Report != nil {
		return usage("handler %s writes reports, which need samples: rsm report %s makes one", name, name)
	}
	now := time.Now().UTC()
	task, err := testTask(c, con, h, status, now)
	if err != nil {
		return err
	}
	shown, note, err := handler.Preview(c.Context, h, task, handler.Env{Cluster: cluster, Now: func() time.Time { return now }})
	if err != nil {
		return fmt.Errorf("handler %s: %w", name, err)
	}
	if note != "" {
		fmt.Fprintln(con.err, "note:", note)
	}
	_, err = con.out.Write(shown)
	return err
}

// specHandler finds a handler by its name; cluster may be empty.
func specHandler(spec *schema.Spec, name, cluster string) (h schema.Handler, of string, err error) {
	var found, all []string
	for _, c := range spec.Clusters {
		if cluster != "" && c.Name != cluster {
			continue
		}
		for _, one := range c.Operations.Handlers {
			all = append(all, one.Name)
			if one.Name == name {
				h, of, found = one, c.Name, append(found, c.Name)
			}
		}
	}
	switch {
	case cluster != "" && spec.Cluster(cluster) == nil:
		return h, "", usage("there is no cluster %q; the spec has %s", cluster, strings.Join(clusterNames(spec), ", "))
	case len(all) == 0:
		return h, "", usage("the spec has no handlers")
	case len(found) == 0:
		slices.Sort(all)
		return h, "", usage("there is no handler %q; the spec has %s", name, strings.Join(slices.Compact(all), ", "))
	case len(found) > 1:
		return h, "", usage("clusters %s have a handler %q: say which with --cluster", strings.Join(found, " and "), name)
	}
	return h, of, nil
}

// testTask is the task of the event that is given, or of one that is made up.
func testTask(c *cli.Context, con *console, h schema.Handler, status string, now time.Time) (handler.Task, error) {
	kind := "monitoring"
	if len(h.Types) > 0 {
		kind = h.Types[0]
	}
	event := fmt.Appendf(nil, `{"id":"test","type":%q,"host":"web1","ts":%d,"cpu_usage":93.5,"mem_usage":61.2,"disk_usage":70.1}`, kind, now.UnixMilli())
	if file := c.String("event"); file != "" {
		content, err := readInput(file, con.in)
		if err != nil {
			return handler.Task{}, fmt.Errorf("read event: %w", err)
		}
		var payload struct{ Event, Alerts json.RawMessage }
		if json.Unmarshal(content, &payload) == nil && (payload.Event != nil || payload.Alerts != nil) {
			return handler.Task{ID: "test:" + h.Name, Attempt: 1, Payload: content}, nil
		}
		event = content
	}
	payload, err := testPayload(h.Name, event, status, now)
	return handler.Task{ID: "test:" + h.Name, Attempt: 1, Payload: payload}, err
}

// testPayload is what a dispatcher would make of an event.
func testPayload(name string, raw []byte, status string, now time.Time) ([]byte, error) {
	e, err := bus.Parse(bytes.TrimSpace(raw), now)
	if err != nil {
		return nil, err
	}
	if status == "" {
		return json.Marshal(map[string]any{"handler": name, "event": e.Raw, "event_id": e.ID, "type": e.Type, "host": e.Host, "ts": e.TS})
	}
	one := map[string]any{
		"rule": "test", "status": status, "severity": "warning", "labels": map[string]string{"host": e.Host}, "summary": "test of handler " + name,
		"description": "This is no real alert.", "since": now.Add(-10 * time.Minute), "fired": now.Add(-5 * time.Minute), "fingerprint": "test", "event": e.Raw,
	}
	reason := "new"
	if status == "resolved" {
		one["ended"], reason = now, "resolved"
	}
	return json.Marshal(map[string]any{"handler": name, "alerts": map[string]any{
		"status": status, "reason": reason, "receiver": name, "group": map[string]string{"host": e.Host}, "rule": "test", "severity": "warning", "alerts": []any{one},
	}})
}
