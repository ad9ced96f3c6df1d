package execute_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"rsm/internal/redistest"
	"rsm/reconcile"
	"rsm/reconcile/execute"
	"rsm/schema"
)

func do(t *testing.T, e *execute.Executor, action reconcile.Action) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	return e.Do(ctx, action)
}

func must(t *testing.T, e *execute.Executor, action reconcile.Action) {
	t.Helper()
	if err := do(t, e, action); err != nil {
		t.Fatal(err)
	}
}

func secretFile(t *testing.T, value string) *schema.Secret {
	t.Helper()
	path := t.TempDir() + "/secret"
	if err := os.WriteFile(path, []byte(value+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return &schema.Secret{File: path}
}

// addr is where a server listens, as the spec writes it.
func addr(s interface{ Addr() string }) schema.Addr { return schema.Addr(s.Addr()) }

func TestConfigSet(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	must(t, &execute.Executor{}, reconcile.ConfigSet{Node: "r1", Addr: addr(server), Key: "maxmemory", Value: "64mb"})
	server.Restart()
	if have := server.Info("maxmemory"); have != "67108864" {
		t.Errorf("maxmemory is %s after a restart", have)
	}
	err := do(t, &execute.Executor{}, reconcile.ConfigSet{Node: "r1", Addr: addr(server), Key: "maxmemory", Value: "much"})
	var refused *execute.Refused
	if !errors.As(err, &refused) || !strings.HasPrefix(err.Error(), server.Addr()+": CONFIG SET maxmemory much: ERR ") {
		t.Errorf("error is %v", err)
	}
}

func TestReplicateAndPromote(t *testing.T) {
	t.Parallel()
	master, replica := redistest.Start(t), redistest.Start(t)
	must(t, &execute.Executor{}, reconcile.Replicate{Node: "r2", Addr: addr(replica), Master: addr(master)})
	redistest.Wait(t, 10*time.Second, redistest.Want("link", "up", func() string { return replica.Info("master_link_status") }))
	if have := replica.Info("master_port"); have != strconv.Itoa(master.Port()) {
		t.Errorf("it follows port %s", have)
	}
	must(t, &execute.Executor{}, reconcile.Promote{Node: "r2", Addr: addr(replica)})
	replica.Restart()
	if have := replica.Info("role"); have != "master" {
		t.Errorf("role is %s after a restart", have)
	}
}

func TestSentinelActions(t *testing.T) {
	t.Parallel()
	const password = "correct-horse"
	master, other := redistest.Start(t, "requirepass "+password), redistest.Start(t)
	sentinel := redistest.StartSentinel(t)
	e := &execute.Executor{}
	monitor := reconcile.Monitor{
		Sentinel: "s1", Addr: addr(sentinel), Cluster: "cache", Master: addr(other), Quorum: 1,
		DownAfter: 1500 * time.Millisecond, FailoverTimeout: 7 * time.Second, ParallelSyncs: 2,
	}
	must(t, e, monitor)
	monitor.Replace, monitor.Master, monitor.Password = true, addr(master), secretFile(t, password)
	must(t, e, monitor)
	redistest.Wait(t, 10*time.Second, redistest.Want("info age known", true, func() bool {
		return sentinel.Master("cache")["flags"] == "master" && sentinel.Master("cache")["runid"] != ""
	}))
	wantFields(t, sentinel, map[string]string{
		"port": strconv.Itoa(master.Port()), "quorum": "1", "down-after-milliseconds": "1500",
		"failover-timeout": "7000", "parallel-syncs": "2",
	})
	if config := readFile(t, sentinel.Config); !strings.Contains(config, "auth-pass cache") {
		t.Errorf("no auth-pass in %s", config)
	}
	must(t, e, reconcile.SetSentinel{Sentinel: "s1", Addr: addr(sentinel), Cluster: "cache", Option: "quorum", Value: "3"})
	wantFields(t, sentinel, map[string]string{"quorum": "3"})
}

func wantFields(t *testing.T, sentinel *redistest.Server, want map[string]string) {
	t.Helper()
	have := sentinel.Master("cache")
	for field, value := range want {
		if have[field] != value {
			t.Errorf("%s is %q, want %q", field, have[field], value)
		}
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestResetSentinel(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, "cache", 2, 3)
	c.Redis[1].Kill()
	must(t, &execute.Executor{}, reconcile.ResetSentinel{Sentinel: "s1", Addr: addr(c.Sentinels[0]), Cluster: "cache"})
	if have := c.Sentinels[0].Master("cache")["num-slaves"]; have != "0" {
		t.Errorf("it still knows %s replicas", have)
	}
}

// TestPasswords: each kind of server gets its own, and a wrong one is an error
// that names neither.
func TestPasswords(t *testing.T) {
	t.Parallel()
	const redisPassword, sentinelPassword = "correct-horse", "battery-staple"
	auth := schema.Auth{Password: secretFile(t, redisPassword), SentinelPassword: secretFile(t, sentinelPassword)}
	server := redistest.Start(t, "requirepass "+redisPassword)
	sentinel := redistest.StartSentinel(t, "requirepass "+sentinelPassword, "sentinel monitor cache 127.0.0.1 1 1")
	set := reconcile.ConfigSet{Node: "r1", Addr: addr(server), Key: "maxmemory", Value: "64mb"}
	setSentinel := reconcile.SetSentinel{Sentinel: "s1", Addr: addr(sentinel), Cluster: "cache", Option: "quorum", Value: "2"}
	must(t, &execute.Executor{Auth: auth}, set)
	must(t, &execute.Executor{Auth: auth}, setSentinel)
	swapped := schema.Auth{Password: auth.SentinelPassword, SentinelPassword: auth.Password}
	for name, test := range map[string]struct {
		auth   schema.Auth
		action reconcile.Action
		want   string
	}{
		"wrong":          {swapped, set, server.Addr() + ": CONFIG SET maxmemory 64mb: WRONGPASS"},
		"none":           {schema.Auth{}, set, server.Addr() + ": CONFIG SET maxmemory 64mb: NOAUTH"},
		"wrong sentinel": {swapped, setSentinel, sentinel.Addr() + ": SENTINEL SET cache quorum 2: WRONGPASS"},
		"unreadable": {schema.Auth{Password: &schema.Secret{File: "/does/not/exist"}}, set,
			server.Addr() + ": read secret: open /does/not/exist"},
	} {
		err := do(t, &execute.Executor{Auth: test.auth}, test.action)
		if err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%s: error is %v, want %s", name, err, test.want)
		}
		noSecret(t, err, redisPassword, sentinelPassword)
	}
}

func noSecret(t *testing.T, err error, secrets ...string) {
	t.Helper()
	for _, secret := range secrets {
		if strings.Contains(fmt.Sprintf("%v %+v", err, err), secret) {
			t.Errorf("error holds the secret %s: %v", secret, err)
		}
	}
}

// TestEchoedSecret: servers quote what they refuse.
func TestEchoedSecret(t *testing.T) {
	t.Parallel()
	const password, login = "correct-horse", "battery-staple"
	fake := redistest.StartFake(t, func(args []string) redistest.Reply {
		if args[0] == "SENTINEL" && args[1] == "SET" || args[0] == "HELLO" {
			return redistest.Err("ERR Invalid argument " + strings.Join(args, " "))
		}
		if args[0] == "SENTINEL" {
			return redistest.Simple("OK")
		}
		return redistest.Reply{}
	})
	e := &execute.Executor{Auth: schema.Auth{SentinelPassword: secretFile(t, login)}}
	err := do(t, e, reconcile.Monitor{Addr: addr(fake), Cluster: "cache", Master: "10.0.0.1:6379", Quorum: 2, Password: secretFile(t, password)})
	noSecret(t, err, password, login)
	if err == nil || !strings.Contains(err.Error(), "SENTINEL SET cache auth-pass: ERR Invalid argument SENTINEL SET cache auth-pass <file:") {
		t.Errorf("error is %v", err)
	}
	seen := fake.Seen()
	if last := seen[len(seen)-1]; last != "SENTINEL SET cache auth-pass "+password {
		t.Errorf("it sent %q last, after a refusal nothing may follow", last)
	}
}

// TestSendsExactlyTheCommands holds that what a plan shows is what is sent, in
// order and on one connection.
func TestSendsExactlyTheCommands(t *testing.T) {
	t.Parallel()
	fake := redistest.StartFake(t, func(args []string) redistest.Reply {
		if args[0] == "SENTINEL" || args[0] == "CONFIG" || args[0] == "REPLICAOF" {
			return redistest.Simple("OK")
		}
		return redistest.Reply{}
	})
	for _, action := range []reconcile.Action{
		reconcile.Monitor{Addr: addr(fake), Cluster: "c", Master: "[::1]:6379", Quorum: 2, DownAfter: time.Second, ParallelSyncs: 1, Replace: true},
		reconcile.Replicate{Addr: addr(fake), Master: "[::1]:6379"},
		reconcile.ConfigSet{Addr: addr(fake), Key: "save", Value: ""},
	} {
		before := len(fake.Seen())
		must(t, &execute.Executor{}, action)
		var sent, want []string
		hellos := 0
		for _, command := range fake.Seen()[before:] {
			switch {
			case strings.HasPrefix(command, "HELLO"):
				hellos++
			case !strings.HasPrefix(strings.ToUpper(command), "CLIENT"):
				sent = append(sent, command)
			}
		}
		for _, command := range action.Commands() {
			want = append(want, strings.Join(command.Args, " "))
		}
		if !slices.Equal(sent, want) || hellos != 1 {
			t.Errorf("%T sent %q on %d connections, want %q", action, sent, hellos, want)
		}
	}
}

// TestRewriteWithoutFile: a server started without a configuration file is
// changed nonetheless; any other refusal of CONFIG REWRITE is an error.
func TestRewriteWithoutFile(t *testing.T) {
	t.Parallel()
	for reply, tolerated := range map[string]bool{
		"ERR The server is running without a config file":      true,
		"ERR Rewriting config file: Permission denied":         false,
		"NOPERM this user has no permissions to run 'config|x": false,
	} {
		fake := redistest.StartFake(t, func(args []string) redistest.Reply {
			switch {
			case args[0] == "CONFIG" && args[1] == "REWRITE":
				return redistest.Err(reply)
			case args[0] == "CONFIG":
				return redistest.Simple("OK")
			}
			return redistest.Reply{}
		})
		err := do(t, &execute.Executor{}, reconcile.ConfigSet{Addr: addr(fake), Key: "maxmemory", Value: "1"})
		if tolerated != (err == nil) {
			t.Errorf("%s: error is %v", reply, err)
		}
	}
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	server.Pause()
	defer server.Resume()
	start := time.Now()
	err := do(t, &execute.Executor{Timeout: 300 * time.Millisecond}, reconcile.Promote{Addr: addr(server)})
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 2*time.Second {
		t.Errorf("after %s: %v", time.Since(start), err)
	}
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	at := schema.NewAddr("127.0.0.1", redistest.Ports(t, 1)[0])
	err := do(t, &execute.Executor{}, reconcile.Promote{Addr: at})
	if err == nil || !strings.HasPrefix(err.Error(), string(at)+": connect: ") {
		t.Errorf("error is %v", err)
	}
}

// alien is an action of no known type.
type alien struct{ reconcile.Action }

func TestUnknownAndWaitingActions(t *testing.T) {
	t.Parallel()
	e := &execute.Executor{}
	for _, action := range []reconcile.Action{alien{}, nil} {
		if err := do(t, e, action); err == nil {
			t.Errorf("%T is performed", action)
		}
	}
	for _, action := range []reconcile.Action{
		reconcile.WaitSync{}, reconcile.WaitFailover{}, reconcile.WaitGossip{}, reconcile.WaitKnown{},
	} {
		must(t, e, action)
	}
}
