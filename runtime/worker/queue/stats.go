package queue

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Stats are figures of a queue.
type Stats struct {
	Mode                                       Mode
	Pending, Active, Scheduled, Dead, Finished int64
	// Lanes are how many of those that wait do so for "high" or "low" priority,
	// "@<worker>" or "#<labels>".
	Lanes map[string]int64
	// Oldest is when the next one of the shared line was added; zero when there is
	// none, or its id does not tell.
	Oldest time.Time
	// Days are the counters of the last 30 days, by date: enqueued, done, failed,
	// retried, dead, recovered, cancelled, deleted, requeued.
	Days map[string]map[string]int64
	// Now is the time of the server.
	Now time.Time
}

// Today are the counters of this day (UTC).
func (s Stats) Today() map[string]int64 { return s.Days[s.Now.UTC().Format(time.DateOnly)] }

// Stats returns figures of the queue.
func (q *Queue) Stats(ctx context.Context) (Stats, error) {
	lines, sizes, err := q.lines(ctx)
	if err != nil {
		return Stats{}, wrap("count tasks of queue "+q.set.Name, err)
	}
	s := Stats{Lanes: map[string]int64{}, Days: map[string]map[string]int64{}}
	pipe := q.rdb.Pipeline()
	card := map[State]*redis.IntCmd{}
	for state, name := range sorted {
		card[state] = pipe.ZCard(ctx, q.key(name))
	}
	mode, next := pipe.Get(ctx, q.key("paused")), pipe.LIndex(ctx, PendingKey(q.set.Name), -1)
	counters, now := pipe.HGetAll(ctx, q.key("s")), pipe.Time(ctx)
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return Stats{}, wrap("count tasks of queue "+q.set.Name, err)
	}
	s.Mode, s.Now = Mode(mode.Val()), now.Val()
	s.Active, s.Scheduled, s.Dead, s.Finished = card[Active].Val(), card[Scheduled].Val(), card[Dead].Val(), card[Finished].Val()
	s.Oldest, _ = BornAt(next.Val())
	for i, line := range lines {
		s.Pending += sizes[i]
		if lane, ok := strings.CutPrefix(line, q.key("pending:")); ok && sizes[i] > 0 {
			s.Lanes[lane] = sizes[i]
		}
	}
	for field, value := range counters.Val() {
		s.count(field, value)
	}
	return s, nil
}

// count reads one counter, "<days since 1970>:<what>".
func (s Stats) count(field, value string) {
	days, what, ok := strings.Cut(field, ":")
	day, err := strconv.ParseInt(days, 10, 64)
	n, bad := strconv.ParseInt(value, 10, 64)
	if !ok || err != nil || bad != nil {
		return
	}
	date := time.Unix(day*86400, 0).UTC().Format(time.DateOnly)
	if s.Days[date] == nil {
		s.Days[date] = map[string]int64{}
	}
	s.Days[date][what] = n
}

// WorkerInfo is a worker that was alive in the last week.
type WorkerInfo struct {
	Name string
	// Seen is when it was last alive, Tasks how many it has, of all queues.
	Seen  time.Time
	Tasks int64
}

// Workers lists the workers of the cluster, those seen last first.
func Workers(ctx context.Context, rdb *redis.Client) ([]WorkerInfo, error) {
	rows, err := rdb.ZRevRangeWithScores(ctx, "rsm:workers", 0, -1).Result()
	if err != nil {
		return nil, wrap("list workers", err)
	}
	pipe := rdb.Pipeline()
	var out []WorkerInfo
	var sizes []*redis.IntCmd
	for _, row := range rows {
		name, _ := row.Member.(string)
		out = append(out, WorkerInfo{Name: name, Seen: time.UnixMilli(int64(row.Score))})
		sizes = append(sizes, pipe.LLen(ctx, "worker_list:"+name))
	}
	if _, err := pipe.Exec(ctx); err != nil && len(rows) > 0 {
		return nil, wrap("list workers", err)
	}
	for i, size := range sizes {
		out[i].Tasks = size.Val()
	}
	return out, nil
}

// Event is something that happened in a queue. Those that a person may ask for later
// are always written: retried, dead, recovered, reassigned, cancelled, deleted,
// requeued, paused, draining, resumed. Each task is enqueued, started and done; these
// are written only while somebody watches. A batch is one event. The last 1000 or so
// are kept.
type Event struct {
	// Entry is its place in the stream.
	Entry string
	At    time.Time
	Kind  string
	// IDs are the tasks, the first 16 of N.
	IDs []string
	N   int
	// Worker is who started or ended them, Why the error of retried and dead ones.
	Worker, Why string
}

// watchBlock is how long a watcher waits for the next event before it says again that
// it watches.
const watchBlock = 5 * time.Second

// Watch calls see for each event after an entry: "$" for what comes from now on, "0"
// for all that are kept. It returns when ctx ends, goes on with another master after
// a failover, and tells of trouble by down, which may be nil.
func (q *Queue) Watch(ctx context.Context, after string, see func(Event), down func(error)) error {
	if after == "$" { // an entry, so that none is missed between two calls
		last, err := q.rdb.XRevRangeN(ctx, q.key("events"), "+", "-", 1).Result()
		if err != nil {
			return wrap("watch queue "+q.set.Name, err)
		}
		after = "0"
		if len(last) > 0 {
			after = last[0].ID
		}
	}
	for {
		// Its end is later than that of XREAD, and soon after that of the last watcher.
		_ = q.rdb.Set(ctx, q.key("watched"), 1, 3*watchBlock).Err() // XREAD tells of trouble
		streams, err := q.rdb.XRead(ctx, &redis.XReadArgs{Streams: []string{q.key("events"), after}, Block: watchBlock, Count: 100}).Result()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && !errors.Is(err, redis.Nil) {
			if down != nil {
				down(wrap("watch queue "+q.set.Name, err))
			}
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(500 * time.Millisecond):
			}
		}
		for _, stream := range streams {
			for _, entry := range stream.Messages {
				after = entry.ID
				see(readEvent(entry))
			}
		}
	}
}

func readEvent(entry redis.XMessage) Event {
	text := func(field string) string { s, _ := entry.Values[field].(string); return s }
	e := Event{Entry: entry.ID, Kind: text("e"), IDs: strings.Fields(text("ids")), Worker: text("worker"), Why: text("why")}
	e.N, _ = strconv.Atoi(text("n"))
	stamp, _, _ := strings.Cut(entry.ID, "-")
	ms, _ := strconv.ParseInt(stamp, 10, 64)
	e.At = time.UnixMilli(ms)
	return e
}
