package gitops

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"rsm/bench/ports"
)

// large measures the plan of a commit in a repository of many clusters, none of
// which runs: every observation is a refused connection.
func (o options) large(ctx context.Context, dir string, progress io.Writer) ([]string, error) {
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
	text := fmt.Sprintf("a new commit of %d clusters: fetch, evaluate, observe %d servers, plan, print 200 plans (`rsm diff --json`)", o.clusters, 6*o.clusters)
	return row(strings.Replace(text, "200 plans", fmt.Sprint(o.clusters, " plans"), 1), took, met(took[len(took)/2], planGoal)+", without observation"), nil
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
