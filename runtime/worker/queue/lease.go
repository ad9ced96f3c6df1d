package queue

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// Lease is a task that a worker has.
type Lease struct {
	Task
	// Token proves that it is this worker's.
	Token string
	// Failures is how often it was run and failed, Crashes how often its worker
	// died.
	Failures, Crashes int
	// Broken says why the task cannot be run, such as JSON that is none; nil else.
	Broken error
}

// Demand is what a worker reserves.
type Demand struct {
	// Worker is its name, Labels what LabelPairs made of its labels.
	Worker string
	Labels []string
	// Token must differ from all before; it begins with the worker's name and "/".
	Token string
	// Tasks is how many at most, to 1000.
	Tasks int
}

// Shortage says why a worker got fewer tasks than it asked for.
type Shortage string

// The shortages.
const (
	// Empty: no more wait.
	Empty Shortage = ""
	// Paused, AtLimit (schema.Queue.Concurrency): the worker is woken when that is
	// over, see Hear.
	Paused  Shortage = "paused"
	AtLimit Shortage = "full"
	// TooFast: the rate allows the next in a while.
	TooFast Shortage = "rate"
)

// Reserve takes tasks from the queue, at most d.Tasks, those for the worker and its
// labels first. They are the worker's for schema.Queue.Lease. When there are none,
// it says why, and how long to wait when TooFast.
func (q *Queue) Reserve(ctx context.Context, d Demand) ([]Lease, Shortage, time.Duration, error) {
	args := []any{q.set.Name, min(d.Tasks, batchTasks), q.set.Lease.Milliseconds(), d.Token, d.Worker, q.set.Rate, q.set.Concurrency}
	for _, label := range d.Labels {
		args = append(args, label)
	}
	reply, err := reserveScript.Run(ctx, q.rdb, nil, args...).Slice()
	if err == nil && len(reply) != 5 {
		err = fmt.Errorf("the answer has %d parts", len(reply))
	}
	if err != nil {
		return nil, Empty, 0, fmt.Errorf("reserve from queue %s: %w", q.set.Name, err)
	}
	why, _ := reply[0].(string)
	wait, _ := reply[1].(int64)
	return readLeases(d.Token, reply), Shortage(why), time.Duration(wait) * time.Millisecond, nil
}

// readLeases reads the lists of ids, messages and histories.
func readLeases(token string, reply []any) []Lease {
	ids, messages := words(reply[2]), words(reply[3])
	leases := make([]Lease, min(len(ids), len(messages)))
	for i := range leases {
		leases[i].Token = token
		leases[i].Task, leases[i].Broken = decode(ids[i], messages[i])
	}
	histories, _ := reply[4].([]any)
	for i := 0; i+2 < len(histories); i += 3 {
		at, _ := histories[i].(int64)
		failures, _ := histories[i+1].(int64)
		crashes, _ := histories[i+2].(int64)
		if at >= 0 && at < int64(len(leases)) {
			leases[at].Failures, leases[at].Crashes = int(failures), int(crashes)
		}
	}
	return leases
}

// Done is a task that was run well.
type Done struct {
	ID, Token string
	// Result is JSON that is kept for Keep, when that is above 0.
	Result []byte
	Keep   time.Duration
}

// Ack ends tasks. It returns the ids that are not this worker's any more.
func (q *Queue) Ack(ctx context.Context, worker string, done []Done) (lost []string, err error) {
	args := make([]any, 0, 2+3*len(done))
	args = append(args, q.set.Name, worker)
	for _, d := range done {
		keep := ""
		if d.Keep > 0 {
			keep = strconv.FormatInt(roundUp(d.Keep), 10) + "|" + string(d.Result)
		}
		args = append(args, d.ID, d.Token, keep)
	}
	lost, err = ackScript.Run(ctx, q.rdb, nil, args...).StringSlice()
	return lost, wrap("end tasks of queue "+q.set.Name, err)
}

// Verdict is what becomes of a task that was not run well.
type Verdict string

// The verdicts.
const (
	// Retry: it failed; it is run again after the delay, or is dead when that was
	// the last time.
	Retry Verdict = "retry"
	// Later: it is run after the delay, and this time does not count.
	Later Verdict = "snooze"
	// Back: it is the next to be run, and this time does not count.
	Back Verdict = "back"
	// Bury: it is dead.
	Bury Verdict = "dead"
)

// Failure is a task that was not run well.
type Failure struct {
	ID, Token string
	Verdict   Verdict
	Delay     time.Duration
	// Attempts is how often it may be run in all.
	Attempts int
	// Why is kept with the task, up to 1 KiB of it.
	Why string
}

const mostWhy = 1 << 10

// Nack gives tasks back. It returns the ids that are not this worker's any more.
func (q *Queue) Nack(ctx context.Context, worker string, failures []Failure) (lost []string, err error) {
	args := make([]any, 0, 2+6*len(failures))
	args = append(args, q.set.Name, worker)
	for _, f := range failures {
		args = append(args, f.ID, f.Token, string(f.Verdict), roundUp(max(0, f.Delay)), max(1, f.Attempts), clip(f.Why, mostWhy))
	}
	lost, err = nackScript.Run(ctx, q.rdb, nil, args...).StringSlice()
	return lost, wrap("give tasks back to queue "+q.set.Name, err)
}

func clip(text string, most int) string {
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}

// Holding names a task that a worker has.
type Holding struct{ ID, Token string }

// Extend keeps tasks for another schema.Queue.Lease from now. lost are the ids that
// another worker may have by now, cancelled those that nobody is to run.
func (q *Queue) Extend(ctx context.Context, held []Holding) (lost, cancelled []string, err error) {
	args := make([]any, 0, 2+2*len(held))
	args = append(args, q.set.Name, q.set.Lease.Milliseconds())
	for _, h := range held {
		args = append(args, h.ID, h.Token)
	}
	reply, err := extendScript.Run(ctx, q.rdb, nil, args...).Slice()
	if err == nil && len(reply) != 2 {
		err = fmt.Errorf("the answer has %d words", len(reply))
	}
	if err != nil {
		return nil, nil, wrap("extend tasks of queue "+q.set.Name, err)
	}
	return words(reply[0]), words(reply[1]), nil
}

func words(reply any) []string {
	list, _ := reply.([]any)
	out := make([]string, 0, len(list))
	for _, word := range list {
		if text, ok := word.(string); ok {
			out = append(out, text)
		}
	}
	return out
}

// HeldBy returns what a worker has of this queue.
func (q *Queue) HeldBy(ctx context.Context, worker string) ([]Holding, error) {
	ids, err := q.rdb.LRange(ctx, "worker_list:"+worker, 0, -1).Result()
	if err != nil || len(ids) == 0 {
		return nil, wrap("list tasks of worker "+worker, err)
	}
	tokens, err := q.rdb.HMGet(ctx, q.key("own"), ids...).Result()
	if err != nil {
		return nil, wrap("list tasks of worker "+worker, err)
	}
	var held []Holding
	for i, token := range tokens {
		if text, ok := token.(string); ok {
			held = append(held, Holding{ids[i], text})
		}
	}
	return held, nil
}

// tickLimit bounds how long one Tick keeps the server busy: a few milliseconds.
const tickLimit = 500

// Tick moves what is due: scheduled tasks whose time has come, tasks whose lease has
// ended, old results and dead tasks. next is how long until there is more to do, 0
// when there is now, negative when nothing is known.
func (q *Queue) Tick(ctx context.Context) (next time.Duration, err error) {
	retention := q.set.DeadRetention.Milliseconds()
	if retention <= 0 {
		retention = (100 * 365 * 24 * time.Hour).Milliseconds()
	}
	reply, err := tickScript.Run(ctx, q.rdb, nil, q.set.Name, tickLimit, max(1, q.set.Crashes), retention,
		q.set.Reassign.Milliseconds()).Int64Slice()
	if err == nil && len(reply) != 2 {
		err = fmt.Errorf("the answer has %d words", len(reply))
	}
	if err != nil {
		return 0, wrap("tick of queue "+q.set.Name, err)
	}
	return time.Duration(reply[0]) * time.Millisecond, nil
}

// Peek waits up to block, a second or more, for the shared line to have a task. It
// takes none: it moves the last one to where it is. It returns when ctx ends.
func (q *Queue) Peek(ctx context.Context, block time.Duration) (bool, error) {
	list := PendingKey(q.set.Name)
	_, err := interruptible(ctx, func(ctx context.Context) (string, error) {
		return q.rdb.BLMove(ctx, list, list, "RIGHT", "RIGHT", block).Result()
	})
	if errors.Is(err, redis.Nil) {
		return false, nil
	}
	return err == nil, wrap("wait for queue "+q.set.Name, err)
}

// Hear waits up to block, a second or more, for a word to a worker: "" asks it to
// look for tasks in every queue, "cancel <queue> <token> <id>" to stop one. ok is false when
// there was none. It returns when ctx ends; a word that comes then may be lost.
func Hear(ctx context.Context, rdb *redis.Client, worker string, block time.Duration) (word string, ok bool, err error) {
	reply, err := interruptible(ctx, func(ctx context.Context) ([]string, error) {
		return rdb.BRPop(ctx, block, "rsm:wake:"+worker).Result()
	})
	if errors.Is(err, redis.Nil) {
		return "", false, nil
	}
	if err != nil || len(reply) != 2 {
		return "", false, wrap("hear of queues", err)
	}
	return reply[1], true, nil
}

// interruptible leaves a command that blocks when ctx ends, which go-redis does not:
// it heeds deadlines alone. The connection is free when the command has ended.
func interruptible[T any](ctx context.Context, command func(context.Context) (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	answers := make(chan answer, 1)
	go func() {
		value, err := command(context.WithoutCancel(ctx))
		answers <- answer{value, err}
	}()
	select {
	case a := <-answers:
		return a.value, a.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// Beat tells that a worker is alive, and returns the time of the server. Tasks for
// priorities, labels and workers wake those that did so in the last minute.
func Beat(ctx context.Context, rdb *redis.Client, worker string) (time.Time, error) {
	ms, err := beatScript.Run(ctx, rdb, nil, worker).Int64()
	return time.UnixMilli(ms), wrap("beat of worker "+worker, err)
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
