package observe_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"rsm/internal/redistest"
	"rsm/reconcile"
	"rsm/reconcile/observe"
)

// Defaults knows the directives of m.defaults.
func (m *machine) Defaults(_ context.Context, keys []string) (map[string]string, error) {
	m.note("defaults %s", strings.Join(keys, ","))
	if m.defaultsErr != nil {
		return nil, m.defaultsErr
	}
	values := map[string]string{}
	for _, key := range keys {
		if value, known := m.defaults[key]; known {
			values[key] = value
		}
	}
	return values, nil
}

// published makes the directives those that rsm managed on r1.
func (m *machine) published(keys ...string) *machine {
	m.record = &reconcile.Registration{Cluster: "cache", Managed: map[string][]string{"r1": keys, "r2": {"databases"}}}
	return m
}

// askedDefaults are the calls of Defaults.
func (m *machine) askedDefaults() []string {
	return slices.DeleteFunc(slices.Clone(m.calls), func(call string) bool { return !strings.HasPrefix(call, "defaults") })
}

// TestDropped: what leaves the spec is seen with its default; what stays, what the
// server does not know, and what has only a new name is not.
func TestDropped(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "timeout 30", "maxmemory 64mb", "hash-max-listpack-entries 99")
	m := local(reconcile.Process{Local: true, Running: true}, server.Addr()).
		published("timeout", "save", "no-such-thing", "maxmemory", "hash-max-ziplist-entries", "replica-read-only")
	m.defaults = map[string]string{"timeout": "0", "maxmemory": "0"}
	spec := one(server.Addr(), map[string]string{"maxmemory": "64mb", "hash-max-listpack-entries": "99"})
	r := look(t, &observe.Observer{Host: m}, spec).Redis["r1"]
	if want := map[string]string{"timeout": "0"}; !maps.Equal(r.Defaults, want) {
		t.Errorf("defaults are %v, want %v", r.Defaults, want)
	}
	equal(t, "live timeout", r.Config["timeout"], "30")
	equal(t, "bad directives", len(r.BadConfig), 0)
	if asked := m.askedDefaults(); !slices.Equal(asked, []string{"defaults save,timeout"}) {
		t.Errorf("asked for %q", asked)
	}

	m.defaultsErr = errors.New("no redis-server")
	r = look(t, &observe.Observer{Host: m}, spec).Redis["r1"]
	equal(t, "reach without defaults", r.Reach, reconcile.Up)
	equal(t, "live timeout without defaults", r.Config["timeout"], "30")
	equal(t, "number of defaults", len(r.Defaults), 0)
}

// TestNothingDropped: then nothing is asked, of the server or of this machine;
// nor of a server elsewhere.
func TestNothingDropped(t *testing.T) {
	t.Parallel()
	fake := redistest.StartFake(t, func(args []string) redistest.Reply {
		if args[0] == "INFO" {
			return redistest.Bulk(strings.ReplaceAll(redisInfo, "role:slave", "role:master"))
		}
		return redistest.Reply{}
	})
	here := local(reconcile.Process{Local: true, Running: true}, fake.Addr())
	for what, m := range map[string]*machine{
		"all kept":   here.published("maxmemory", "replica-priority"),
		"no record":  local(reconcile.Process{Local: true, Running: true}, fake.Addr()),
		"not here":   local(reconcile.Process{}).published("maxmemory", "timeout"),
		"other node": local(reconcile.Process{Local: true, Running: true}, fake.Addr()).published(),
	} {
		before := len(fake.Seen())
		r := look(t, &observe.Observer{Host: m}, one(fake.Addr(), map[string]string{"maxmemory": "1"})).Redis["r1"]
		equal(t, what+": reach", r.Reach, reconcile.Up)
		equal(t, what+": number of defaults", len(r.Defaults), 0)
		if asked := m.askedDefaults(); len(asked) > 0 {
			t.Errorf("%s: asked for %q", what, asked)
		}
		if seen := fake.Seen()[before:]; len(seen) != 9 || slices.Contains(seen, "CONFIG GET timeout") {
			t.Errorf("%s: sent %q", what, seen)
		}
	}
}

// TestDroppedOnADownServer: it reads its file anew when it starts.
func TestDroppedOnADownServer(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	server.Kill()
	m := local(reconcile.Process{Local: true}, server.Addr()).published("timeout")
	m.defaults = map[string]string{"timeout": "0"}
	r := look(t, &observe.Observer{Host: m}, one(server.Addr(), nil)).Redis["r1"]
	equal(t, "reach", r.Reach, reconcile.Down)
	if len(r.Defaults) > 0 || len(m.askedDefaults()) > 0 {
		t.Errorf("defaults %v, calls %v", r.Defaults, m.calls)
	}
}

// TestDroppedRoundTrips: they cost one command each in the same pipeline.
func TestDroppedRoundTrips(t *testing.T) {
	t.Parallel()
	fake := redistest.StartFake(t, func(args []string) redistest.Reply {
		if args[0] == "INFO" {
			return redistest.Bulk(strings.ReplaceAll(redisInfo, "role:slave", "role:master"))
		}
		return redistest.Reply{}
	})
	m := local(reconcile.Process{Local: true, Running: true}, fake.Addr()).published("timeout", "save")
	look(t, &observe.Observer{Host: m}, one(fake.Addr(), nil))
	want := []string{"HELLO 2", "CLIENT SETNAME rsm", "INFO", "CONFIG GET replica-announced", "CONFIG GET replica-priority",
		"CONFIG GET replica-read-only", "CONFIG GET save", "CONFIG GET timeout",
		"HGETALL rsm:operations", "HGETALL rsm:registration"}
	if seen := fake.Seen(); !slices.Equal(seen, want) {
		t.Errorf("sent %q, want %q", seen, want)
	}
}
