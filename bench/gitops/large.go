package gitops

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"rsm/bench/ports"
)

// large measures the plan of a commit in a repository of many clusters, none of
// which runs: every observation is a refused connection.
func (o options) large(ctx context.Context, dir string, progress io.Writer) ([][]string, error) {
	fmt.Fprintf(progress, "bench: a repository of %d clusters\n", o.clusters)
	r, err := newRepo(ctx, dir)
	if err != nil {
		return nil, err
	}
	base, err := ports.Block(6 * o.clusters)
	if err != nil {
		return nil, err
	}
	var took []time.Duration
	for i := range 11 {
		if err := r.commit(ctx, spec(o.clusters, base, 64+i)); err != nil {
			return nil, err
		}
		if err := r.push(ctx); err != nil {
			return nil, err
		}
		began := time.Now()
		cmd := exec.CommandContext(ctx, o.rsm, "diff", "--json", "--detailed-exitcode", "--git", r.bare, "--state-dir", filepath.Join(dir, "state"))
		out, err := cmd.Output()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 2 || strings.Count(string(out), `"cluster": "c`) < o.clusters {
			return nil, fmt.Errorf("diff: %w, %d bytes", err, len(out))
		}
		if i > 0 { // the first one clones
			took = append(took, time.Since(began))
		}
	}
	text := fmt.Sprintf("a new commit of %d clusters: fetch, evaluate, observe %d servers, plan, print %d plans (`rsm diff --json`)", o.clusters, 6*o.clusters, o.clusters)
	offline, err := o.offline(ctx, dir, r.clone)
	return [][]string{row(text, took, ""), offline}, err
}

// offline is the same without a repository and without servers.
func (o options) offline(ctx context.Context, dir, specs string) ([]string, error) {
	state := filepath.Join(dir, "state.json")
	text, err := exec.CommandContext(ctx, o.rsm, "status", "--json", "--state-dir", filepath.Join(dir, "state"), specs).Output()
	if err == nil {
		err = os.WriteFile(state, text, 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("write state: %w", err)
	}
	var took []time.Duration
	for range 10 {
		began := time.Now()
		if out, err := exec.CommandContext(ctx, o.rsm, "plan", "--json", "--against", state, specs).Output(); err != nil {
			return nil, fmt.Errorf("plan offline: %w, %d bytes", err, len(out))
		}
		took = append(took, time.Since(began))
	}
	return row("of that, without fetching and observing (`rsm plan --json --against STATEFILE`)", took, met(slices.Max(took), planGoal)), nil
}

// spec declares n clusters from a port on.
func spec(n, base, megabytes int) string {
	var b strings.Builder
	b.WriteString("package bench\n\n")
	for i := range n {
		p := base + 6*i
		limit := 64
		if i == 0 {
			limit = megabytes
		}
		fmt.Fprintf(&b, "clusters: c%04d: {\n\tredis: {nodes: {r1: port: %d, r2: port: %d, r3: port: %d}, config: {save: \"\", \"repl-diskless-sync-delay\": 0, maxmemory: \"%dmb\"}, seed: \"r1\"}\n"+
			"\tsentinel: nodes: {s1: port: %d, s2: port: %d, s3: port: %d}\n}\n", i+1, p, p+1, p+2, limit, p+3, p+4, p+5)
	}
	return b.String()
}
