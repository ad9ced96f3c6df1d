package observe_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"rsm/internal/redistest"
	"rsm/reconcile"
	"rsm/reconcile/observe"
	"rsm/schema"
)

func connect(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		t.Fatal(err)
	}
	return conn
}

const (
	redisInfo = "# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\nrun_id:abc\r\n" +
		"role:slave\r\nmaster_host:10.0.0.1\r\nmaster_port:6379\r\nslave_read_only:0\r\n"
	sentinelInfo = "# Server\r\nredis_version:7.0.15\r\nredis_mode:sentinel\r\nsentinel_tilt:1\r\n"
)

// bad are replies that a server should not give, or not here.
var bad = map[string]redistest.Reply{
	"error":     redistest.Err("MISCONF Redis is configured to save RDB snapshots, but ..."),
	"loading":   redistest.Err("LOADING Redis is loading the dataset in memory"),
	"noperm":    redistest.Err("NOPERM this user has no permissions"),
	"null":      redistest.Null(),
	"null list": redistest.Raw("*-1\r\n"),
	"int":       redistest.Int(7),
	"empty":     redistest.Bulk(""),
	"list":      redistest.Bulks("odd"),
	"nested":    redistest.Array(redistest.Array(redistest.Int(1)), redistest.Null(), redistest.Err("ERR inside")),
	"garbage":   redistest.Raw("<html>\r\n\r\n"),
	"line":      redistest.Raw("\r\n"),
	"huge bulk": redistest.Raw("$9223372036854775807\r\n"),
	"huge list": redistest.Raw("*9223372036854775807\r\n"),
	"hang up":   redistest.Close(),
}

// TestBadReplies is W9 and W10: whatever one command is answered, for every
// command of both probes, nothing crashes, and a server is never called down.
func TestBadReplies(t *testing.T) {
	t.Parallel()
	good := map[string]redistest.Reply{
		"HELLO": redistest.Bulks("server", "redis"), "CLIENT SETNAME": redistest.Simple("OK"),
		"CLIENT LIST": redistest.Bulk("id=1 name= flags=N\n"), "CONFIG GET": redistest.Bulks("replica-priority", "100"),
		"SENTINEL MYID": redistest.Bulk("me"), "SENTINEL CKQUORUM": redistest.Simple("OK"),
		"SENTINEL MASTER":    redistest.Bulks("ip", "10.0.0.1", "port", "6379"),
		"SENTINEL REPLICAS":  redistest.Array(redistest.Bulks("ip", "10.0.0.2", "port", "6379")),
		"SENTINEL SENTINELS": redistest.Array(),
	}
	for what, reply := range bad {
		for _, kind := range []string{redisInfo, sentinelInfo} {
			for _, command := range append([]string{"INFO"}, keysOf(good)...) {
				t.Run(fmt.Sprintf("%s to %s of %t", what, command, kind == redisInfo), func(t *testing.T) {
					t.Parallel()
					fake := redistest.StartFake(t, func(args []string) redistest.Reply {
						name := strings.Join(args[:min(len(args), 2)], " ")
						switch {
						case args[0] == command || name == command:
							return reply
						case args[0] == "INFO":
							return redistest.Bulk(kind)
						case args[0] == "HELLO":
							return good["HELLO"]
						}
						return good[name]
					})
					spec := one(fake.Addr(), map[string]string{"maxmemory": "1mb"})
					if kind == sentinelInfo {
						spec = oneSentinel(fake.Addr())
					}
					reach, why := only(look(t, &observe.Observer{Timeout: 5 * time.Second}, spec))
					if reach == reconcile.Down || reach == "" || reach == reconcile.Unknown && why == "" {
						t.Errorf("reach %q, why %q", reach, why)
					}
				})
			}
		}
	}
}

func keysOf[V any](m map[string]V) []string {
	var keys []string
	for key := range m {
		keys = append(keys, key)
	}
	return keys
}

// TestHalfAnAnswerIsNone: a Sentinel that does not list its replicas is not one
// that has none.
func TestHalfAnAnswerIsNone(t *testing.T) {
	t.Parallel()
	fake := redistest.StartFake(t, func(args []string) redistest.Reply {
		switch strings.Join(args[:min(len(args), 2)], " ") {
		case "INFO":
			return redistest.Bulk(sentinelInfo)
		case "SENTINEL MASTER":
			return redistest.Bulks("ip", "10.0.0.1", "port", "6379")
		}
		return redistest.Err("NOPERM no")
	})
	s := look(t, &observe.Observer{}, oneSentinel(fake.Addr())).Sentinels["s1"]
	equal(t, "reach", s.Reach, reconcile.Unknown)
	equal(t, "why", s.Why, "NOPERM no The default user lacks rights that rsm needs")
	equal(t, "master", s.Master, "")
}

// TestRefusedConfigGet: a directive that cannot be read is reported, not missing.
func TestRefusedConfigGet(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "rename-command CONFIG HIDDEN")
	r := look(t, &observe.Observer{}, one(server.Addr(), map[string]string{"maxmemory": "1mb"})).Redis["r1"]
	equal(t, "reach", r.Reach, reconcile.Up)
	if !strings.HasPrefix(r.BadConfig["maxmemory"], "CONFIG GET: ERR unknown command") {
		t.Errorf("bad config is %v", r.BadConfig)
	}
}

// TestBigInfo is W11: INFO beyond 4 KiB, up to what error statistics can make of it.
func TestBigInfo(t *testing.T) {
	t.Parallel()
	filler := strings.Repeat("errorstat_X:count=1\r\n", 20_000)
	fake := redistest.StartFake(t, func(args []string) redistest.Reply {
		if args[0] == "INFO" {
			return redistest.Bulk(redisInfo + filler + "# Keyspace\r\ndb0:keys=41,expires=0,avg_ttl=0\r\ndb12:keys=1,expires=0,avg_ttl=0\r\n")
		}
		return redistest.Reply{}
	})
	r := look(t, &observe.Observer{}, one(fake.Addr(), nil)).Redis["r1"]
	equal(t, "keys", r.Keys, 42)
}

// TestTurnedAway: a server that refuses clients says why before it hangs up.
func TestTurnedAway(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	server.Do("CONFIG", "SET", "maxclients", "1")
	conn := connect(t, server.Addr())
	defer conn.Close()
	redistest.Wait(t, 5*time.Second, func() error {
		reach, why := only(look(t, &observe.Observer{}, one(server.Addr(), nil)))
		if reach != reconcile.Unknown || why != "ERR max number of clients reached" {
			return fmt.Errorf("reach %q, why %q", reach, why)
		}
		return nil
	})
}

func TestPasswords(t *testing.T) {
	t.Parallel()
	const password = "correct-horse"
	right, wrong := secretFile(t, password), secretFile(t, "battery-staple")
	server, sentinel := redistest.Start(t), redistest.StartSentinel(t)
	server.Do("CONFIG", "SET", "requirepass", password)
	locked := redistest.StartSentinel(t, "requirepass "+password)
	for _, test := range []struct {
		name     string
		spec     *schema.Cluster
		auth     schema.Auth
		reach    reconcile.Reach
		contains string
	}{
		{"right", one(server.Addr(), nil), schema.Auth{Password: right}, reconcile.Up, ""},
		{"wrong", one(server.Addr(), nil), schema.Auth{Password: wrong}, reconcile.Unknown, "WRONGPASS"},
		{"wrong names the reference", one(server.Addr(), nil), schema.Auth{Password: wrong}, reconcile.Unknown, wrong.String()},
		{"none", one(server.Addr(), nil), schema.Auth{}, reconcile.Unknown, "add it under auth"},
		{"sentinel's is another", oneSentinel(locked.Addr()), schema.Auth{Password: right}, reconcile.Unknown, "NOAUTH"},
		{"sentinel right", oneSentinel(locked.Addr()), schema.Auth{SentinelPassword: right}, reconcile.Up, ""},
		{"open server", oneSentinel(sentinel.Addr()), schema.Auth{SentinelPassword: right}, reconcile.Up, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.spec.Auth = test.auth
			reach, why := only(look(t, &observe.Observer{}, test.spec))
			equal(t, "reach", reach, test.reach)
			if !strings.Contains(why, test.contains) || strings.Contains(why, "staple") {
				t.Errorf("why is %q, want %q in it", why, test.contains)
			}
		})
	}
}

// TestEchoedPassword: old servers quote the arguments of unknown commands.
func TestEchoedPassword(t *testing.T) {
	t.Parallel()
	fake := redistest.StartFake(t, func(args []string) redistest.Reply {
		return redistest.Err("ERR unknown command, with args beginning with: " + strings.Join(args, ", "))
	})
	spec := one(fake.Addr(), nil)
	spec.Auth.Password = secretFile(t, "hunter2")
	reach, why := only(look(t, &observe.Observer{}, spec))
	equal(t, "reach", reach, reconcile.Unknown)
	if strings.Contains(why, "hunter2") || !strings.Contains(why, "<file:") {
		t.Errorf("why is %q", why)
	}
}

func TestUnreadableSecret(t *testing.T) {
	t.Parallel()
	spec := one("127.0.0.1:1", nil)
	spec.Auth.Password = &schema.Secret{File: t.TempDir() + "/absent"}
	_, err := (&observe.Observer{}).Observe(t.Context(), spec)
	var secret *observe.SecretError
	if !errors.As(err, &secret) || !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("error is %v", err)
	}
	equal(t, "field", secret.Field, "auth.password")
	if !strings.Contains(err.Error(), "/absent") || !strings.Contains(err.Error(), "observe cache: auth.password") {
		t.Errorf("error is %v", err)
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

// TestLoading: a server that reads its data set is up, and says so; it is not
// taken for an empty one that may be overwritten.
func TestLoading(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "enable-debug-command yes", "loading-process-events-interval-bytes 1024", "rdbcompression no")
	server.Do("DEBUG", "POPULATE", "3000", "key", "500")
	server.Do("SAVE")
	config, err := os.ReadFile(server.Config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(server.Config, append(config, "key-load-delay 1000\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	server.Restart()
	r := look(t, &observe.Observer{}, one(server.Addr(), map[string]string{"maxmemory": "0"})).Redis["r1"]
	equal(t, "reach", r.Reach, reconcile.Up)
	equal(t, "loading", r.Loading, true)
	equal(t, "maxmemory", r.Config["maxmemory"], "0")
	redistest.Wait(t, 15*time.Second, redistest.Want("keys", 3000, func() int64 {
		r := look(t, &observe.Observer{}, one(server.Addr(), nil)).Redis["r1"]
		if r.Loading {
			return -1
		}
		return r.Keys
	}))
}
