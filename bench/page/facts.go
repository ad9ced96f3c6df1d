package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// fact is one line about where the numbers come from.
type fact struct{ name, value string }

// machineFacts says on what and with what is measured. A missing program is an
// error: then there is nothing to measure.
func machineFacts(ctx context.Context, o options) ([]fact, error) {
	rsm, err := firstLine(ctx, o.rsm, "version")
	if err != nil {
		return nil, err
	}
	redis, err := firstLine(ctx, "redis-server", "--version")
	if err != nil {
		return nil, err
	}
	facts := []fact{
		{"Command", "`make bench`"},
		{"Date", time.Now().UTC().Format(time.DateOnly)},
		{"Processor", fmt.Sprintf("%d cores, %s", runtime.NumCPU(), fileField("/proc/cpuinfo", "model name"))},
		{"Memory", memory(fileField("/proc/meminfo", "MemTotal"))},
		{"Kernel", "Linux " + trimmedFile("/proc/sys/kernel/osrelease")},
		{"Go", strings.TrimPrefix(runtime.Version(), "go")},
		{"rsm", strings.TrimPrefix(rsm, "rsm ")},
		{"Redis", wordAfter(redis, "v=")},
	}
	if o.ansible != "" {
		ansible, err := firstLine(ctx, "ansible-playbook", "--version")
		if err != nil {
			return nil, err
		}
		facts = append(facts, fact{"Ansible", strings.TrimSuffix(strings.TrimPrefix(ansible, "ansible-playbook [core "), "]")})
	}
	return facts, nil
}

func firstLine(ctx context.Context, argv ...string) (string, error) {
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
