package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"rsm/bench/ports"
)

// measureReal starts n clusters with rsm itself, waits until nothing is left to
// do, measures, and removes them again. The single cluster is also given to
// ansible-playbook.
func measureReal(ctx context.Context, o options, n int, dir string, progress io.Writer) (results []result, err error) {
	base, err := ports.Block(6 * n)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := os.WriteFile(dir+"/spec.cue", []byte(realSpec(n, base)), 0o600); err != nil {
		return nil, err
	}
	defer func() {
		if failed := destroy(o, dir); failed != nil && err == nil {
			err = failed
		}
	}()
	started, err := once(ctx, rsmArgs(o, dir, "apply", "--auto-approve", "--parallel", "8"))
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(progress, "bench: started in %s\n", started.wall.Round(100*time.Millisecond))
	if err := settle(ctx, o, dir, 2*time.Minute); err != nil {
		return nil, err
	}
	results, err = measurePlanApply(ctx, o, dir)
	if err != nil {
		return nil, err
	}
	if n == 1 && o.ansible != "" {
		peer, err := measureAnsible(ctx, o, dir, base)
		if err != nil {
			return nil, err
		}
		results = append(results, peer)
	}
	for i := range results {
		results[i].Clusters = n
	}
	return results, nil
}

// destroy stops the servers and removes their data, also after an interrupt.
func destroy(o options, dir string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	_, err := once(ctx, rsmArgs(o, dir, "destroy", "--auto-approve", "--purge", "--parallel", "8"))
	return err
}
