package bus

import (
	"context"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"
)

// batch is how many events one transaction holds; Redis does nothing else during
// one.
const batch = 200

// Publish writes events to Channel and Stream, which keeps the latest keep of
// them, about; 0 keeps all. After an error some may be written all the same: send
// all of them again, their ids tell the copies.
func Publish(ctx context.Context, rdb redis.Cmdable, keep int64, events ...[]byte) error {
	for len(events) > 0 {
		now := events[:min(batch, len(events))]
		_, err := rdb.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
			pipe.Publish(ctx, Marks, "in "+strconv.Itoa(len(now)))
			for _, event := range now {
				pipe.Publish(ctx, Channel, event)
				pipe.XAdd(ctx, &redis.XAddArgs{Stream: Stream, MaxLen: keep, Approx: keep > 0, Values: []any{"j", event}})
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("publish %d events: %w", len(events), err)
		}
		events = events[len(now):]
	}
	return nil
}
