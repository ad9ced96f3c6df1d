package schema

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test binary be the evaluating process.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "evaluate":
			if err := ServeEvaluation(os.Stdin, os.Stdout); err != nil {
				os.Exit(1)
			}
			os.Exit(0)
		case "crash":
			panic("boom")
		case "babble":
			os.Stdout.WriteString("hello\n")
			os.Exit(0)
		}
	}
	os.Exit(m.Run())
}

func self(t testing.TB, word string) []string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return []string{exe, word}
}

// TestIsolatedEqualsLoad: a process of its own gives the same answer.
func TestIsolatedEqualsLoad(t *testing.T) {
	t.Parallel()
	bad := t.TempDir()
	write(t, filepath.Join(bad, "a.cue"), "package a\nclusters: x: 5\n")
	for _, path := range []string{"../examples/lain.cue", bad, "/nowhere"} {
		want, wantProblems := Load(t.Context(), path, Limits{})
		got, problems := LoadIsolated(t.Context(), self(t, "evaluate"), path, Limits{})
		if !reflect.DeepEqual(got, want) || !reflect.DeepEqual(problems, wantProblems) {
			t.Errorf("%s: got %+v %v, want %+v %v", path, got, problems, want, wantProblems)
		}
	}
}

// TestLimits: what would run for hours ends, and the place is told.
func TestLimits(t *testing.T) {
	t.Parallel()
	endless := "package a\n\nimport \"list\"\n\nclusters: {}\nservices: list.Range(0, 1e7, 1)\n"
	nested := "package a\n\nclusters: {}\n_big: [for i in _n for j in _n for k in _n for l in _n {i + j + k + l}]\n_n: [" + strings.Repeat("1, ", 60) + "]\n"
	tests := []struct {
		name, spec string
		limits     Limits
		want       string
		line       int
	}{
		{"time", endless, Limits{Seconds: 0.3}, "longer than 300ms", 6},
		{"memory", endless, Limits{Memory: 24 << 20}, "more than 24 MiB", 6},
		{"loops", nested, Limits{Seconds: 0.3}, "longer than 300ms", 4},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			write(t, filepath.Join(dir, "a.cue"), test.spec)
			started := time.Now()
			got, problems := LoadIsolated(t.Context(), self(t, "evaluate"), dir, test.limits)
			if got != nil || len(problems) != 1 || problems[0].Code != CodeLimit {
				t.Fatalf("got %v %v", got, problems)
			}
			p := problems[0]
			if !strings.Contains(p.Message, test.want) || p.Line != test.line || p.File != filepath.Join(dir, "a.cue") {
				t.Errorf("got %+v", p)
			}
			if took := time.Since(started); took > 20*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}

// TestFileLimits: sizes and numbers are refused before CUE sees them.
func TestFileLimits(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.cue"), "package a\n")
	write(t, filepath.Join(dir, "b.cue"), "package a\n//"+strings.Repeat("x", 100)+"\n")
	for _, limits := range []Limits{{FileSize: 50}, {Files: 1}} {
		spec, problems := Load(t.Context(), dir, limits)
		if spec != nil || len(problems.Errors()) != 1 || problems[0].Code != CodeTooBig {
			t.Errorf("%+v: got %v %v", limits, spec, problems)
		}
	}
	deep := strings.Repeat("{", 500_000)
	write(t, filepath.Join(dir, "b.cue"), "package a\nx: "+deep+"\n")
	if _, problems := Load(t.Context(), dir, Limits{}); !problems.Invalid() {
		t.Error("half a million braces are fine")
	}
}

// TestProcessFailures: whatever the process does, the answer is a problem.
func TestProcessFailures(t *testing.T) {
	t.Parallel()
	for name, exe := range map[string][]string{
		"crash": self(t, "crash"), "babble": self(t, "babble"), "absent": {"/nowhere/rsm"}, "none": nil,
	} {
		spec, problems := LoadIsolated(t.Context(), exe, "../examples", Limits{})
		if spec != nil || len(problems) != 1 || problems[0].Code != CodeCrash {
			t.Errorf("%s: got %v %v", name, spec, problems)
		}
		if text := problems[0].Message; strings.Contains(text, "\n") || strings.Contains(text, "goroutine") {
			t.Errorf("%s: a stack trace is shown: %s", name, text)
		}
	}
}

// TestCancelled: the caller's context ends the process.
func TestCancelled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.cue"), "package a\nimport \"list\"\nclusters: {}\nservices: list.Range(0, 1e7, 1)\n")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 200*time.Millisecond, errors.New("no more patience"))
	defer cancel()
	started := time.Now()
	_, problems := LoadIsolated(ctx, self(t, "evaluate"), dir, Limits{})
	if len(problems) != 1 || !strings.Contains(problems[0].Message, "no more patience") {
		t.Errorf("got %v", problems)
	}
	if took := time.Since(started); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
	cancelled, end := context.WithCancel(t.Context())
	end()
	if spec, problems := Load(cancelled, "../examples/lain.cue", Limits{}); spec != nil || !problems.Invalid() {
		t.Errorf("Load ignored its context: %v", problems)
	}
}
