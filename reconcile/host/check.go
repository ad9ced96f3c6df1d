package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"rsm/reconcile"
)

// endOfConfig is no directive of any Redis. Redis reads a configuration in
// order and exits at the first line it refuses: when that is this one, all lines
// before it are good. So nothing ever starts.
const endOfConfig = "rsm-end-of-config x"

var refusal = regexp.MustCompile(`(?m)at line (\d+)\r?\n>>> .*\r?\n(.*)$`)

// CheckConfig asks the redis-server binary which of the directives it refuses,
// and why. No port is opened and no file is touched. The error says why it could
// not be asked; bad is nil when all are good.
func (h *Host) CheckConfig(ctx context.Context, config map[string]string) (bad map[string]string, err error) {
	path, err := h.findBinary(binaryName(reconcile.KindRedis))
	if err != nil {
		return nil, err
	}
	keys := slices.Sorted(maps.Keys(config))
	id := identity(path)
	for _, key := range keys {
		id += fmt.Sprintf("\n%q=%q", key, config[key])
	}
	h.mu.Lock()
	bad, known := h.checks[id]
	h.mu.Unlock()
	if known {
		return maps.Clone(bad), nil
	}
	ctx, cancel := context.WithTimeout(ctx, binaryTimeout)
	defer cancel()
	for {
		key, reason, err := firstBad(ctx, path, config, keys)
		if err != nil {
			return nil, fmt.Errorf("check config: %w", err)
		}
		if key == "" {
			break
		}
		if bad == nil {
			bad = map[string]string{}
		}
		bad[key] = reason
		keys = slices.DeleteFunc(keys, func(k string) bool { return k == key })
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.checks == nil {
		h.checks = map[string]map[string]string{}
	}
	h.checks[id] = maps.Clone(bad)
	return bad, nil
}

// firstBad returns the first key that the binary refuses, empty for none.
func firstBad(ctx context.Context, path string, config map[string]string, keys []string) (key, reason string, err error) {
	var text bytes.Buffer
	var owners []string // the key of each line
	for _, key := range keys {
		for _, d := range render(key, config[key]) {
			text.WriteString(d.line() + "\n")
			owners = append(owners, key)
		}
	}
	text.WriteString(endOfConfig + "\n")
	cmd := exec.CommandContext(ctx, path, "-")
	cmd.Stdin, cmd.Env = &text, childEnv()
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return "", "", err
	}
	match := refusal.FindSubmatch(out)
	if match == nil {
		return "", "", fmt.Errorf("%s - did not refuse %q: %.200q", path, endOfConfig, out)
	}
	line, err := strconv.Atoi(string(match[1]))
	switch {
	case err != nil || line < 1 || line > len(owners)+1:
		return "", "", fmt.Errorf("%s - refused line %s of %d", path, match[1], len(owners)+1)
	case line == len(owners)+1:
		return "", "", nil
	}
	return owners[line-1], strings.TrimSpace(string(match[2])), nil
}
