package schema

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"
)

// ServeEvaluation is the other end of LoadIsolated: it reads a request from
// stdin, loads the spec, writes the answer to stdout and returns. When a limit
// is reached, or stdin ends before the answer is written, it ends the process;
// call it only in a process that does nothing else.
func ServeEvaluation(stdin io.Reader, stdout io.Writer) error {
	in := bufio.NewReader(stdin)
	line, err := in.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("read request: %w", err)
	}
	var ask request
	if err := json.Unmarshal(line, &ask); err != nil {
		return fmt.Errorf("read request: %w", err)
	}
	// The process is short-lived: collect garbage half as often.
	debug.SetGCPercent(200)
	w := &watchdog{path: ask.files().path, limits: ask.Limits.withDefaults(), stdout: stdout}
	l := &loader{limits: w.limits, parsed: w.blame}
	go w.watch()
	go func() {
		_, _ = io.Copy(io.Discard, in)
		os.Exit(1)
	}()
	spec, problems := l.load(context.Background(), ask)
	return w.answer(answer{Spec: spec, Problems: problems})
}

// A watchdog ends an evaluation that takes too much, and says where.
type watchdog struct {
	path   string
	limits Limits
	stdout io.Writer

	mu      sync.Mutex
	suspect Problem
	once    sync.Once
}

// blame remembers the place that is the most likely cause.
func (w *watchdog) blame(p Problem) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.suspect = p
}

// watch returns never, or with the whole process.
func (w *watchdog) watch() {
	deadline := time.NewTimer(w.limits.time())
	defer deadline.Stop()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case <-deadline.C:
			w.stop("the evaluation took longer than %s and was stopped", w.limits.time())
		case <-look.C:
			if used := memory(); used > w.limits.Memory {
				w.stop("the evaluation took more than %d MiB of memory and was stopped", w.limits.Memory>>20)
			}
		}
	}
}

// stop answers with the limit that was reached, and ends the process.
func (w *watchdog) stop(format string, args ...any) {
	w.mu.Lock()
	p := w.suspect
	w.mu.Unlock()
	p.Code, p.Severity, p.Message = CodeLimit, SeverityError, fmt.Sprintf(format, args...)
	if p.Line > 0 {
		p.Hint = "the likely cause is here: ask for fewer elements"
	} else if p.File == "" {
		p.File = w.path
	}
	code := 0
	if err := w.answer(answer{Problems: Problems{p}}); err != nil {
		code = 1
	}
	os.Exit(code)
}

// answer writes the first answer only; a later one waits and writes nothing.
func (w *watchdog) answer(a answer) (err error) {
	w.once.Do(func() {
		if err = json.NewEncoder(w.stdout).Encode(a); err != nil {
			err = fmt.Errorf("write answer: %w", err)
		}
	})
	return err
}

// memory is how many bytes the process holds from the system.
func memory() uint64 {
	samples := []metrics.Sample{
		{Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/released:bytes"},
	}
	metrics.Read(samples)
	if samples[0].Value.Kind() != metrics.KindUint64 || samples[1].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return samples[0].Value.Uint64() - samples[1].Value.Uint64()
}
