package ledger

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// Event is one thing that happened. Events tell of changes: a pass that finds
// everything as it was tells nothing.
type Event struct {
	Time time.Time `json:"ts"`
	// Level is info, warning or error.
	Level string `json:"level"`
	// Type is what happened: see the list in docs/gitops.md.
	Type    string `json:"type"`
	Cluster string `json:"cluster,omitempty"`
	Commit  string `json:"commit,omitempty"`
	Attempt int    `json:"attempt,omitempty"`
	Message string `json:"message"`
}

const (
	eventsNow    = "events.jsonl"
	eventsBefore = "events.1.jsonl"
	// maxEvents is the size of one part of the events, in bytes.
	maxEvents = 4 << 20
	// lookTime is how often Follow looks for more.
	lookTime = 200 * time.Millisecond
)

// Tell appends an event. When the file is full it becomes the part before, and
// the one that was that is forgotten.
func (l *Ledger) Tell(e Event) error {
	line, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("encode event: %w", err)
	}
	return l.locked(func() error {
		if info, err := os.Stat(l.path(eventsNow)); err == nil && info.Size() > maxEvents {
			if err := os.Rename(l.path(eventsNow), l.path(eventsBefore)); err != nil {
				return fmt.Errorf("rotate events: %w", err)
			}
		}
		file, err := os.OpenFile(l.path(eventsNow), os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
		if err != nil {
			return fmt.Errorf("write event: %w", err)
		}
		if !whole(file) { // a crash left half a line
			line = append([]byte("\n"), line...)
		}
		_, err = file.Write(append(line, '\n'))
		return errors.Join(err, file.Close())
	})
}

// whole reports whether a file ends with a line.
func whole(file *os.File) bool {
	info, err := file.Stat()
	if err != nil || info.Size() == 0 {
		return true
	}
	last := make([]byte, 1)
	_, err = file.ReadAt(last, info.Size()-1)
	return err == nil && last[0] == '\n'
}

// Events calls each for every event that is known, the oldest first.
func (l *Ledger) Events(each func(Event) error) error {
	for _, name := range []string{eventsBefore, eventsNow} {
		if _, err := l.events(name, 0, each); err != nil {
			return err
		}
	}
	return nil
}

// Follow calls each for every event from now on, until ctx ends. It returns nil
// then.
func (l *Ledger) Follow(ctx context.Context, each func(Event) error) error {
	return l.FollowFrom(ctx, l.End(), each)
}

// Tail is Events, and then Follow, without a gap between the two.
func (l *Ledger) Tail(ctx context.Context, each func(Event) error) error {
	if _, err := l.events(eventsBefore, 0, each); err != nil {
		return err
	}
	at, err := l.events(eventsNow, 0, each)
	if err != nil {
		return err
	}
	return l.FollowFrom(ctx, at, each)
}

// FollowFrom is Follow from an End on. What was told before ctx ends is heard.
func (l *Ledger) FollowFrom(ctx context.Context, at int64, each func(Event) error) error {
	tick := time.NewTicker(lookTime)
	defer tick.Stop()
	for ended := false; !ended; {
		select {
		case <-ctx.Done():
			ended = true
		case <-tick.C:
		}
		if l.End() < at { // there is a new file
			if _, err := l.events(eventsBefore, at, each); err != nil {
				return err
			}
			at = 0
		}
		var err error
		if at, err = l.events(eventsNow, at, each); err != nil {
			return err
		}
	}
	return nil
}

// End is the place behind the newest event.
func (l *Ledger) End() int64 {
	info, err := os.Stat(l.path(eventsNow))
	if err != nil {
		return 0
	}
	return info.Size()
}

// events reads a file from an offset on and returns the offset of its end. A line
// without an end, which a crash leaves, is not read.
func (l *Ledger) events(name string, at int64, each func(Event) error) (int64, error) {
	file, err := os.Open(l.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return at, nil
	}
	if err != nil {
		return at, fmt.Errorf("read events: %w", err)
	}
	defer file.Close()
	if _, err := file.Seek(at, io.SeekStart); err != nil {
		return at, fmt.Errorf("read events: %w", err)
	}
	for r := bufio.NewReader(file); ; {
		line, err := r.ReadBytes('\n')
		if err != nil {
			return at, nil
		}
		at += int64(len(line))
		var e Event
		if json.Unmarshal(line, &e) != nil {
			continue
		}
		if err := each(e); err != nil {
			return at, err
		}
	}
}
