package supervise

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// ErrLocked is what a *LockedError is, for errors.Is.
var ErrLocked = errors.New("locked")

// Holder tells who holds a lock.
type Holder struct {
	PID     int       `json:"pid"`
	Command string    `json:"command"`
	Since   time.Time `json:"since"`
}

// LockedError says that a lock is held, and by whom.
type LockedError struct {
	Path string
	// Holder is zero when the holder has not yet written who it is.
	Holder Holder
}

// Error names the holder.
func (e *LockedError) Error() string {
	if e.Holder.PID == 0 {
		return "lock " + e.Path + ": held by another process"
	}
	return fmt.Sprintf("lock %s: held by %s (pid %d) since %s", e.Path, e.Holder.Command, e.Holder.PID,
		e.Holder.Since.Local().Format(time.DateTime))
}

// Is makes errors.Is(err, ErrLocked) true.
func (e *LockedError) Is(target error) bool { return target == ErrLocked }

// Lock is a lock that is held.
type Lock struct{ file *os.File }

// Acquire takes the lock of the file, which it creates and never removes. It
// tries at once, then until ctx ends, and then returns a *LockedError. The
// kernel frees the lock when the holder dies (flock(2)); children do not
// inherit it. command is what others are told; now is the time they are told.
func Acquire(ctx context.Context, path, command string, now time.Time) (*Lock, error) {
	// Go opens files close-on-exec: a child that held the descriptor would keep
	// the lock after us.
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	if err := wait(ctx, file); err != nil {
		_ = file.Close()
		return nil, err
	}
	lock := &Lock{file: file}
	if err := lock.sign(Holder{PID: os.Getpid(), Command: command, Since: now}); err != nil {
		_ = lock.Release()
		return nil, err
	}
	return lock, nil
}

// Release frees the lock.
func (l *Lock) Release() error {
	_ = l.file.Truncate(0) // who comes next must not be taken for us
	return l.file.Close()
}

func (l *Lock) sign(h Holder) error {
	text, err := json.Marshal(h)
	if err != nil {
		return fmt.Errorf("encode lock holder: %w", err)
	}
	if err := l.file.Truncate(0); err != nil {
		return fmt.Errorf("write lock: %w", err)
	}
	if _, err := l.file.WriteAt(append(text, '\n'), 0); err != nil {
		return fmt.Errorf("write lock: %w", err)
	}
	return nil
}

func wait(ctx context.Context, file *os.File) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR):
			return fmt.Errorf("lock %s: %w", file.Name(), err)
		}
		select {
		case <-ctx.Done():
			return &LockedError{Path: file.Name(), Holder: readHolder(file.Name())}
		case <-tick.C:
		}
	}
}

// readHolder returns the zero Holder when the file holds none.
func readHolder(path string) Holder {
	var h Holder
	text, err := os.ReadFile(path)
	if err != nil || json.Unmarshal(text, &h) != nil {
		return Holder{}
	}
	return h
}
