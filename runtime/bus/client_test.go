package bus

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"rsm/internal/redistest"
	"rsm/schema"
)

func access(c *redistest.Cluster) schema.Access {
	a := schema.Access{Cluster: c.Name}
	for _, sentinel := range c.Sentinels {
		a.Sentinels = append(a.Sentinels, schema.Addr(sentinel.Addr()))
	}
	return a
}

func connect(t *testing.T, a schema.Access, o Options) *Client {
	t.Helper()
	client, err := Connect(a, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func single(t *testing.T, server *redistest.Server) *Client {
	t.Helper()
	return connect(t, schema.Access{}, Options{Addr: schema.Addr(server.Addr())})
}

// A reader that blocks and a publisher go on after the end of the master, and the
// stream has every event.
func TestFailover(t *testing.T) {
	t.Parallel()
	ends := map[string]func(*redistest.Server){"killed": (*redistest.Server).Kill, "frozen": (*redistest.Server).Pause}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := redistest.StartCluster(t, "ops", 2, 3)
			client := connect(t, access(cluster), Options{Name: "rsm-test"})
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			blocked := make(chan error, 1)
			go func() { blocked <- client.BLPop(ctx, 45*time.Second, "never").Err() }()
			redistest.Wait(t, 5*time.Second, redistest.Want("a blocked client", "1",
				func() string { return cluster.Redis[0].Info("blocked_clients") }))
			sent := publishWhile(t, ctx, connect(t, access(cluster), Options{Unwatched: true, PoolSize: 1}), func() {
				end(cluster.Redis[0])
				select {
				case err := <-blocked:
					if err == nil {
						t.Error("a reader of a master that is gone has a result")
					}
				case <-time.After(30 * time.Second):
					t.Error("the reader still waits for a master that is gone")
				}
				redistest.Wait(t, 10*time.Second, redistest.Want("master", schema.Addr(cluster.Redis[1].Addr()), func() schema.Addr {
					_ = client.Ping(ctx).Err()
					return client.Master()
				}))
			})
			entries, err := client.XRange(ctx, Stream, "-", "+").Result()
			if err != nil {
				t.Fatal(err)
			}
			found := map[any]bool{}
			for _, entry := range entries {
				found[entry.Values["j"]] = true
			}
			for _, event := range sent {
				if !found[event] {
					t.Errorf("%s is not in the stream of the new master", event)
				}
			}
			t.Logf("%d events, %d entries", len(sent), len(entries))
		})
	}
}

// publishWhile publishes an event every 5 ms while act runs and until five more
// are through; each is sent again until it is, and counts once a replica could
// have it, too.
func publishWhile(t *testing.T, ctx context.Context, client *Client, act func()) (sent []string) {
	t.Helper()
	var done sync.WaitGroup
	over := make(chan struct{})
	done.Go(func() { act(); close(over) })
	for i, left := 0, 5; left > 0; i++ {
		event := fmt.Sprintf(`{"id":"%d"}`, i)
		for !delivered(ctx, client, event) {
			if ctx.Err() != nil {
				t.Fatal("no master takes events")
			}
		}
		sent = append(sent, event)
		select {
		case <-over:
			left--
		case <-time.After(5 * time.Millisecond):
		}
	}
	done.Wait()
	return sent
}

func delivered(ctx context.Context, client *Client, event string) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return Publish(ctx, client, 0, []byte(event)) == nil
}

func TestPasswords(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "requirepass right")
	secret := filepath.Join(t.TempDir(), "password")
	write := func(text string) {
		if err := os.WriteFile(secret, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("wrong")
	client := connect(t, schema.Access{Auth: schema.Auth{Password: &schema.Secret{File: secret}}},
		Options{Addr: schema.Addr(server.Addr())})
	err := client.Ping(t.Context()).Err()
	want := "connect to the master " + server.Addr() + ": AUTH: WRONGPASS"
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("wrong password: %v, want %s", err, want)
	}
	write("right") // secrets are read for each connection
	redistest.Wait(t, 5*time.Second, func() error { return client.Ping(t.Context()).Err() })
	if err := os.Remove(secret); err != nil {
		t.Fatal(err)
	}
	other := connect(t, schema.Access{Auth: schema.Auth{Password: &schema.Secret{File: secret}}},
		Options{Addr: schema.Addr(server.Addr())})
	if err := other.Ping(t.Context()).Err(); err == nil || !strings.Contains(err.Error(), "read secret") {
		t.Errorf("no secret: %v", err)
	}
}

func TestNoSentinelTells(t *testing.T) {
	t.Parallel()
	if _, err := Connect(schema.Access{Cluster: "ops"}, Options{}); err == nil {
		t.Error("connected without Sentinels")
	}
	stranger := redistest.StartFake(t, func(args []string) redistest.Reply {
		if args[0] == "SENTINEL" {
			return redistest.Raw("*-1\r\n")
		}
		return redistest.Reply{}
	})
	silent := redistest.StartFake(t, func([]string) redistest.Reply { return redistest.Hang() })
	gone := fmt.Sprintf("127.0.0.1:%d", redistest.Ports(t, 1)[0])
	client := connect(t, schema.Access{Cluster: "ops",
		Sentinels: []schema.Addr{schema.Addr(stranger.Addr()), schema.Addr(silent.Addr()), schema.Addr(gone)}}, Options{})
	start := time.Now()
	err := client.Ping(t.Context()).Err()
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"find the master of ops: no Sentinel tells: ", stranger.Addr() + ": it does not know ops",
		silent.Addr() + ": no answer in time", gone + ": connect: connection refused"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nwant %s", err, want)
		}
	}
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("the error took %s", took)
	}
}

// A server that says of itself that it is a replica is not used, whatever a
// Sentinel says; the next connection asks again.
func TestReplicaIsNotUsed(t *testing.T) {
	t.Parallel()
	master := redistest.Start(t)
	replica := redistest.Start(t, fmt.Sprintf("replicaof 127.0.0.1 %d", master.Port()))
	var mu sync.Mutex
	says := replica
	sentinel := redistest.StartFake(t, func(args []string) redistest.Reply {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case args[0] == "SENTINEL" && args[1] == "MASTER":
			return redistest.Bulks("name", "ops", "config-epoch", "3")
		case args[0] == "SENTINEL":
			return redistest.Bulks("127.0.0.1", fmt.Sprint(says.Port()))
		}
		return redistest.Reply{}
	})
	client := connect(t, schema.Access{Cluster: "ops", Sentinels: []schema.Addr{schema.Addr(sentinel.Addr())}}, Options{})
	err := client.Set(t.Context(), "k", "v", 0).Err()
	if err == nil || !strings.Contains(err.Error(), "it is no master: ROLE says [slave") {
		t.Errorf("a replica: %v", err)
	}
	mu.Lock()
	says = master
	mu.Unlock()
	redistest.Wait(t, 5*time.Second, func() error { return client.Set(t.Context(), "k", "v", 0).Err() })
}

func TestWinner(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		heard []opinion
		want  schema.Addr
		votes int
	}{
		"nobody":       {nil, "", 0},
		"all":          {[]opinion{{master: "a", epoch: 1}, {master: "a", epoch: 1}}, "a", 2},
		"later epoch":  {[]opinion{{master: "a", epoch: 1}, {master: "a", epoch: 1}, {master: "b", epoch: 2}}, "b", 1},
		"most":         {[]opinion{{master: "a", epoch: 1}, {master: "b", epoch: 1}, {master: "b", epoch: 1}}, "b", 2},
		"only answers": {[]opinion{{err: os.ErrClosed, master: "a", epoch: 9}, {master: "b"}}, "b", 1},
	} {
		if got, votes := winner(c.heard); got != c.want || votes != c.votes {
			t.Errorf("%s: %s with %d votes, want %s with %d", name, got, votes, c.want, c.votes)
		}
	}
}
