package page

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// Fact is one line about where the numbers come from.
type Fact struct{ Name, Value string }

// Facts are the lines in order.
type Facts []Fact

// Markdown is the list below the tables.
func (f Facts) Markdown() string {
	var b strings.Builder
	b.WriteString("\nMeasured on:\n\n")
	for _, fact := range f {
		fmt.Fprintf(&b, "- %s: %s\n", fact.Name, fact.Value)
	}
	return b.String()
}

// Machine says on what and with what is measured, and the command that repeats
// it. A missing program is an error: then there is nothing to measure.
func Machine(ctx context.Context, command, rsm string) (Facts, error) {
	version, err := FirstLine(ctx, rsm, "version")
	if err != nil {
		return nil, err
	}
	redis, err := FirstLine(ctx, "redis-server", "--version")
	if err != nil {
		return nil, err
	}
	return Facts{
		{"Command", "`" + command + "`"},
		{"Date", time.Now().UTC().Format(time.DateOnly)},
		{"Processor", fmt.Sprintf("%d cores, %s", runtime.NumCPU(), fileField("/proc/cpuinfo", "model name"))},
		{"Memory", memory(fileField("/proc/meminfo", "MemTotal"))},
		{"Kernel", "Linux " + trimmedFile("/proc/sys/kernel/osrelease")},
		{"Go", strings.TrimPrefix(runtime.Version(), "go")},
		{"rsm", strings.TrimPrefix(version, "rsm ")},
		{"Redis", wordAfter(redis, "v=")},
	}, nil
}

// FirstLine is what a program prints first.
func FirstLine(ctx context.Context, argv ...string) (string, error) {
	out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).Output()
	if err != nil {
		return "", fmt.Errorf("run %s: %w", strings.Join(argv, " "), err)
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(line), nil
}

// wordAfter is the word that begins with prefix, without it.
func wordAfter(text, prefix string) string {
	for word := range strings.FieldsSeq(text) {
		if rest, ok := strings.CutPrefix(word, prefix); ok {
			return rest
		}
	}
	return text
}

// fileField reads `name : value` from a file of /proc, "unknown" when it has none.
func fileField(path, name string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(text)) {
		key, value, ok := strings.Cut(line, ":")
		if ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

// memory rounds "25276510 kB" to GiB.
func memory(text string) string {
	var kib int64
	if _, err := fmt.Sscanf(text, "%d kB", &kib); err != nil {
		return text
	}
	return fmt.Sprintf("%.0f GiB", float64(kib)/(1<<20))
}

func trimmedFile(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(text))
}
