package schema

import (
	"reflect"
	"strings"
	"testing"
)

const proxySpec = `package x

clusters: cache: {
	redis: {
		seed: "b"
		version: ">=6"
		nodes: {
			a: port: 7001
			b: {port: 7002, host: "h1"}
		}
	}
	sentinel: nodes: {
		s1: port: 8001
		s2: port: 8002
		s3: port: 8003
	}
	auth: password: env: "CACHE_PASSWORD"
}
clusters: cache: redis: nodes: [string]: host: "h1"
clusters: cache: sentinel: nodes: [string]: host: "h1"
hosts: h1: {address: "127.0.0.1", zone: "z1"}
proxies: {
	front: {listeners: main: port: 9001, admin: {port: 9002, token: file: "token"}}
	back: listeners: main: socket: "back.sock"
}
`

func loadText(t *testing.T, text string) *Spec {
	t.Helper()
	path := t.TempDir() + "/rsm.cue"
	write(t, path, text)
	spec, problems := Load(t.Context(), path, Limits{})
	if problems.Invalid() {
		t.Fatal(problems)
	}
	return spec
}

// TestProxyRole: the role has what the proxy needs, comes back from its file as
// it was, and is the same as long as the proxy would behave the same.
func TestProxyRole(t *testing.T) {
	t.Parallel()
	spec := loadText(t, proxySpec)
	role, err := spec.ProxyRole("front")
	if err != nil {
		t.Fatal(err)
	}
	if role.Proxy.Addr() != "127.0.0.1:9001" || role.Zone != "z1" || role.Zones["a"] != "z1" || len(role.Cluster.Redis.Nodes) != 2 {
		t.Errorf("got %+v", role)
	}
	content, err := role.Encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := DecodeProxyRole(content)
	if err != nil || !reflect.DeepEqual(back, role) {
		t.Errorf("%v: got %+v, want %+v", err, back, role)
	}
	if DigestOf(content) != role.Digest() {
		t.Error("the digest is not that of the file")
	}
	var secrets []string
	for _, s := range role.Secrets() {
		secrets = append(secrets, s.String())
	}
	if got := strings.Join(secrets, " "); !strings.HasPrefix(got, "env:CACHE_PASSWORD file:/") {
		t.Errorf("secrets are %s", got)
	}
	for old, same := range map[string]bool{`version: ">=6"`: true, `seed: "b"`: true, "port: 7001": false, "port: 9001": false, "9002": false} {
		text := strings.Replace(proxySpec, old, map[string]string{
			`version: ">=6"`: `version: ">=7", config: maxmemory: "1gb"`, `seed: "b"`: `seed: "a"`,
			"port: 7001": "port: 7003", "port: 9001": "port: 9003", "9002": "9004",
		}[old], 1)
		changed, err := loadText(t, text).ProxyRole("front")
		if err != nil {
			t.Fatal(err)
		}
		changed.Proxy.AdminToken = role.Proxy.AdminToken // another directory
		if (changed.Digest() == role.Digest()) != same {
			t.Errorf("%s changed: the same role: %v, want %v", old, !same, same)
		}
	}
}

// TestProxyRoleErrors: a name that is not there, and a file of a newer rsm.
func TestProxyRoleErrors(t *testing.T) {
	t.Parallel()
	spec := loadText(t, proxySpec)
	if _, err := spec.ProxyRole("frnt"); err == nil || !strings.Contains(err.Error(), "did you mean front?") {
		t.Errorf("got %v", err)
	}
	if _, err := DecodeProxyRole([]byte(`{"Proxy": {"Name": "x", "Newer": true}}`)); err == nil || !strings.Contains(err.Error(), "Newer") {
		t.Errorf("got %v", err)
	}
	back, err := spec.ProxyRole("back")
	if err != nil || back.Proxy.Addr() != "127.0.0.1:0" || !strings.HasSuffix(back.Proxy.Listeners[0].Socket, "/back.sock") {
		t.Errorf("%v: %+v", err, back)
	}
	if names := spec.Proxies(); len(names) != 2 || names[0].Name != "back" {
		t.Errorf("proxies are %+v", names)
	}
}

// TestParseSize: the units of redis.conf, and nothing that overflows.
func TestParseSize(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"1": 1, "5b": 5, "1k": 1000, "1kb": 1024, "64MB": 64 << 20, "2g": 2e9, "2Gb": 2 << 30,
		"": -1, "x": -1, "1t": -1, "k": -1, "99999999999gb": -1,
	} {
		got, ok := ParseSize(text)
		if ok != (want >= 0) || ok && got != want {
			t.Errorf("%q: %d, %v", text, got, ok)
		}
	}
}
