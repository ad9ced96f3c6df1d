package dispatch

import (
	"context"
	_ "embed"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"rsm/runtime/bus"
	"rsm/runtime/worker/queue"
)

var (
	//go:embed lua/commit.lua
	commitText string
	//go:embed lua/group.lua
	groupText string
	//go:embed lua/look.lua
	lookText string
	//go:embed lua/trim.lua
	trimText string
	//go:embed lua/mark.lua
	markText string
	//go:embed lua/bridge.lua
	bridgeText string
)

// The scripts. redis.Script sends the digest, and the text when the server does not
// know it, as after a failover.
var (
	commitScript = redis.NewScript(queue.Prelude + commitText)
	groupScript  = redis.NewScript(groupText)
	lookScript   = redis.NewScript(lookText)
	trimScript   = redis.NewScript(trimText)
	markScript   = redis.NewScript(markText)
	bridgeScript = redis.NewScript(bridgeText)
)

// heard is a sign of life of an agent.
type heard struct {
	name, known string
	last        int64 // milliseconds since 1970
	deadline    time.Time
}

// commit is one call of the script.
type commit struct {
	// max is how many tasks may wait in a queue, by its name.
	max map[string]int64
	// plain are the entries that nothing comes of.
	plain []string
	heard []heard
	units []*unit
}

// What became of a unit.
const (
	done     = "ok"
	gone     = "gone"
	conflict = "conflict"
)

// result is what the script says.
type result struct {
	now                              time.Time
	added, existing, refused, copies int64
	units                            []string
}

// run does it all. After an error it may have been done or not, and may be done
// again.
func (c *commit) run(ctx context.Context, rdb redis.Scripter) (result, error) {
	reply, err := commitScript.Run(ctx, rdb, nil, c.args()...).Slice()
	if err != nil {
		return result{}, fmt.Errorf("commit: %w", err)
	}
	if len(reply) != 5+len(c.units) {
		return result{}, fmt.Errorf("commit: the script gave %d answers instead of %d", len(reply), 5+len(c.units))
	}
	var n [5]int64
	for i := range n {
		n[i], _ = reply[i].(int64)
	}
	r := result{now: time.UnixMilli(n[0]), added: n[1], existing: n[2], refused: n[3], copies: n[4]}
	for _, said := range reply[5:] {
		word, _ := said.(string)
		r.units = append(r.units, word)
	}
	return r, nil
}

func (c *commit) args() []any {
	queues, number := []any{}, map[string]int{}
	var units []any
	for _, u := range c.units {
		units = u.words(units, func(name string) int {
			if number[name] == 0 {
				number[name] = len(number) + 1
				queues = append(queues, name, c.max[name])
			}
			return number[name]
		})
	}
	args := append([]any{bus.Stream, bus.Group, Dead, len(queues) / 2}, queues...)
	args = append(args, len(c.plain))
	for _, id := range c.plain {
		args = append(args, id)
	}
	args = append(args, len(c.heard))
	for _, h := range c.heard {
		args = append(args, h.name, h.known, strconv.FormatInt(h.deadline.UnixMilli(), 10))
	}
	return append(append(args, len(c.units)), units...)
}
