package sdnotify

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"syscall"
)

// Handler returns how to log to a stream: for the journal with priorities and
// without times, as it has its own, and for anybody else as slog does it. stream
// is the environment's JOURNAL_STREAM.
func Handler(w io.Writer, stream string) slog.Handler {
	if file, ok := w.(*os.File); ok && stream != "" && stream == identity(file) {
		return newJournal(w)
	}
	return slog.NewTextHandler(w, nil)
}

// identity is a file's device and inode, as in JOURNAL_STREAM.
func identity(file *os.File) string {
	var stat syscall.Stat_t
	if err := syscall.Fstat(int(file.Fd()), &stat); err != nil {
		return ""
	}
	return fmt.Sprintf("%d:%d", stat.Dev, stat.Ino)
}

// journal writes "<6>message key=value".
type journal struct {
	slog.Handler // writes the attributes into buffer
	out          *output
}

// output is shared by the handlers that came of one.
type output struct {
	mu     sync.Mutex
	w      io.Writer
	buffer bytes.Buffer
}

func newJournal(w io.Writer) journal {
	out := &output{w: w}
	own := func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey || a.Key == slog.MessageKey) {
			return slog.Attr{}
		}
		return a
	}
	return journal{slog.NewTextHandler(&out.buffer, &slog.HandlerOptions{ReplaceAttr: own}), out}
}

// Handle writes one line: the journal takes another one for another message.
func (j journal) Handle(ctx context.Context, r slog.Record) error {
	j.out.mu.Lock()
	defer j.out.mu.Unlock()
	j.out.buffer.Reset()
	if err := j.Handler.Handle(ctx, r); err != nil {
		return err
	}
	text := bytes.TrimRight(fmt.Appendf(nil, "<%d>%s %s", priority(r.Level), line(r.Message), j.out.buffer.Bytes()), " \n")
	_, err := j.out.w.Write(append(text, '\n'))
	return err
}

// WithAttrs returns a handler that writes to the same stream.
func (j journal) WithAttrs(attrs []slog.Attr) slog.Handler {
	return journal{j.Handler.WithAttrs(attrs), j.out}
}

// WithGroup returns a handler that writes to the same stream.
func (j journal) WithGroup(name string) slog.Handler {
	return journal{j.Handler.WithGroup(name), j.out}
}

// priority is that of syslog(3).
func priority(level slog.Level) int {
	switch {
	case level >= slog.LevelError:
		return 3
	case level >= slog.LevelWarn:
		return 4
	case level >= slog.LevelInfo:
		return 6
	}
	return 7
}
