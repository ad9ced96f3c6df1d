package dispatch

import (
	"context"
	"fmt"
	"time"

	"rsm/runtime/bus"
)

// upkeep trims the stream, and reads the figures that only Redis knows, until ctx
// ends.
func (d *Dispatcher) upkeep(ctx context.Context) error {
	var last error
	for ctx.Err() == nil {
		err := d.tidy(ctx)
		if err != nil && last == nil && ctx.Err() == nil {
			d.Log.Warn("tidy up", "error", err)
		}
		last = err
		pause(ctx, around(time.Second))
	}
	return nil
}

func (d *Dispatcher) tidy(ctx context.Context) error {
	of := d.Role.Dispatcher
	if err := trimScript.Run(ctx, d.client, nil, bus.Stream, bus.Group, of.KeepEvents, of.KeepFor.Milliseconds()).Err(); err != nil {
		return fmt.Errorf("trim the stream: %w", err)
	}
	pipe := d.client.Pipeline()
	groups, counts, agents, silent, dead := pipe.XInfoGroups(ctx, bus.Stream), pipe.HGetAll(ctx, Counts), pipe.HLen(ctx, Agents), pipe.HLen(ctx, Silent), pipe.XLen(ctx, Dead)
	_, _ = pipe.Exec(ctx) // there is no stream at first
	for _, g := range groups.Val() {
		if g.Name == bus.Group {
			d.meter.group(g.Lag, g.Pending)
		}
	}
	d.meter.seen(counts.Val(), agents.Val(), silent.Val(), dead.Val())
	return nil
}
