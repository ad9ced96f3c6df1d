package agent

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shirou/gopsutil/v3/process"
)

const (
	// processEvery is how often the processes of Redis are read: that is five files
	// for each of them.
	processEvery = 10 * time.Second
	// scanEvery is how often all processes are looked through for those of Redis:
	// one file for each.
	scanEvery = 30 * time.Second
)

// processes reads the redis-servers and Sentinels of this host.
func processes(now func() time.Time) func() (put, error) {
	known := map[int32]*watched{}
	var scanned time.Time
	return func() (put, error) {
		at := now()
		if at.Sub(scanned) >= scanEvery {
			if err := scan(known); err != nil {
				return nil, err
			}
			scanned = at
		}
		var list []Process
		for pid, w := range known {
			if !w.read(at) {
				delete(known, pid)
				continue
			}
			list = append(list, w.Process)
		}
		slices.SortFunc(list, func(a, b Process) int { return int(a.PID) - int(b.PID) })
		return func(s *Sample) { s.Redis = list }, nil
	}
}

// watched is a process of Redis.
type watched struct {
	Process
	handle *process.Process
	cpu    float64 // seconds that it used until at
	at     time.Time
}

// scan adds what is new.
func scan(known map[int32]*watched) error {
	pids, err := process.Pids()
	if err != nil {
		return fmt.Errorf("list processes: %w", err)
	}
	for _, pid := range pids {
		if known[pid] != nil {
			continue
		}
		name, _ := os.ReadFile(procFile(pid, "comm"))
		if text := strings.TrimSpace(string(name)); text != "redis-server" && text != "redis-sentinel" && text != "valkey-server" {
			continue
		}
		if w, err := watch(pid); err == nil {
			known[pid] = w
		}
	}
	return nil
}

func procFile(pid int32, name string) string {
	root := os.Getenv("HOST_PROC") // where gopsutil reads, in a container
	if root == "" {
		root = "/proc"
	}
	return root + "/" + strconv.Itoa(int(pid)) + "/" + name
}

func watch(pid int32) (*watched, error) {
	handle, err := process.NewProcess(pid)
	if err != nil {
		return nil, err
	}
	since, err := handle.CreateTime()
	if err != nil {
		return nil, err
	}
	title, err := os.ReadFile(procFile(pid, "cmdline"))
	if err != nil {
		return nil, err
	}
	w := &watched{handle: handle, Process: Process{PID: pid, Since: since / 1000}}
	w.Port, w.Sentinel = readTitle(strings.ReplaceAll(string(title), "\x00", " "))
	return w, nil
}

// readTitle reads what Redis sets as the title of its process, such as
// "redis-server *:26379 [sentinel]" (redisSetProcTitle in server.c).
func readTitle(title string) (port int, sentinel bool) {
	for _, word := range strings.Fields(title) {
		if i := strings.LastIndexByte(word, ':'); i >= 0 && port == 0 {
			port, _ = strconv.Atoi(word[i+1:])
		}
		sentinel = sentinel || word == "[sentinel]"
	}
	return port, sentinel
}

// read reports false when the process has ended.
func (w *watched) read(at time.Time) bool {
	times, err := w.handle.Times()
	if err != nil {
		return false
	}
	memory, err := w.handle.MemoryInfo()
	if err != nil {
		return false
	}
	used := times.User + times.System
	if !w.at.IsZero() {
		w.CPU = round(max(0, 100*(used-w.cpu)/at.Sub(w.at).Seconds()))
	}
	w.RSS, w.cpu, w.at = memory.RSS, used, at
	return true
}
