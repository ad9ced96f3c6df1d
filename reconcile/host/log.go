package host

import (
	"io"
	"os"
	"regexp"
	"strings"

	"rsm/reconcile"
)

// logWindow is how much of a log's end is looked at; logs may be huge.
const logWindow = 64 << 10

// logPrefix is "pid:role date time level " at the start of a Redis log line.
var logPrefix = regexp.MustCompile(`^\d+:[A-Z] \d+ \w+ \d+ [\d:.]+ [#*.-] `)

// LogTail returns the last lines of the role's log, at most 64 KiB, for messages
// about a process that ended. Redis logs no passwords, unless it refuses the
// line of its configuration where one stands.
func (h *Host) LogTail(ref reconcile.RoleRef, lines int) []string {
	all := logLines(h.readLog(ref, 0))
	return all[max(0, len(all)-lines):]
}

// lastWords returns the end of what the process logged since the offset, on one
// line: from a fatal error on, where there is one.
func (h *Host) lastWords(ref reconcile.RoleRef, from int64) string {
	text := h.readLog(ref, from)
	if _, fatal, found := strings.Cut(text, "*** "); found {
		text = fatal
	}
	lines := logLines(text)
	if len(lines) == 0 {
		return "it logged nothing"
	}
	for i := range lines {
		lines[i] = strings.TrimSpace(logPrefix.ReplaceAllString(lines[i], ""))
	}
	return strings.Join(lines[max(0, len(lines)-4):], "; ") + " (log: " + h.roleDir(ref, "log") + ")"
}

// readLog returns the log from the offset on, but not more than its end.
func (h *Host) readLog(ref reconcile.RoleRef, from int64) string {
	file, err := os.Open(h.roleDir(ref, "log"))
	if err != nil {
		return ""
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return ""
	}
	from = max(from, info.Size()-logWindow)
	text, _ := io.ReadAll(io.NewSectionReader(file, from, logWindow))
	return string(text)
}

// logLines splits a log and leaves blank lines out.
func logLines(text string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimRight(line, " \r\n"); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

func fileSize(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}
