package agent

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// usage is what a process has used.
type usage struct {
	median, highest, anonymous int64   // bytes
	cpu                        float64 // share of a core
}

// lookEvery is how often the memory is looked at: more often than anything is
// done, so that the work shows, too.
const lookEvery = 20 * time.Millisecond

// watch looks at a process for a time.
func watch(ctx context.Context, pid int, long time.Duration) (usage, error) {
	var all, anonymous []int64
	before, err := cpuTime(pid)
	if err != nil {
		return usage{}, err
	}
	began := time.Now()
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for time.Since(began) < long {
		select {
		case <-ctx.Done():
			return usage{}, ctx.Err()
		case <-ticker.C:
		}
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			return usage{}, fmt.Errorf("it has ended: %w", err)
		}
		all = append(all, kilobytes(string(status), "VmRSS:"))
		anonymous = append(anonymous, kilobytes(string(status), "RssAnon:"))
	}
	after, err := cpuTime(pid)
	if err != nil {
		return usage{}, err
	}
	slices.Sort(all)
	slices.Sort(anonymous)
	return usage{median: all[len(all)/2], highest: all[len(all)-1], anonymous: anonymous[len(anonymous)/2],
		cpu: float64(after-before) / float64(time.Since(began))}, nil
}

// kilobytes finds a line of /proc/<pid>/status, in bytes.
func kilobytes(status, name string) int64 {
	_, rest, _ := strings.Cut(status, name)
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	n, _ := strconv.ParseInt(fields[0], 10, 64)
	return n << 10
}

// cpuTime adds what the threads have run so far, to the nanosecond: utime counts
// ticks of 10 ms, which is more than a sample takes.
func cpuTime(pid int) (time.Duration, error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(files) == 0 {
		return 0, fmt.Errorf("read CPU time of %d: it has ended", pid)
	}
	var sum time.Duration
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // a thread that has ended
		}
		first, _, _ := strings.Cut(string(text), " ")
		n, err := strconv.ParseInt(first, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read CPU time: %w", err)
		}
		sum += time.Duration(n)
	}
	return sum, nil
}

// row is a line of the table.
func (u usage) row(name string, goals bool) []string {
	goal := "-"
	if goals {
		met := "met"
		if u.median > memoryGoal || u.cpu > cpuGoal {
			met = "MISSED"
		}
		goal = fmt.Sprintf("≤ %d MiB at rest, ≤ %.1f %%: %s", memoryGoal>>20, 100*cpuGoal, met)
	}
	return []string{name, mebibytes(u.median), mebibytes(u.highest), mebibytes(u.anonymous), fmt.Sprintf("%.2f %% of a core", 100*u.cpu), goal}
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
