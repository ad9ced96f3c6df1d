package source

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestStampMovesWithEveryChange(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "a.cue")
	write := func(name, text string, at time.Time) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, at, at); err != nil {
			t.Fatal(err)
		}
	}
	stamp := func() string {
		t.Helper()
		s, err := Stamp(dir)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	day := time.Unix(1e9, 0)
	write(file, "x: 1", day)
	seen := map[string]bool{stamp(): true}
	if !seen[stamp()] {
		t.Error("the stamp moved though nothing changed")
	}
	for name, change := range map[string]func(){
		"other length": func() { write(file, "x: 12", day) },
		"other time":   func() { write(file, "x: 13", day.Add(time.Nanosecond)) },
		"new file":     func() { write(filepath.Join(dir, "b.cue"), "", day) },
	} {
		if change(); seen[stamp()] {
			t.Errorf("%s: the stamp did not move", name)
		}
		seen[stamp()] = true
	}
	if err := os.MkdirAll(filepath.Join(dir, ".git"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(filepath.Join(dir, ".git", "index"), "", day)
	if !seen[stamp()] {
		t.Error("the stamp moved with a file of .git")
	}
	if _, err := Stamp(filepath.Join(dir, "none")); err == nil {
		t.Error("no error for a path that does not exist")
	}
}
