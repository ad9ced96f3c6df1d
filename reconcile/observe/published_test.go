package observe_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"rsm/internal/redistest"
	"rsm/reconcile"
	"rsm/reconcile/observe"
	"rsm/schema"
)

// TestPublished: what the master holds for the roles of rsm is read from it, with
// the tasks of queues that have left the spec; a role of another machine is there
// as long as it says so.
func TestPublished(t *testing.T) {
	t.Parallel()
	live := redistest.StartCluster(t, "ops", 2, 1)
	c := specOf(live)
	for _, name := range []string{"fresh", "late", "never"} {
		c.Workers = append(c.Workers, schema.Worker{Name: name, Address: "192.0.2.7", Queues: []string{"default"}})
	}
	c.Agents = []schema.Agent{{Name: "box", Address: "127.0.0.1"}}
	master := live.Redis[0]
	seconds, _ := strconv.ParseInt(master.Do("TIME").([]any)[0].(string), 10, 64)
	announce := func(name string, seen time.Time) {
		text, _ := json.Marshal(map[string]any{"kind": "worker", "name": name, "digest": "d", "version": "v", "seen": seen, "every": 5 * time.Second, "refusal": name + " says no"})
		master.Do("HSET", "rsm:roles", "worker/"+name, string(text))
	}
	announce("fresh", time.Unix(seconds, 0))
	master.Do("HSET", "rsm:alerts:count", "firing", "2", "pending", "5")
	announce("late", time.Unix(seconds-60, 0))
	master.Do("HSET", reconcile.OperationsKey, "queue/gone", `{"Name":"gone"}`, "digest", "x")
	master.Do("HSET", reconcile.RegistrationKey, "box", "{}")
	master.Do("RPUSH", "rsm:{gone}:pending", "a", "b")
	master.Do("HSET", "rsm:{gone}:m", "a", "{}", "b", "{}", "dead", "{}")

	s := look(t, &observe.Observer{}, c)
	if s.Published == nil {
		t.Fatal("nothing is known of what is published")
	}
	equal(t, "why", s.Published.Why, "")
	equal(t, "queue", s.Published.Operations["queue/gone"], `{"Name":"gone"}`)
	equal(t, "role", s.Published.Roles["box"], "{}")
	equal(t, "tasks", s.Published.Backlog["gone"], 3)
	equal(t, "fresh", s.Roles["fresh"].Reach, reconcile.Up)
	equal(t, "its digest", s.Roles["fresh"].Digest, "d")
	equal(t, "its refusal", s.Roles["fresh"].Behind, "fresh says no")
	equal(t, "the refusal of one that is gone", s.Roles["late"].Behind, "")
	equal(t, "firing", s.Published.Firing, 2)
	equal(t, "late", s.Roles["late"].Reach, reconcile.Unknown)
	equal(t, "never", s.Roles["never"].Why, "it has not told Redis that it is there")
	if why := s.Roles["late"].Why; !strings.Contains(why, "told Redis that it is there 1m") {
		t.Errorf("late: %s", why)
	}
}

// TestPublishedElsewhere: a key of somebody else in the place of what is published is
// told, and never taken for nothing.
func TestPublishedElsewhere(t *testing.T) {
	t.Parallel()
	live := redistest.StartCluster(t, "ops", 1, 1)
	live.Redis[0].Do("SET", reconcile.OperationsKey, "mine")
	s := look(t, &observe.Observer{}, specOf(live))
	if s.Published == nil || !strings.Contains(s.Published.Why, "WRONGTYPE") {
		t.Errorf("got %+v", s.Published)
	}
	live.Redis[0].Kill()
	if s := look(t, &observe.Observer{}, specOf(live)); s.Published != nil {
		t.Errorf("with no master: %+v", s.Published)
	}
}
