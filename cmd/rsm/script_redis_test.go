package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"rsm/internal/resp"
)

// clusterName is the master name of the scripts' cluster.
const clusterName = "lain"

// defaultNodes are those of lainCUE.
var defaultNodes = strings.Fields("r1 r2 r3 s1 s2 s3")

// send asks one server on a connection of its own, with the password of
// $WORK/lain.secret if there is one.
func (l *lab) send(ts *testscript.TestScript, node string, words ...string) (any, error) {
	return l.sendAll(ts, node, words)
}

// sendAll sends many commands on one connection and returns the last reply.
func (l *lab) sendAll(ts *testscript.TestScript, node string, commands ...[]string) (reply any, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	conn, err := resp.Dial(ctx, l.addr(ts, node))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if secret, err := os.ReadFile(ts.MkAbs("lain.secret")); err == nil {
		if _, err := conn.Do(ctx, "AUTH", strings.TrimSpace(string(secret))); err != nil {
			return nil, err
		}
	}
	for _, words := range commands {
		if reply, err = conn.Do(ctx, words...); err != nil {
			return nil, fmt.Errorf("%s: %w", node, err)
		}
	}
	return reply, nil
}

func cmdRedis(ts *testscript.TestScript, neg bool, words []string) {
	if len(words) < 2 {
		ts.Fatalf("usage: redis NODE ARGS...")
	}
	reply, err := labOf(ts).send(ts, words[0], words[1:]...)
	var refused resp.Error
	switch {
	case errors.As(err, &refused) && neg:
		fmt.Fprintln(ts.Stdout(), "(error) "+refused.Error())
	case err != nil:
		ts.Fatalf("%v", err)
	case neg:
		ts.Fatalf("%s answers %s, want an error", words[0], show(reply))
	default:
		fmt.Fprintln(ts.Stdout(), show(reply))
	}
}

// show writes a reply, one element a line.
func show(reply any) string {
	items, ok := reply.([]any)
	if !ok {
		return fmt.Sprint(reply)
	}
	lines := make([]string, len(items))
	for i, item := range items {
		lines[i] = show(item)
	}
	return strings.Join(lines, "\n")
}

func cmdBlank(ts *testscript.TestScript, neg bool, nodes []string) {
	args(ts, neg, len(nodes) > 0, "blank SENTINEL...")
	for _, node := range nodes {
		_, err := labOf(ts).send(ts, node, "SENTINEL", "REMOVE", clusterName)
		ts.Check(err)
	}
}

// fields are those of INFO of a redis-server or of SENTINEL MASTER.
func (l *lab) fields(ts *testscript.TestScript, node string) (map[string]string, error) {
	fields := map[string]string{}
	if strings.HasPrefix(node, "s") {
		reply, err := l.send(ts, node, "SENTINEL", "MASTER", clusterName)
		words, _ := reply.([]any)
		for i := 0; i+1 < len(words); i += 2 {
			fields[fmt.Sprint(words[i])] = fmt.Sprint(words[i+1])
		}
		return fields, err
	}
	reply, err := l.send(ts, node, "INFO", "everything")
	text, _ := reply.(string)
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			fields[name] = value
		}
	}
	return fields, err
}

func cmdField(ts *testscript.TestScript, neg bool, words []string) {
	args(ts, neg, len(words) == 3, "field NODE FIELD REGEXP")
	l := labOf(ts)
	re := regexp.MustCompile("^(?:" + l.expand(words[2]) + ")$")
	until(ts, func() error {
		fields, err := l.fields(ts, words[0])
		if err == nil && !re.MatchString(fields[words[1]]) {
			return fmt.Errorf("%s: %s is %q, want %s", words[0], words[1], fields[words[1]], words[2])
		}
		return err
	})
}

// named is the node that all Sentinels that answer agree on, at least two.
func (l *lab) named(ts *testscript.TestScript) (string, error) {
	var said []string
	for _, node := range roleNames {
		if !strings.HasPrefix(node, "s") || !listening(l.addr(ts, node)) {
			continue
		}
		if fields, err := l.fields(ts, node); err == nil {
			said = append(said, fields["port"])
		}
	}
	slices.Sort(said)
	said = slices.Compact(said)
	if len(said) != 1 {
		return "", fmt.Errorf("the Sentinels name %v", said)
	}
	for node, port := range l.ports {
		if strconv.Itoa(port) == said[0] {
			return node, nil
		}
	}
	return "", fmt.Errorf("the Sentinels name port %s", said[0])
}

// leader is the named node, if it says itself that it is master.
func (l *lab) leader(ts *testscript.TestScript) (string, error) {
	node, err := l.named(ts)
	if err != nil {
		return "", err
	}
	fields, err := l.fields(ts, node)
	if err == nil && fields["role"] != "master" {
		err = fmt.Errorf("%s is a %s", node, fields["role"])
	}
	return node, err
}

func cmdMaster(ts *testscript.TestScript, neg bool, words []string) {
	args(ts, neg, len(words) == 1, "master NODE")
	until(ts, func() error {
		node, err := labOf(ts).leader(ts)
		if err == nil && node != words[0] {
			err = fmt.Errorf("%s is the master, want %s", node, words[0])
		}
		return err
	})
}

func cmdReplaced(ts *testscript.TestScript, neg bool, words []string) {
	args(ts, neg, len(words) == 1, "replaced NODE")
	until(ts, func() error {
		node, err := labOf(ts).leader(ts)
		if err == nil && node == words[0] {
			return fmt.Errorf("%s is still the master", node)
		}
		ts.Setenv("MASTER", node)
		return err
	})
	for _, node := range []string{"r1", "r2", "r3"} {
		if node != words[0] && node != ts.Getenv("MASTER") {
			ts.Setenv("REPLICA", node)
		}
	}
}

func cmdWrite(ts *testscript.TestScript, neg bool, words []string) {
	args(ts, neg, len(words) == 1 || len(words) == 2, "write N [PREFIX]")
	n, err := strconv.Atoi(words[0])
	ts.Check(err)
	commands := make([][]string, n)
	for i := range commands {
		commands[i] = []string{"SET", append(words, "key")[1] + ":" + strconv.Itoa(i), strconv.Itoa(i)}
	}
	until(ts, func() error {
		node, err := labOf(ts).leader(ts)
		if err == nil {
			_, err = labOf(ts).sendAll(ts, node, commands...)
		}
		return err
	})
}

func cmdKeys(ts *testscript.TestScript, neg bool, words []string) {
	args(ts, neg, len(words) == 2, "keys NODE N")
	until(ts, func() error {
		reply, err := labOf(ts).send(ts, words[0], "DBSIZE")
		if err == nil && fmt.Sprint(reply) != words[1] {
			err = fmt.Errorf("%s has %v keys, want %s", words[0], reply, words[1])
		}
		return err
	})
}

func cmdSynced(ts *testscript.TestScript, neg bool, nodes []string) {
	args(ts, neg, true, "synced [NODE...]")
	if len(nodes) == 0 {
		nodes = defaultNodes
	}
	until(ts, func() error { return labOf(ts).synced(ts, nodes) })
}

// synced checks a whole cluster without the help of rsm.
func (l *lab) synced(ts *testscript.TestScript, nodes []string) error {
	master, err := l.leader(ts)
	if err != nil {
		return err
	}
	lead, err := l.fields(ts, master)
	if err != nil {
		return err
	}
	redis, sentinels := 0, 0
	for _, node := range nodes {
		if strings.HasPrefix(node, "r") {
			redis++
		} else {
			sentinels++
		}
	}
	epoch := ""
	for _, node := range nodes {
		fields, err := l.fields(ts, node)
		switch {
		case err != nil:
			return err
		case strings.HasPrefix(node, "s"):
			want := map[string]string{"port": strconv.Itoa(l.ports[master]), "flags": "master",
				"num-slaves": strconv.Itoa(redis - 1), "num-other-sentinels": strconv.Itoa(sentinels - 1)}
			for name, value := range want {
				if fields[name] != value {
					return fmt.Errorf("%s: %s is %q, want %q", node, name, fields[name], value)
				}
			}
			if epoch != "" && epoch != fields["config-epoch"] {
				return fmt.Errorf("%s is at epoch %s, not %s", node, fields["config-epoch"], epoch)
			}
			epoch = fields["config-epoch"]
		case node == master:
		case fields["role"] != "slave" || fields["master_port"] != strconv.Itoa(l.ports[master]) || fields["master_link_status"] != "up":
			return fmt.Errorf("%s is a %s of port %s, link %s", node, fields["role"], fields["master_port"], fields["master_link_status"])
		case fields["db0"] != lead["db0"]:
			return fmt.Errorf("%s has %q, the master %q", node, fields["db0"], lead["db0"])
		}
	}
	return nil
}

// touched lists what changes when somebody acts upon a server: commands, roles,
// data, settings. For one that does not run it is a text of its own.
func (l *lab) touched(ts *testscript.TestScript, node string) string {
	if !listening(l.addr(ts, node)) {
		return "not running"
	}
	fields, err := l.fields(ts, node)
	if err != nil {
		return err.Error()
	}
	names := []string{"run_id", "role", "master_port", "db0", "cmdstat_replicaof", "cmdstat_slaveof", "cmdstat_config|set",
		"cmdstat_config|rewrite", "cmdstat_shutdown", "cmdstat_set", "cmdstat_flushall", // of redis-server
		"ip", "port", "quorum", "config-epoch", "down-after-milliseconds", "failover-timeout", "parallel-syncs"} // of Sentinel
	text := ""
	for _, name := range names {
		value := fields[name]
		if strings.HasPrefix(name, "cmdstat_") {
			value, _, _ = strings.Cut(value, ",") // calls=N
		}
		text += name + "=" + value + "\n"
	}
	return text
}

func cmdMark(ts *testscript.TestScript, neg bool, nodes []string) {
	args(ts, neg, true, "mark [NODE...]")
	if len(nodes) == 0 {
		nodes = defaultNodes
	}
	l := labOf(ts)
	l.marks = map[string]string{}
	for _, node := range nodes {
		l.marks[node] = l.touched(ts, node)
	}
}

func cmdUntouched(ts *testscript.TestScript, neg bool, nodes []string) {
	args(ts, neg, len(labOf(ts).marks) > 0, "untouched [NODE...] after mark")
	l := labOf(ts)
	if len(nodes) == 0 {
		for node := range l.marks {
			nodes = append(nodes, node)
		}
	}
	for _, node := range nodes {
		if now := l.touched(ts, node); now != l.marks[node] {
			ts.Fatalf("%s was\n%sand is\n%s", node, l.marks[node], now)
		}
	}
}
