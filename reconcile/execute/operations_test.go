package execute_test

import (
	"strings"
	"testing"

	"rsm/internal/redistest"
	"rsm/reconcile"
	"rsm/reconcile/execute"
)

// TestPublishOperations: all of it is written, or nothing.
func TestPublishOperations(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	server.Do("HSET", reconcile.OperationsKey, "rule/old", "{}", "rule/kept", "{}")
	action := reconcile.PublishOperations{Addr: addr(server), Remove: []string{"rule/old"},
		Set: map[string]string{"rule/new": `{"Name":"new"}`, "digest": "abc"}, SetRoles: map[string]string{"w1": `{"kind":"worker"}`}}
	must(t, &execute.Executor{}, action)
	have := server.Do("HGETALL", reconcile.OperationsKey).([]any)
	if len(have) != 6 || server.Do("HGET", reconcile.OperationsKey, "rule/new") != `{"Name":"new"}` || server.Do("HGET", reconcile.RegistrationKey, "w1") != `{"kind":"worker"}` {
		t.Errorf("it holds %v", have)
	}

	server.Do("CONFIG", "SET", "maxmemory", "1", "maxmemory-policy", "noeviction")
	action.Set["rule/more"] = "{}"
	err := do(t, &execute.Executor{}, action)
	if err == nil || !strings.Contains(err.Error(), "OOM") {
		t.Errorf("without memory: %v", err)
	}
	if n := server.Do("HEXISTS", reconcile.OperationsKey, "rule/more"); n != int64(0) {
		t.Error("a part of it was written")
	}
}
