package reconcile

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"rsm/schema"
)

// TestDestroyProxiesFirst: clients lose their proxy before anything else stops.
func TestDestroyProxiesFirst(t *testing.T) {
	t.Parallel()
	c := withProxies(testCluster(2, 1), 2)
	s := healthy(c)
	s.Roles["p2"].stop()
	var order []string
	for _, step := range NewDestroy(c, s).Steps {
		order = append(order, step.Action.Subject())
		step.Action.apply(s)
		if !step.Action.Done(s) {
			t.Errorf("%s is not done", step.Action)
		}
	}
	if got := strings.Join(order, " "); got != "p1 s1 r2 r1" {
		t.Errorf("stopped %s", got)
	}
}

// TestSettingsDiffer: each setting that differs is named as the spec names it,
// and no secret can be among them.
func TestSettingsDiffer(t *testing.T) {
	t.Parallel()
	c := withProxies(testCluster(2, 1), 1)
	have, _ := c.ProxyRole("p1")
	want, _ := c.ProxyRole("p1")
	want.Proxy.Listeners = []schema.Listener{{Name: "main", Addr: "127.0.0.1:9001", MaxLag: time.Second, Deny: []string{"config|set", "get"},
		Rename: map[string]string{"x": "flushall"}, TLS: &schema.ServerTLS{Cert: "/cert"}}, {Name: "more", Socket: "/s", ReadOnly: true}}
	want.Proxy.AdminToken = &schema.Secret{Env: "TOKEN"}
	want.Cluster.Redis.Nodes = want.Cluster.Redis.Nodes[:1]
	var got []string
	for _, drift := range diffTold("p1", Told{Proxy: &have}, Told{Proxy: &want}) {
		got = append(got, drift.Field+": "+drift.Have+" > "+drift.Want)
	}
	if text := strings.Join(got, "\n"); text != `adminToken.env:  > TOKEN
cluster.redis.nodes.r2.addr: 127.0.0.1:7002 > nothing
cluster.redis.nodes.r2.host: local > nothing
cluster.redis.nodes.r2.name: r2 > nothing
cluster.redis.nodes.r2.priority: 100 > nothing
listeners.main.deny:  > [config|set get]
listeners.main.maxLag:  > 1s
listeners.main.rename.x:  > flushall
listeners.main.tls.cert:  > /cert
listeners.more.name:  > more
listeners.more.readOnly:  > true
listeners.more.socket:  > /s` {
		t.Errorf("got\n%s", text)
	}
}

// TestProxyStepsSurviveSaving: a saved plan starts and reloads the same proxies.
func TestProxyStepsSurviveSaving(t *testing.T) {
	t.Parallel()
	c := withProxies(testCluster(1, 1), 2)
	s := healthy(c)
	s.Roles["p1"].stop()
	role, _ := c.ProxyRole("p2")
	role.Proxy.MaxClients++
	s.Roles["p2"].start(Told{Proxy: &role})
	plan := NewPlan(c, s, nil)
	if got := texts(plan.Steps); got != "p1 start proxy on 127.0.0.1:9001; p2 reload its settings" {
		t.Fatalf("planned %s", got)
	}
	for _, step := range plan.Steps {
		text, err := json.Marshal(step)
		if err != nil {
			t.Fatal(err)
		}
		var back Step
		if err := json.Unmarshal(text, &back); err != nil || !reflect.DeepEqual(back.Action, step.Action) {
			t.Errorf("%v: got %+v, want %+v", err, back.Action, step.Action)
		}
	}
}
