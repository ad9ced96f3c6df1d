package fanin

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"rsm/runtime/bus"
)

// result is what was seen at one rate.
type result struct {
	sent, special, handed, waiting int64
	span                           time.Duration
	late                           []time.Duration
	redis, dispatchers, agents     float64 // of one core
}

// watch lets the crowd publish for a while and sees what becomes of it.
func (s *stage) watch(ctx context.Context, c *crowd, span time.Duration) (result, error) {
	r := result{span: span}
	following, stop := context.WithCancel(ctx)
	defer stop()
	seen := make(chan []time.Duration, 1)
	since := time.Now().Add(warmUp)
	go func() { seen <- s.follow(following, since) }()
	sending, cancel := context.WithTimeout(ctx, span)
	defer cancel()
	pids := []int{s.dispatchers[0].Process.Pid, s.dispatchers[1].Process.Pid}
	before := []time.Duration{used(s.server.Process.Pid), used(pids...), used(os.Getpid())}
	if err := c.run(sending); err != nil {
		return r, err
	}
	share := func(after, before time.Duration) float64 { return (after - before).Seconds() / span.Seconds() }
	r.redis, r.dispatchers, r.agents = share(used(s.server.Process.Pid), before[0]), share(used(pids...), before[1]), share(used(os.Getpid()), before[2])
	r.sent, r.special = c.sent.Load(), c.special.Load()
	if err := s.rest(ctx, &r); err != nil {
		return r, err
	}
	stop()
	r.late = <-seen
	slices.Sort(r.late)
	return r, nil
}

// rest waits until everything has been handed on, for as long as that goes on.
func (s *stage) rest(ctx context.Context, r *result) error {
	for left, since := int64(-1), time.Now(); time.Since(since) < 5*time.Second; time.Sleep(100 * time.Millisecond) {
		groups, err := s.client.XInfoGroups(ctx, bus.Stream).Result()
		if err != nil {
			return err
		}
		r.waiting = 0
		for _, g := range groups {
			r.waiting += g.Lag + g.Pending
		}
		if r.waiting != left {
			left, since = r.waiting, time.Now()
		}
		if r.waiting == 0 {
			break
		}
	}
	time.Sleep(200 * time.Millisecond) // for whoever follows
	handed, err := s.client.HLen(ctx, "rsm:{q}:m").Result()
	r.handed = handed
	return err
}

// warmUp is the time in which ten thousand agents send their first event, which is
// slower; what is late then does not count, what is lost does.
const warmUp = 3 * time.Second

// follow hears when tasks are added, by the clock of Redis, and returns how long
// after they were due that was.
func (s *stage) follow(ctx context.Context, since time.Time) (late []time.Duration) {
	from := "0"
	for ctx.Err() == nil {
		streams, err := s.client.XRead(ctx, &redis.XReadArgs{Streams: []string{"rsm:{q}:events", from}, Count: 1000, Block: 200 * time.Millisecond}).Result()
		if err != nil || len(streams) == 0 {
			continue
		}
		for _, m := range streams[0].Messages {
			from = m.ID
			added, _, _ := strings.Cut(m.ID, "-")
			for _, id := range strings.Fields(fmt.Sprint(m.Values["ids"])) {
				due, _, _ := strings.Cut(id, "-")
				if number(due) >= since.UnixMilli() {
					late = append(late, time.Duration(number(added)-number(due))*time.Millisecond)
				}
			}
		}
	}
	return late
}

func number(text string) int64 {
	n, _ := strconv.ParseInt(text, 10, 64)
	return n
}

// at is the time that a share of the tasks took at most.
func (r result) at(share float64) time.Duration {
	if len(r.late) == 0 {
		return 0
	}
	return r.late[min(int(share*float64(len(r.late))), len(r.late)-1)]
}

// lost is what was confirmed and not handed on.
func (r result) lost() int64 { return r.special - r.handed + r.waiting }

// broken says that more is wanted than is done.
func (r result) broken(rate float64) bool {
	return r.lost() != 0 || r.at(.99) > time.Second || float64(r.sent) < 0.9*rate*r.span.Seconds()
}

func (r result) row(o options, interval time.Duration) []string {
	rate := float64(o.agents) / interval.Seconds()
	percent := func(share float64) string { return fmt.Sprintf("%.0f %%", 100*share) }
	verdict := ""
	if interval == time.Second {
		verdict = fmt.Sprintf("0 lost, p99 ≤ %s: met", goal)
		if r.lost() != 0 || r.at(.99) > goal {
			verdict = fmt.Sprintf("0 lost, p99 ≤ %s: MISSED", goal)
		}
	}
	return []string{fmt.Sprintf("%.0f", rate), fmt.Sprintf("%.0f", float64(r.sent)/r.span.Seconds()), fmt.Sprint(r.lost()),
		r.at(.5).String(), r.at(.99).String(), r.at(1).String(), percent(r.redis), percent(r.dispatchers), percent(r.agents), verdict}
}
