// Package queue keeps tasks in the Redis of a cluster.
//
// A task is in exactly one place: the line of those that wait (pending), a lease
// (a worker runs it), the schedule (its time has not come, or it is tried again),
// or among the dead. Each move is one script, so none is lost or doubled between
// two places. Who reserves a task gets a token with it, and only the token's owner
// may end, retry or extend it: a worker that was thought dead cannot disturb the
// one that runs its task now. A task is run at least once.
//
// The keys of a queue q:
//
//	task_list (q is "default") or rsm:{q}:pending   list of ids, next one at the right
//	rsm:{q}:pending:<lane>   those of a priority, a worker or labels; rsm:{q}:lanes names them
//	rsm:{q}:m                hash of id to message
//	rsm:{q}:lease, :own      sorted set of id to deadline, hash of id to token
//	rsm:{q}:sched, :dead     sorted sets of id to run time, to time of death
//	rsm:{q}:a, :c, :err      hashes of id to failed attempts, crashes, last error
//	rsm:{q}:u, uk:<key>      unique keys: hash of id to key, and who holds a key
//	rsm:{q}:lane             hash of id to lane
//	rsm:{q}:done, :res       sorted set of id to end of retention, hash of id to result
//	rsm:{q}:s, :events       counters per day, stream of what happened
//	rsm:{q}:watched          somebody watches: each start and end is an event, too
//	rsm:{q}:paused, :hungry  "pause" or "drain"; workers that wait for its end
//	worker_list:<worker>     list of ids that a worker has
//	rsm:workers, rsm:wake:<worker>   when each was last alive; what it must hear
//
// Any program may LPUSH onto the pending list what is not an id of a task, such as
// `{"type":"mail","to":"x"}`: it becomes a task with a new id when a worker takes
// it, and two equal ones are two tasks.
package queue

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"rsm/schema"
)

// Queue is a queue of a cluster. It may be used by several goroutines.
type Queue struct {
	rdb *redis.Client
	set schema.Queue
}

// New returns the queue of the settings. Nothing is asked of the server yet; rdb is
// closed by whoever made it.
func New(rdb *redis.Client, settings schema.Queue) *Queue {
	return &Queue{rdb: rdb, set: settings}
}

// Name is the queue's name.
func (q *Queue) Name() string { return q.set.Name }

// Settings are what New got.
func (q *Queue) Settings() schema.Queue { return q.set }

// PendingKey is the list of a queue onto which any program may push.
func PendingKey(queue string) string {
	if queue == "default" {
		return "task_list"
	}
	return "rsm:{" + queue + "}:pending"
}

func (q *Queue) key(name string) string { return "rsm:{" + q.set.Name + "}:" + name }

// Outcome says what became of a task that was added.
type Outcome string

// The outcomes.
const (
	Added Outcome = "added"
	// Exists: the queue has a task of this id, or keeps its result.
	Exists Outcome = "exists"
	// Held: another task has the unique key.
	Held Outcome = "held"
	// Full: as many wait as the queue takes, see schema.Queue.Max.
	Full Outcome = "full"
	// Draining: the queue takes no new tasks.
	Draining Outcome = "draining"
)

// Receipt is the answer to a task that was added.
type Receipt struct {
	ID      string
	Outcome Outcome
	// Holder is the task that has the key, when Held.
	Holder string
}

// What Add returns besides trouble with the server.
var (
	ErrFull     = errors.New("the queue is full")
	ErrDraining = errors.New("the queue is drained and takes no new tasks")
	// ErrNotReplicated: it was added, but no replica confirmed it in time.
	ErrNotReplicated = errors.New("no replica has confirmed it")
)

// A script takes this many tasks, or so many bytes of them, and blocks the server
// for a few milliseconds.
const (
	batchTasks = 1000
	batchBytes = 4 << 20
)

// Add adds tasks, in order, and returns a receipt for each. A task without an id
// gets one. When it fails, receipts without an Outcome are of tasks that may or may
// not have been added: to add those again with the id of the receipt does no harm.
// A task that is refused is an error, ErrFull or ErrDraining; one that is there
// already, or whose key is held, is none.
func (q *Queue) Add(ctx context.Context, tasks ...Task) ([]Receipt, error) {
	receipts, args := make([]Receipt, len(tasks)), make([]string, 0, 3*len(tasks))
	for i, t := range tasks {
		id, msg, more, err := t.Encode()
		if err != nil {
			return nil, fmt.Errorf("add to queue %s: %w", q.set.Name, err)
		}
		receipts[i].ID = id
		args = append(args, id, msg, more)
	}
	for from := 0; from < len(tasks); {
		to := batchEnd(args, from)
		if err := q.add(ctx, args[3*from:3*to], receipts[from:to]); err != nil {
			return receipts, fmt.Errorf("add to queue %s: %w", q.set.Name, err)
		}
		from = to
	}
	return receipts, q.refused(receipts)
}

// batchEnd says how many tasks go with the one at from.
func batchEnd(args []string, from int) int {
	bytes, to := 0, from
	for to < len(args)/3 && to < from+batchTasks {
		if bytes += len(args[3*to+1]); bytes > batchBytes && to > from {
			break
		}
		to++
	}
	return to
}

func (q *Queue) add(ctx context.Context, tasks []string, receipts []Receipt) error {
	args := make([]any, 0, 2+len(tasks))
	args = append(args, q.set.Name, q.set.Max)
	for _, word := range tasks {
		args = append(args, word)
	}
	var said []string
	var err error
	if q.set.Durable {
		said, err = q.addDurable(ctx, args)
	} else {
		said, err = enqueueScript.Run(ctx, q.rdb, nil, args...).StringSlice()
	}
	for i := range min(len(said), len(receipts)) {
		receipts[i].Outcome = Outcome(said[i])
		if holder, ok := strings.CutPrefix(said[i], "unique "); ok {
			receipts[i].Outcome, receipts[i].Holder = Held, holder
		}
	}
	return err
}

// addDurable waits for a replica behind the script, on the same connection: WAIT
// counts the replicas that have what this connection wrote.
func (q *Queue) addDurable(ctx context.Context, args []any) ([]string, error) {
	timeout := q.set.DurableTimeout
	if timeout <= 0 {
		timeout = time.Second
	}
	rdb := q.rdb.WithTimeout(timeout + 3*time.Second)
	run := func(add func(redis.Pipeliner) *redis.Cmd) ([]string, error) {
		pipe := rdb.Pipeline()
		added, confirmed := add(pipe), pipe.Do(ctx, "WAIT", 1, timeout.Milliseconds())
		_, _ = pipe.Exec(ctx) // each command tells of its error
		said, err := added.StringSlice()
		var replicas int64
		if err == nil {
			replicas, err = confirmed.Int64()
		}
		if err == nil && replicas < 1 {
			err = fmt.Errorf("%w within %s: is there a replica, and does it follow? To add it again with the same id is safe",
				ErrNotReplicated, timeout)
		}
		return said, err
	}
	said, err := run(func(p redis.Pipeliner) *redis.Cmd { return p.EvalSha(ctx, enqueueScript.Hash(), nil, args...) })
	if redis.HasErrorPrefix(err, "NOSCRIPT") {
		return run(func(p redis.Pipeliner) *redis.Cmd { return p.Eval(ctx, enqueueSource, nil, args...) })
	}
	return said, err
}

// refused is the error of the first task that was not taken.
func (q *Queue) refused(receipts []Receipt) error {
	for _, r := range receipts {
		switch r.Outcome {
		case Full:
			return fmt.Errorf("add to queue %s: task %s: %w: %d may wait", q.set.Name, r.ID, ErrFull, q.set.Max)
		case Draining:
			return fmt.Errorf("add to queue %s: task %s: %w", q.set.Name, r.ID, ErrDraining)
		}
	}
	return nil
}
