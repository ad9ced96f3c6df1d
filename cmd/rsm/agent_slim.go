package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// slim keeps a small part of rsm that runs for years a small process. Most of the
// binary, and of what packages such as those of CUE and CEL make when they start,
// serves other commands.
type slim struct {
	binary    []mapping
	collected time.Time
	rested    time.Time
}

// mapping is a range of addresses.
type mapping struct{ from, to uintptr }

const (
	// slimGC is how many percent the heap may grow over what is in use before it is
	// collected. An agent uses about a megabyte: doubling it costs more than work.
	slimGC = 50
	// collectEvery is how often free memory goes back to the system, and restEvery
	// how often at most the pages of the binary do.
	collectEvery, restEvery = 10 * time.Minute, 200 * time.Millisecond
)

// newSlim makes the runtime small: one thread runs Go code at a time, each more
// would have free memory of its own in stock.
func newSlim() *slim {
	runtime.GOMAXPROCS(1)
	debug.SetGCPercent(slimGC)
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil { // another system: the process is larger
		return &slim{}
	}
	self, _ := os.Readlink("/proc/self/exe")
	return &slim{binary: readOnly(string(maps), self)}
}

// readOnly finds the mappings of a file that nobody writes to, in lines
// "from-to perms offset device inode path" (proc(5)).
func readOnly(maps, file string) []mapping {
	var list []mapping
	for line := range strings.Lines(maps) {
		fields := strings.Fields(line)
		if len(fields) != 6 || fields[5] != file || strings.Contains(fields[1], "w") {
			continue
		}
		var m mapping
		if _, err := fmt.Sscanf(fields[0], "%x-%x", &m.from, &m.to); err == nil {
			list = append(list, m)
		}
	}
	return list
}

// rest is called when there is nothing to do for a while. The pages of the binary
// leave the process; they stay in the page cache, and those that are in use come
// back when they are looked at, for some tenths of a millisecond in all
// (madvise(2), MADV_DONTNEED of a mapping with a file behind it).
func (s *slim) rest() {
	now := time.Now()
	if now.Sub(s.rested) < restEvery {
		return
	}
	s.rested = now
	if now.Sub(s.collected) > collectEvery {
		s.collected = now
		debug.FreeOSMemory()
	}
	for _, m := range s.binary {
		// A refusal makes the process larger, and nothing worse.
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, m.from, m.to-m.from, unix.MADV_DONTNEED)
	}
}
