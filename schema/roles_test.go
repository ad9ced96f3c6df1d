package schema

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

const operationsSpec = `package x

hosts: {
	h1: address: "127.0.0.1"
	h2: address: "127.0.0.2"
}
clusters: {
	cache: {
		redis: {config: appendonly: true, nodes: {
			a: {port: 7001, host: "h1"}
			b: {port: 7002, host: "h2"}
		}}
		sentinel: nodes: {
			s1: {port: 8001, host: "h1"}
			s2: {port: 8002, host: "h1"}
			s3: {port: 8003, host: "h2"}
		}
		auth: {password: env: "CACHE", sentinelPassword: file: "/etc/sentinel"}
	}
	other: {
		redis: nodes: {
			a: {port: 7003, host: "h1"}
			b: {port: 7004, host: "h2"}
		}
		sentinel: nodes: {
			s1: {port: 8004, host: "h1"}
			s2: {port: 8005, host: "h1"}
			s3: {port: 8006, host: "h2"}
		}
		auth: password: env: "OTHER"
	}
}
agents: {
	box: cluster: "cache"
	one: {cluster: "other", host: "h2"}
}
dispatchers: d1: {cluster: "cache", host: "h1"}
workers: {
	w1: {cluster: "cache", host: "h1", queues: ["default"]}
	w2: {cluster: "cache", host: "h2", queues: ["special"]}
}
proxies: front: {cluster: "cache", host: "h1", listeners: main: port: 9001}
queues: special: {cluster: "cache", tasks: x: {command: ["x"], secrets: X: env: "TASK"}}
handlers: {
	mail: {queue: "special", email: {server: "m:25", from: "a@b.example", to: ["c@d.example"], username: "u", password: env: "MAIL"}}
	chat: slack: url: env: "SLACK"
	hook: webhook: {to: "https://h.example", secret: file: "/etc/hook", headerSecrets: {A: env: "HEADER", B: env: "CACHE"}}
	report: report: mail: "mail"
}
rules: cpu: {expr: "cpu_usage > 90", receivers: ["mail"]}
`

// role is what every role can do.
type role interface {
	Secrets() []Secret
	Digest() string
	Encode() ([]byte, error)
}

// find returns a role of any kind.
func find(t *testing.T, spec *Spec, kind, name string) role {
	t.Helper()
	var found role
	var err error
	switch kind {
	case "agent":
		found, err = spec.AgentRole(name)
	case "dispatcher":
		found, err = spec.DispatcherRole(name)
	case "worker":
		found, err = spec.WorkerRole(name)
	case "proxy":
		found, err = spec.ProxyRole(name)
	}
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestRoles: each role has what it needs, and comes back from its file as it was.
func TestRoles(t *testing.T) {
	t.Parallel()
	spec := loadText(t, operationsSpec)
	for name, want := range map[string]string{
		"agent box-h1":  "env:CACHE file:/etc/sentinel env:OTHER",
		"agent one":     "env:OTHER env:CACHE file:/etc/sentinel",
		"dispatcher d1": "env:CACHE file:/etc/sentinel",
		"worker w1":     "env:CACHE file:/etc/sentinel env:HEADER env:MAIL env:SLACK",
		"worker w2":     "env:CACHE file:/etc/sentinel env:MAIL env:TASK",
	} {
		kind, name, _ := strings.Cut(name, " ")
		r := find(t, spec, kind, name)
		var secrets []string
		for _, s := range r.Secrets() {
			secrets = append(secrets, s.String())
		}
		if got := strings.Join(secrets, " "); got != want {
			t.Errorf("%s reads %s, want %s", name, got, want)
		}
		content, err := r.Encode()
		back := reflect.New(reflect.TypeOf(r))
		if err == nil {
			err = Decode(content, back.Interface())
		}
		if err != nil || !reflect.DeepEqual(back.Elem().Interface(), r) || r.Digest() != DigestOf(content) {
			t.Errorf("%s: %v: got %+v, want %+v", name, err, back.Elem(), r)
		}
	}
	agent, _ := spec.AgentRole("box-h2")
	var nodes []string
	for _, n := range agent.Agent.Nodes {
		nodes = append(nodes, n.Cluster+"."+n.Name)
	}
	if got := strings.Join(nodes, " "); got != "cache.b cache.s3 other.b other.s3" {
		t.Errorf("an agent of h2 asks %s", got)
	}
	if len(agent.Access.Sentinels) != 3 || agent.Access.Cluster != "cache" || agent.Agent.Address != "127.0.0.2" {
		t.Errorf("got %+v", agent)
	}
	if at := spec.Positions["agents.box-h2"]; at != spec.Positions["agents.box"] || at == "" {
		t.Errorf("box-h2 is declared at %q", at)
	}
}

// TestRoleNames: an unknown name is an error that suggests another.
func TestRoleNames(t *testing.T) {
	t.Parallel()
	spec := loadText(t, operationsSpec)
	_, agent := spec.AgentRole("box-h")
	_, dispatcher := spec.DispatcherRole("d")
	_, worker := spec.WorkerRole("nothing")
	_, proxy := spec.ProxyRole("frnt")
	for got, want := range map[error]string{
		agent:      `there is no agent "box-h", did you mean box-h1?`,
		dispatcher: `there is no dispatcher "d", did you mean d1?`,
		worker:     `there is no worker "nothing"`,
		proxy:      `there is no proxy "frnt", did you mean front?`,
	} {
		if got == nil || got.Error() != want {
			t.Errorf("got %v, want %s", got, want)
		}
	}
}

// TestRoleChanges: a role is another only when its process would do something else.
// Queues, handlers and rules are followed without a restart.
func TestRoleChanges(t *testing.T) {
	t.Parallel()
	before := loadText(t, operationsSpec)
	roles := []string{"agent box-h1", "agent one", "dispatcher d1", "worker w1", "worker w2", "proxy front"}
	for change, want := range map[[2]string]string{
		{"cpu_usage > 90", "cpu_usage > 80"}:                                 "",
		{`special: {`, `special: {rate: 5, `}:                                "",
		{`env: "TASK"`, `env: "TASK2"`}:                                      "worker w2",
		{`env: "SLACK"`, `env: "SLACK2"`}:                                    "worker w1",
		{`dispatchers: d1: {`, `dispatchers: d1: {silent: 5, `}:              "dispatcher d1",
		{`one: {cluster`, `one: {outbox: 5, cluster`}:                        "agent one",
		{"port: 7004", "port: 7005"}:                                         "agent one",
		{"config: appendonly: true", `config: {appendonly: true, save: ""}`}: "",
	} {
		after := loadText(t, strings.Replace(operationsSpec, change[0], change[1], 1))
		var changed []string
		for _, r := range roles {
			kind, name, _ := strings.Cut(r, " ")
			if find(t, before, kind, name).Digest() != find(t, after, kind, name).Digest() {
				changed = append(changed, r)
			}
		}
		if got := strings.Join(changed, ", "); got != want {
			t.Errorf("%s changes %q, want %q", change[1], got, want)
		}
	}
}

// TestItems: operations come back from Redis as they were, and their digest changes
// with any of them.
func TestItems(t *testing.T) {
	t.Parallel()
	o := loadText(t, operationsSpec).Cluster("cache").Operations
	items := o.Items()
	var names []string
	for _, name := range []string{"queue/default", "queue/special", "handler/mail", "handler/chat", "handler/hook", "handler/report", "rule/cpu"} {
		if items[name] == "" || !json.Valid([]byte(items[name])) || strings.Contains(items[name], "\n") {
			t.Errorf("%s is %q", name, items[name])
		}
		names = append(names, name)
	}
	if len(items) != len(names) {
		t.Errorf("got %d items", len(items))
	}
	back, err := OperationsOf(items)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(back.Items(), items) || back.Digest() != o.Digest() || len(o.Digest()) != 64 {
		t.Errorf("got %+v, want %+v", back, o)
	}
	back.Rules[0].Severity = "critical"
	if back.Digest() == o.Digest() || (Operations{}).Digest() == o.Digest() {
		t.Error("another rule has the same digest")
	}
	for item, content := range map[string]string{
		"rule/x": `{"Name":"x","Frobnicate":1}`, "queue/x": `{"Name":"y"}`, "handler/x": `{`, "other/x": `{}`, "rule": `{}`,
	} {
		if _, err := OperationsOf(map[string]string{item: content}); err == nil || !strings.Contains(err.Error(), item+": ") {
			t.Errorf("%s %s: %v", item, content, err)
		}
	}
}

// TestQueueCluster: a queue knows its cluster, also in a spec of another process.
func TestQueueCluster(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/rsm.cue"
	write(t, path, operationsSpec)
	want, _ := Load(t.Context(), path, Limits{})
	got, problems := LoadIsolated(t.Context(), self(t, "evaluate"), path, Limits{})
	if got == nil || got.Cluster("cache").Operations.Queues[1].Cluster != "cache" {
		t.Fatalf("got %+v, %v", got, problems)
	}
	if !reflect.DeepEqual(got.Clusters, want.Clusters) {
		t.Errorf("got %+v, want %+v", got.Clusters[0], want.Clusters[0])
	}
}
