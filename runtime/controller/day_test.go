package controller

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"rsm/reconcile/source"
)

// A day of polling every 30 seconds, with a push every 40 minutes, leaves the
// service and its disk as small as they were.
func TestADayOfPolling(t *testing.T) {
	t.Parallel()
	const polls, pause = 2880, 80
	b := newBench(t)
	dir := t.TempDir()
	work, cache := filepath.Join(dir, "work"), filepath.Join(dir, "cache")
	run := func(words ...string) {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-c", "user.name=somebody", "-c", "user.email=somebody@localhost"}, words...)...)
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %q: %v\n%s", words, err, out)
		}
	}
	commit := func(n int) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(work, "lain.cue"), fmt.Appendf(nil, "package lain\n// %d", n), 0o600); err != nil {
			t.Fatal(err)
		}
		run("-C", work, "add", "-A")
		run("-C", work, "commit", "-q", "-m", fmt.Sprint("commit ", n))
	}
	run("init", "-q", "-b", "main", work)
	commit(0)
	git, err := source.NewGit(source.Config{URL: work, Branch: "main", Cache: cache})
	if err != nil {
		t.Fatal(err)
	}
	defer git.Close()
	b.Source = git
	b.Evaluate = loadsOne
	pushed := 0
	poll := func(times, pause int) {
		t.Helper()
		for i := range times {
			if i%pause == 0 {
				pushed++
				commit(pushed)
			}
			b.now = b.now.Add(b.Poll)
			if b.feed.refresh(t.Context(), false) {
				if err := b.Ledger.Prune(); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	poll(200, 10) // for caches to fill
	heap, threads, disk := inUse(), runtime.NumGoroutine(), size(t, cache, b.Ledger.Dir())
	poll(polls, pause)
	if _, _, refused := b.feed.state(); refused != "" {
		t.Fatal(refused)
	}
	if now := inUse(); now > heap+heap/4+1<<20 {
		t.Errorf("memory went from %d to %d kB", heap>>10, now>>10)
	}
	if now := runtime.NumGoroutine(); now > threads+10 { // of other tests, too
		t.Errorf("%d goroutines became %d", threads, now)
	}
	// A day's commits take some room; what polling leaves would be far more.
	if now := size(t, cache, b.Ledger.Dir()); now > disk+1<<20 {
		t.Errorf("disk went from %d to %d kB", disk>>10, now>>10)
	}
}

// inUse is what lives on the heap.
func inUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// size is that of all files below directories.
func size(t *testing.T, dirs ...string) (total int64) {
	t.Helper()
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			info, err := entry.Info()
			if err == nil {
				total += info.Size()
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return total
}
