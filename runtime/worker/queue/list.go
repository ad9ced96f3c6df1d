package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// State is where a task is.
type State string

// The states.
const (
	Pending   State = "pending"
	Active    State = "active"
	Scheduled State = "scheduled"
	Dead      State = "dead"
	// Finished: it was run well, and its result is kept.
	Finished State = "done"
)

// States are all, in the order in which people want them.
var States = []State{Pending, Active, Scheduled, Dead, Finished}

// ErrNotFound is a task that the queue does not have.
var ErrNotFound = errors.New("no such task")

// Info is what is known of a task.
type Info struct {
	Task
	State State
	// Owner is the worker that has it, when Active.
	Owner string
	// At is the end of the lease (Active), the time to run (Scheduled), that of its
	// death (Dead), or until when its result is kept (Finished); zero when Pending.
	At time.Time
	// Born is when it was added; zero when its id does not tell.
	Born time.Time
	// Failures is how often it was run and failed, Crashes how often its worker
	// died; LastError is that of the last failure.
	Failures, Crashes int
	LastError         string
	// Result is JSON, when Finished.
	Result json.RawMessage
	// Raw tells that a program pushed it by itself; it has no ID until a worker takes
	// it.
	Raw bool
}

// Page is a part of a list.
type Page struct{ Offset, Limit int64 }

// mostPage is how many tasks one page has at most.
const mostPage = 1000

func (p Page) bounds() (from, to int64) {
	if p.Limit <= 0 {
		p.Limit = 50
	}
	from = max(0, p.Offset)
	return from, from + min(p.Limit, mostPage) - 1
}

// List returns a page of the tasks in a state: those that come next first, of the
// dead the newest. total is how many there are. Tasks that wait for priorities,
// workers and labels come before those in the shared line.
func (q *Queue) List(ctx context.Context, state State, page Page) (list []Info, total int64, err error) {
	from, to := page.bounds()
	switch state {
	case Pending:
		list, total, err = q.listPending(ctx, from, to)
	case Active, Scheduled, Dead, Finished:
		list, total, err = q.listSorted(ctx, state, from, to)
	default:
		err = fmt.Errorf("state %q: it is one of %v", state, States)
	}
	return list, total, wrap("list "+string(state)+" tasks of queue "+q.set.Name, err)
}

// sorted are the names of the sorted sets.
var sorted = map[State]string{Active: "lease", Scheduled: "sched", Dead: "dead", Finished: "done"}

func (q *Queue) listSorted(ctx context.Context, state State, from, to int64) ([]Info, int64, error) {
	key := q.key(sorted[state])
	pipe := q.rdb.Pipeline()
	size := pipe.ZCard(ctx, key)
	rows := pipe.ZRangeArgsWithScores(ctx, redis.ZRangeArgs{Key: key, Start: from, Stop: to, Rev: state == Dead})
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, 0, err
	}
	list := make([]Info, 0, len(rows.Val()))
	for _, row := range rows.Val() {
		id, _ := row.Member.(string)
		list = append(list, Info{Task: Task{ID: id}, State: state, At: time.UnixMilli(int64(row.Score))})
	}
	list, err := q.fill(ctx, list)
	return list, size.Val(), err
}

func (q *Queue) listPending(ctx context.Context, from, to int64) ([]Info, int64, error) {
	lines, sizes, err := q.lines(ctx)
	if err != nil {
		return nil, 0, err
	}
	var list []Info
	total := int64(0)
	for i, line := range lines {
		first, last := max(from-total, 0), min(to-total, sizes[i]-1)
		total += sizes[i]
		if first > last {
			continue
		}
		// The right end comes first.
		words, err := q.rdb.LRange(ctx, line, -last-1, -first-1).Result()
		if err != nil {
			return nil, 0, err
		}
		for n := len(words) - 1; n >= 0; n-- {
			list = append(list, Info{Task: Task{ID: words[n]}, State: Pending})
		}
	}
	list, err = q.fill(ctx, list)
	return list, total, err
}

// lines are the lists of tasks that wait, and their sizes, the shared one last.
func (q *Queue) lines(ctx context.Context) (names []string, sizes []int64, err error) {
	lanes, err := q.rdb.ZRange(ctx, q.key("lanes"), 0, -1).Result()
	if err != nil {
		return nil, nil, err
	}
	for _, lane := range lanes {
		names = append(names, q.key("pending:"+lane))
	}
	names = append(names, PendingKey(q.set.Name))
	pipe := q.rdb.Pipeline()
	found := make([]*redis.IntCmd, len(names))
	for i, name := range names {
		found[i] = pipe.LLen(ctx, name)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, nil, err
	}
	for _, size := range found {
		sizes = append(sizes, size.Val())
	}
	return names, sizes, nil
}

// fill adds what the hashes know of tasks, and leaves out those that are gone
// meanwhile.
func (q *Queue) fill(ctx context.Context, list []Info) ([]Info, error) {
	if len(list) == 0 {
		return nil, nil
	}
	ids := make([]string, len(list))
	for i, info := range list {
		ids[i] = info.ID
	}
	pipe := q.rdb.Pipeline()
	r := q.ask(ctx, pipe, ids)
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, err
	}
	out := list[:0]
	for i, info := range list {
		if info, ok := r.complete(i, info); ok {
			out = append(out, info)
		}
	}
	return out, nil
}

// records are what the hashes know of tasks.
type records struct{ m, a, c, errs, own, res *redis.SliceCmd }

func (q *Queue) ask(ctx context.Context, pipe redis.Pipeliner, ids []string) records {
	get := func(name string) *redis.SliceCmd { return pipe.HMGet(ctx, q.key(name), ids...) }
	return records{m: get("m"), a: get("a"), c: get("c"), errs: get("err"), own: get("own"), res: get("res")}
}

// complete adds what is known of the i-th task that was asked for. It reports whether
// the task is there.
func (r records) complete(i int, info Info) (Info, bool) {
	msg, ok := r.m.Val()[i].(string)
	info.Failures, info.Crashes = number(r.a.Val()[i]), number(r.c.Val()[i])
	info.LastError, _ = r.errs.Val()[i].(string)
	token, _ := r.own.Val()[i].(string)
	info.Owner = owner(token)
	result, _ := r.res.Val()[i].(string)
	switch {
	case info.State == Finished:
		info.Result = json.RawMessage(result)
		info.Type = resultType(result)
	case !ok && info.State == Pending: // adopted when a worker takes it
		info.Task, _ = decode("", rawMark+info.ID)
		info.Raw = true
	case !ok:
		return info, false
	default:
		info.Task, _ = decode(info.ID, msg)
		info.Raw = strings.HasPrefix(msg, rawMark)
	}
	info.Born, _ = BornAt(info.ID)
	return info, true
}

func number(word any) int {
	text, _ := word.(string)
	n, _ := strconv.Atoi(text)
	return n
}

func owner(token string) string {
	name, _, _ := cutLast(token, "/")
	return name
}

func cutLast(text, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(text, sep)
	if i < 0 {
		return "", text, false
	}
	return text[:i], text[i+len(sep):], true
}

// resultType is the field "type" of a result that a Worker wrote.
func resultType(result string) string {
	var r struct {
		Type string `json:"type"`
	}
	_ = json.Unmarshal([]byte(result), &r) // another program's result may be anything
	return r.Type
}

// Get returns a task, or ErrNotFound.
func (q *Queue) Get(ctx context.Context, id string) (Info, error) {
	info := Info{Task: Task{ID: id}, State: Pending}
	// One transaction: a task that moves meanwhile would be in neither place.
	pipe := q.rdb.TxPipeline()
	known := q.ask(ctx, pipe, []string{id})
	scores := map[State]*redis.FloatCmd{}
	for state, name := range sorted {
		scores[state] = pipe.ZScore(ctx, q.key(name), id)
	}
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return Info{}, wrap("get task "+id+" of queue "+q.set.Name, err)
	}
	for state, score := range scores {
		if score.Err() == nil {
			info.State, info.At = state, time.UnixMilli(int64(score.Val()))
		}
	}
	info, _ = known.complete(0, info)
	if info.ID == "" || known.m.Val()[0] == nil && info.State != Finished {
		return Info{}, fmt.Errorf("queue %s has %w as %s", q.set.Name, ErrNotFound, strconv.Quote(id))
	}
	return info, nil
}
