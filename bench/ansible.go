package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"rsm/bench/page"
)

// measureAnsible measures ansible-playbook --check on the first cluster of a
// spec that begins at port base. Its files lie beside those of rsm; a first run
// without --check writes them, so that nothing is to be done either.
func measureAnsible(ctx context.Context, o options, dir string, base int) (result, error) {
	files := filepath.Join(dir, "ansible")
	if err := os.MkdirAll(files, 0o700); err != nil {
		return result{}, err
	}
	vars := filepath.Join(dir, "vars.json")
	text, err := json.Marshal(ansibleVars(files, base))
	if err != nil {
		return result{}, err
	}
	if err := os.WriteFile(vars, text, 0o600); err != nil {
		return result{}, err
	}
	playbook, err := filepath.Abs(filepath.Join(o.ansible, "playbook.yml"))
	if err != nil {
		return result{}, err
	}
	argv := []string{"ansible-playbook", "-i", "localhost,", "-e", "@" + vars, playbook}
	if _, err := once(ctx, argv); err != nil {
		return result{}, fmt.Errorf("prepare the playbook: %w", err)
	}
	return measure(ctx, ansibleCheck, o.ansibleRuns, append(argv, "--check"))
}

func ansibleVars(dir string, base int) map[string]any {
	type node struct {
		Name string `json:"name"`
		Port int    `json:"port"`
	}
	var redis, sentinels []node
	for i := range 3 {
		redis = append(redis, node{fmt.Sprintf("r%d", i+1), base + i})
		sentinels = append(sentinels, node{fmt.Sprintf("s%d", i+1), base + 3 + i})
	}
	return map[string]any{
		"dir": dir, "cluster": clusterName(0), "redis": redis, "sentinels": sentinels, "maxmemory": maxmemory,
		"quorum": quorum, "down_after": millis(downAfter), "failover_timeout": millis(failoverTimeout),
	}
}

// machineFacts says with what is measured.
func machineFacts(ctx context.Context, o options) (page.Facts, error) {
	facts, err := page.Machine(ctx, "make bench", o.rsm)
	if err != nil || o.ansible == "" {
		return facts, err
	}
	ansible, err := page.FirstLine(ctx, "ansible-playbook", "--version")
	if err != nil {
		return nil, err
	}
	version := strings.TrimSuffix(strings.TrimPrefix(ansible, "ansible-playbook [core "), "]")
	return append(facts, page.Fact{Name: "Ansible", Value: version}), nil
}
