package schema

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"
)

// request goes to the evaluating process as one line of JSON on its stdin.
// Stdin then stays open for as long as the answer is wanted.
type request struct {
	Path   string `json:"path,omitempty"`
	Tree   *Tree  `json:"tree,omitempty"`
	Limits Limits `json:"limits"`
}

// files are those of the tree, if there is one, else those of the path.
func (r request) files() *files {
	if r.Tree != nil {
		return inTree(*r.Tree)
	}
	return onDisk(r.Path)
}

// answer comes back on its stdout.
type answer struct {
	Spec     *Spec    `json:"spec,omitempty"`
	Problems Problems `json:"problems,omitempty"`
}

// grace is how long the evaluating process may overrun its time before it is
// killed: it knows where it is and tells so, which is worth waiting for.
const grace = 2 * time.Second

// LoadIsolated is Load in a process of its own, with limits on time and memory:
// CUE has none and cannot be interrupted. exe is the command that calls
// ServeEvaluation, such as the running binary with a hidden subcommand. When
// ctx ends the process is killed; when this process dies it ends by itself.
func LoadIsolated(ctx context.Context, exe []string, path string, limits Limits) (*Spec, Problems) {
	return isolated(ctx, exe, request{Path: path, Limits: limits.withDefaults()})
}

func isolated(ctx context.Context, exe []string, ask request) (*Spec, Problems) {
	limits := ask.Limits
	fail := func(code Code, format string, args ...any) (*Spec, Problems) {
		return nil, Problems{{Code: code, Severity: SeverityError, File: ask.files().path, Message: fmt.Sprintf(format, args...)}}
	}
	if len(exe) == 0 {
		return fail(CodeCrash, "there is no command to evaluate with")
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limits.time()+grace, errOvertime)
	defer cancel()
	out, complaint, err := evaluateIn(ctx, exe, ask)
	switch {
	case errors.Is(context.Cause(ctx), errOvertime):
		return fail(CodeLimit, "the evaluation took longer than %s and was stopped", limits.time())
	case ctx.Err() != nil:
		return fail(CodeLimit, "stopped: %v", context.Cause(ctx))
	case err != nil:
		return fail(CodeCrash, "the evaluating process ended with %v%s", err, complaint)
	}
	var got answer
	if err := json.Unmarshal(out, &got); err != nil {
		return fail(CodeCrash, "the evaluating process answered with something else: %v", err)
	}
	if got.Spec == nil && !got.Problems.Invalid() {
		return fail(CodeCrash, "the evaluating process answered nothing")
	}
	got.Spec.settle()
	return got.Spec, got.Problems
}

// settle fills in what JSON leaves out: which cluster a queue is in says where it
// stands.
func (s *Spec) settle() {
	if s == nil {
		return
	}
	for _, c := range s.Clusters {
		for i := range c.Operations.Queues {
			c.Operations.Queues[i].Cluster = c.Name
		}
	}
}

var errOvertime = errors.New("evaluation took too long")

func (l Limits) time() time.Duration {
	return time.Duration(l.Seconds * float64(time.Second))
}

// evaluateIn runs the process. complaint is the first line of its stderr.
func evaluateIn(ctx context.Context, exe []string, ask request) (out []byte, complaint string, err error) {
	line, err := json.Marshal(ask)
	if err != nil {
		return nil, "", fmt.Errorf("encode request: %w", err)
	}
	cmd := exec.CommandContext(ctx, exe[0], exe[1:]...)
	// No environment: evaluation needs none, and must not see secrets. GORACE is
	// for the race detector of a binary that has one.
	cmd.Env = []string{"CUE_REGISTRY=none", "GOTRACEBACK=none", "GORACE=" + os.Getenv("GORACE")}
	cmd.WaitDelay = time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout = &bounded{buffer: &stdout, left: 256 << 20}
	cmd.Stderr = &bounded{buffer: &stderr, left: 4 << 10}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, "", fmt.Errorf("make pipe: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, "", fmt.Errorf("start: %w", err)
	}
	// An error here shows as the process's own failure.
	_, _ = stdin.Write(append(line, '\n'))
	err = cmd.Wait()
	if first, _, _ := bytes.Cut(stderr.Bytes(), []byte("\n")); len(first) > 0 {
		complaint = ": " + oneLine(string(first))
	}
	return stdout.Bytes(), complaint, err
}

// bounded keeps the first bytes and drops the rest.
type bounded struct {
	buffer *bytes.Buffer
	left   int
}

// Write never fails, so that the process does not stop on its complaints.
func (b *bounded) Write(p []byte) (int, error) {
	keep := min(len(p), b.left)
	b.left -= keep
	b.buffer.Write(p[:keep])
	return len(p), nil
}
