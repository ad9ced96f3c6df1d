package proxy

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// pid is a process to look at in /proc; 0 is none.
type pid int

// tick is the unit of CPU times in /proc: USER_HZ, 100 per second on every
// architecture that Go supports.
const tick = 10 * time.Millisecond

// cpu is what the process has computed so far, user and system, all threads.
func (p pid) cpu() (time.Duration, error) {
	text, err := p.read("stat")
	if err != nil {
		return 0, err
	}
	return parseStat(text)
}

// parseStat adds utime and stime, fields 14 and 15 of proc_pid_stat(5). The name
// in field 2 may hold blanks and parentheses.
func parseStat(text string) (time.Duration, error) {
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) < 13 {
		return 0, fmt.Errorf("read CPU time: bad line %q", text)
	}
	user, err := strconv.ParseInt(fields[11], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read CPU time: %w", err)
	}
	system, err := strconv.ParseInt(fields[12], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read CPU time: %w", err)
	}
	return time.Duration(user+system) * tick, nil
}

// rss is the resident memory in bytes.
func (p pid) rss() (int64, error) {
	text, err := p.read("smaps_rollup") // statm lags behind by batches of pages
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, "Rss:"); ok {
			kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("read memory of %d: no Rss line", p)
}

// files is the number of open descriptors.
func (p pid) files() (int, error) {
	entries, err := os.ReadDir(p.path("fd"))
	if err != nil {
		return 0, fmt.Errorf("count descriptors: %w", err)
	}
	return len(entries), nil
}

func (p pid) read(name string) (string, error) {
	text, err := os.ReadFile(p.path(name))
	if err != nil {
		return "", fmt.Errorf("look at process: %w", err)
	}
	return string(text), nil
}

func (p pid) path(name string) string { return fmt.Sprintf("/proc/%d/%s", int(p), name) }
