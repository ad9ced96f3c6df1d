package handler

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"rsm/runtime/bus"
)

// Samples reads the events of a time, the oldest first.
type Samples interface {
	// Read gives each event that entered the stream from from on and before until to
	// each: when it did, and its JSON, which is valid during the call alone. An
	// error of each ends it.
	Read(ctx context.Context, from, until time.Time, each func(at time.Time, event []byte) error) error
}

// StreamSamples reads bus.Stream.
type StreamSamples struct{ Redis redis.Cmdable }

// page is how many entries are read at a time: some 500 kB.
const page = 1000

// Read implements Samples.
func (s StreamSamples) Read(ctx context.Context, from, until time.Time, each func(at time.Time, event []byte) error) error {
	// An end without a sequence number means the last of its millisecond, also with "(".
	next, last := strconv.FormatInt(from.UnixMilli(), 10), strconv.FormatInt(until.UnixMilli()-1, 10)
	for {
		entries, err := s.Redis.XRangeN(ctx, bus.Stream, next, last, page).Result()
		if err != nil {
			return fmt.Errorf("read samples: %w", err)
		}
		for _, entry := range entries {
			text, ok := entry.Values["j"].(string)
			millis, _, _ := strings.Cut(entry.ID, "-")
			at, err := strconv.ParseInt(millis, 10, 64)
			if !ok || err != nil {
				continue
			}
			if err := each(time.UnixMilli(at).UTC(), []byte(text)); err != nil {
				return err
			}
		}
		if len(entries) < page {
			return nil
		}
		next = "(" + entries[len(entries)-1].ID
	}
}
