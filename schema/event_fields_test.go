package schema

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestEventFieldsAreDocumented: docs/agent.md tells every field that checks of
// expressions know, and they know every field that it tells.
func TestEventFieldsAreDocumented(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("../docs/agent.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(content), "## What is published")
	text, _, _ = strings.Cut(text, "\n## ")
	host, redis, ok := strings.Cut(text, "one event of type `redis`")
	if !ok {
		t.Fatal("docs/agent.md has no table of redis events")
	}
	for kind, table := range map[string]string{"monitoring": host, "redis": redis} {
		for _, field := range documented(table) {
			if !slices.Contains(eventFields[kind], field) {
				t.Errorf("%s: docs/agent.md has %s, the checks do not", kind, field)
			}
		}
	}
	for _, kind := range []string{"monitoring", "redis"} {
		all := documented(host)
		if kind == "redis" { // it has those of the envelope, too
			all = append(all, documented(redis)...)
		}
		for _, field := range eventFields[kind] {
			if !slices.Contains(all, field) {
				t.Errorf("%s: docs/agent.md does not tell %s", kind, field)
			}
		}
	}
}

var name = regexp.MustCompile("`([a-z][a-z0-9_]*)(\\[\\])?`")

// documented are the fields of the tables in a text: those of the first column, and
// of an object those of the second.
func documented(text string) (fields []string) {
	for _, line := range strings.Split(text, "\n") {
		cells := strings.Split(line, "|")
		if len(cells) < 4 {
			continue
		}
		firsts := name.FindAllStringSubmatch(cells[1], -1)
		for _, m := range firsts {
			fields = append(fields, m[1])
		}
		if len(firsts) == 1 && slices.Contains([]string{"cpu", "load", "memory", "swap"}, firsts[0][1]) {
			for _, m := range name.FindAllStringSubmatch(cells[2], -1) {
				fields = append(fields, firsts[0][1]+"."+m[1])
			}
		}
	}
	return fields
}

// TestNearField: a slip is found; a field of one's own is left alone.
func TestNearField(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ kind, field, want string }{
		{"monitoring", "cpu_usgae", "cpu_usage"}, {"monitoring", "cpu_usage", ""}, {"monitoring", "memory.totl", "memory.total"},
		{"monitoring", "load1", "load"}, {"monitoring", "tags.team", ""}, {"monitoring", "temperature", ""}, {"monitoring", "queue_depth", ""},
		{"redis", "conected_clients", "connected_clients"}, {"redis", "replication_lag", ""}, {"agent", "sate", "state"}, {"deploy", "cpu_usgae", ""},
	} {
		if got := nearField(c.kind, c.field); got != c.want {
			t.Errorf("%s of %s: %q, want %q", c.field, c.kind, got, c.want)
		}
	}
}
