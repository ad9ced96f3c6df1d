// Package supervise starts processes that outlive their starter, finds them
// again, and ends them. A process is known by its Record: pid, start time and
// boot together name one process for ever, so that a recycled pid is never
// mistaken for it. Linux only, as it reads /proc (man proc(5)).
//
//	record, exited, err := supervise.Start(supervise.Command{Path: "/usr/bin/redis-server", Args: ..., Log: "log"})
//	... store record; in a later run:
//	if supervise.Alive(record) { err = supervise.Stop(ctx, record, 10*time.Second) }
package supervise

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// ErrGone is returned when no process of that pid exists.
var ErrGone = errors.New("no such process")

// Record names one process.
type Record struct {
	PID int `json:"pid"`
	// Start is the start time in clock ticks since boot (proc(5), field 22 of
	// /proc/pid/stat).
	Start uint64 `json:"start"`
	// Boot is the id of the boot that Start counts from.
	Boot string `json:"boot"`
	// Argv is the command line, for people.
	Argv []string `json:"argv,omitempty"`
}

// Find makes the record of a process that runs now. The error is ErrGone when
// there is none, zombies included.
func Find(pid int) (Record, error) {
	stat, err := readStat(pid)
	if err != nil {
		return Record{}, err
	}
	if stat.dead() {
		return Record{}, fmt.Errorf("find process %d: %w", pid, ErrGone)
	}
	boot, err := bootID()
	if err != nil {
		return Record{}, err
	}
	r := Record{PID: pid, Start: stat.start, Boot: boot}
	if line, err := os.ReadFile(procPath(pid, "cmdline")); err == nil {
		r.Argv = strings.Split(string(bytes.TrimRight(line, "\x00")), "\x00")
	}
	return r, nil
}

// Alive reports whether exactly this process runs: same pid, start time and
// boot, and not a zombie. The zero Record never does.
func Alive(r Record) bool {
	if r.PID <= 0 {
		return false
	}
	stat, err := readStat(r.PID)
	if err != nil || stat.dead() || stat.start != r.Start {
		return false
	}
	boot, err := bootID()
	return err == nil && boot == r.Boot
}

// Within returns the pid of a process whose working directory is dir or below,
// 0 when there is none that this user may see.
func Within(dir string) int {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return 0
	}
	for _, pid := range pids() {
		cwd, err := os.Readlink(procPath(pid, "cwd"))
		if err == nil && pid != os.Getpid() && (cwd == dir || strings.HasPrefix(cwd, dir+"/")) {
			return pid
		}
	}
	return 0
}

// stat is what /proc/pid/stat says.
type stat struct {
	name  string
	state byte
	// threads counts those that have not ended, and the first one even if it has.
	threads uint64
	start   uint64
}

// dead is true of zombies, which are only an exit status that nobody has read. A
// process whose first thread has ended shows as one, too, while its others still
// hold its files and ports; a killed server of much memory does so for seconds.
func (s stat) dead() bool { return s.state == 'X' || s.state == 'Z' && s.threads <= 1 }

func readStat(pid int) (stat, error) {
	text, err := os.ReadFile(procPath(pid, "stat"))
	if err != nil {
		return stat{}, fmt.Errorf("find process %d: %w", pid, ErrGone)
	}
	return parseStat(string(text))
}

// parseStat parses "pid (name) state ppid …". The name may hold blanks and
// parentheses, so the fields count from the last parenthesis.
func parseStat(text string) (stat, error) {
	open, end := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return stat{}, fmt.Errorf("parse stat %.40q: no name", text)
	}
	const state, threads, start = 0, 17, 19 // fields 3, 20 and 22 of proc(5); the first two are cut off
	fields := strings.Fields(text[end+1:])
	if len(fields) <= start {
		return stat{}, fmt.Errorf("parse stat %.40q: %d fields", text, len(fields)+2)
	}
	ticks, err := strconv.ParseUint(fields[start], 10, 64)
	if err != nil {
		return stat{}, fmt.Errorf("parse stat start time: %w", err)
	}
	count, err := strconv.ParseUint(fields[threads], 10, 64)
	if err != nil {
		return stat{}, fmt.Errorf("parse stat threads: %w", err)
	}
	return stat{name: text[open+1 : end], state: fields[state][0], threads: count, start: ticks}, nil
}

func bootID() (string, error) {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("read boot id: %w", err)
	}
	return strings.TrimSpace(string(id)), nil
}

func procPath(pid int, file string) string {
	return filepath.Join("/proc", strconv.Itoa(pid), file)
}

// pids returns all process ids.
func pids() []int {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	var found []int
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			found = append(found, pid)
		}
	}
	return found
}
