package proxy_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rsm/internal/redistest"
)

// compareOutput runs a program against the server and against the proxy; what
// it prints must be the same.
func compareOutput(t *testing.T, program func(port string) *exec.Cmd) {
	t.Helper()
	l := newPair(t)
	var outputs [2]string
	for i, s := range l.sides {
		cmd := program(portOf(s.addr))
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		timer := time.AfterFunc(2*patience, func() { _ = cmd.Process.Kill() })
		err := cmd.Run()
		timer.Stop()
		if err != nil {
			t.Fatalf("%s, %s: %v\n%s%s", cmd, s.name, err, stdout.String(), stderr.String())
		}
		outputs[i] = stdout.String() + stderr.String()
	}
	if outputs[0] != outputs[1] || outputs[0] == "" {
		t.Errorf("directly:\n%s\nby proxy:\n%s", outputs[0], outputs[1])
	}
}

func portOf(addr string) string { return addr[strings.LastIndexByte(addr, ':')+1:] }

// need fails the test when a program is missing.
func need(t *testing.T, name string, check ...string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil && len(check) > 0 {
		err = exec.Command(path, check...).Run()
	}
	if err != nil {
		t.Fatalf("%s %q: %v: run scripts/setup.sh race", name, check, err)
	}
	return path
}

func TestRedisPy(t *testing.T) {
	t.Parallel()
	python := need(t, "/usr/bin/python3", "-c", "import redis") // the one that apt installs modules for
	compareOutput(t, func(port string) *exec.Cmd {
		return exec.Command(python, filepath.Join("testdata", "clients", "check.py"), port)
	})
}

func TestIoredis(t *testing.T) {
	t.Parallel()
	node := need(t, "node", "--version")
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	modules := filepath.Join(cache, "rsm-test", "ioredis", "node_modules")
	if _, err := os.Stat(filepath.Join(modules, "ioredis")); err != nil {
		t.Fatalf("%v: run scripts/setup.sh race", err)
	}
	compareOutput(t, func(port string) *exec.Cmd {
		cmd := exec.Command(node, filepath.Join("testdata", "clients", "check.js"), port)
		cmd.Env = append(os.Environ(), "NODE_PATH="+modules)
		return cmd
	})
}

func TestRedisCLI(t *testing.T) {
	t.Parallel()
	cli := need(t, "redis-cli", "--version")
	var mass strings.Builder
	for i := range 10_000 {
		mass.Write(command("SET", fmt.Sprintf("key:%d", i), strconv.Itoa(i)))
	}
	for name, run := range map[string]struct {
		args  []string
		input string
	}{
		"commands": {nil, "set k v\nget k\nselect 2\nget k\nmulti\nincr n\nget n\nexec\nnosuch\nhset h a 1 b 2\nhgetall h\nauth x\nreset\nping\n"},
		"resp3":    {[]string{"-3"}, "zadd z 1.5 a\nzscore z a\nhset h a 1\nhgetall h\nget none\ninfo nosuch\n"},
		"argument": {[]string{"-x", "set", "x"}, "a\r\nb\x00"},
		"pipe":     {[]string{"--pipe"}, mass.String()},
		"repeat":   {[]string{"-r", "100", "incr", "n"}, ""},
		"database": {[]string{"-n", "3", "--csv", "lrange", "none", "0", "-1"}, ""},
		"eval":     {[]string{"--eval", "/dev/stdin", "k1", ",", "a1"}, "return {KEYS[1], ARGV[1], redis.call('dbsize')}"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			compareOutput(t, func(port string) *exec.Cmd {
				cmd := exec.Command(cli, append([]string{"-p", port}, run.args...)...)
				cmd.Stdin = strings.NewReader(run.input)
				return cmd
			})
		})
	}
}

func TestRedisBenchmark(t *testing.T) {
	t.Parallel()
	bench := need(t, "redis-benchmark", "--version")
	server := redistest.Start(t)
	addr, _ := front(t, server)
	for _, args := range [][]string{
		{"-n", "5000", "-c", "50"},
		{"-n", "20000", "-c", "20", "-P", "16", "-r", "1000", "-d", "100", "-t", "set,get,incr,lpush,rpop,mset"},
		{"-n", "200", "-c", "10", "-d", "100000", "-t", "set,get"},
		{"-n", "2000", "-c", "10", "-3", "--dbnum", "5", "-t", "set,hset"},
		{"-n", "500", "-c", "10", "-k", "0", "-t", "ping,get"},
	} {
		out, err := exec.Command(bench, append([]string{"-p", portOf(addr), "-q"}, args...)...).CombinedOutput()
		if err != nil || bytes.Contains(out, []byte("rror")) || !bytes.Contains(out, []byte("requests per second")) {
			t.Errorf("redis-benchmark %q: %v\n%s", args, err, out)
		}
	}
}

func TestGoRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	addr, _ := front(t, server)
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	for _, protocol := range []int{2, 3} {
		server.Do("FLUSHALL")
		client := redis.NewClient(&redis.Options{Addr: addr, Protocol: protocol, DB: protocol, PoolSize: 10, ClientName: "tester"})
		if err := goRedis(ctx, client); err != nil {
			t.Errorf("RESP%d: %v", protocol, err)
		}
		_ = client.Close()
	}
}

// goRedis does what applications do.
func goRedis(ctx context.Context, c *redis.Client) error {
	sub := c.Subscribe(ctx, "news")
	defer sub.Close()
	if _, err := sub.Receive(ctx); err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	results, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
		for range 100 {
			p.Incr(ctx, "n")
		}
		p.HSet(ctx, "h", "a", "1")
		p.HGetAll(ctx, "h")
		return nil
	})
	if err != nil || results[101].(*redis.MapStringStringCmd).Val()["a"] != "1" {
		return fmt.Errorf("pipeline: %w, %v", err, results[len(results)-1])
	}
	err = c.Watch(ctx, func(tx *redis.Tx) error {
		_, err := tx.TxPipelined(ctx, func(p redis.Pipeliner) error { return p.Incr(ctx, "n").Err() })
		return err
	}, "n")
	if n, getErr := c.Get(ctx, "n").Int(); err != nil || n != 101 {
		return fmt.Errorf("transaction: %w, %w: n is %d", err, getErr, n)
	}
	err = c.Watch(ctx, func(tx *redis.Tx) error {
		c.Incr(ctx, "n") // on another connection
		_, err := tx.TxPipelined(ctx, func(p redis.Pipeliner) error { return p.Set(ctx, "n", "lost", 0).Err() })
		return err
	}, "n")
	if err != redis.TxFailedErr {
		return fmt.Errorf("transaction that is too late: %w", err)
	}
	popped := c.BLPop(ctx, time.Second, "q")
	if popped.Err() != redis.Nil {
		return fmt.Errorf("blpop: %v", popped)
	}
	if err := c.Publish(ctx, "news", "hello").Err(); err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	if message, err := sub.ReceiveMessage(ctx); err != nil || message.Payload != "hello" {
		return fmt.Errorf("receive: %w, %v", err, message)
	}
	if got, err := c.Eval(ctx, "return {KEYS[1], redis.call('zadd', 'z', 1.5, 'm')}", []string{"k"}).Slice(); err != nil || got[0] != "k" {
		return fmt.Errorf("eval: %w, %v", err, got)
	}
	if name := c.ClientGetName(ctx).Val(); name != "tester" {
		return fmt.Errorf("client name is %q", name)
	}
	return nil
}
