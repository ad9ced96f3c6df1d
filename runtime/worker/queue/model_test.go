package queue_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"rsm/internal/redistest"
	"rsm/runtime/worker/queue"
	"rsm/schema"

	"github.com/redis/go-redis/v9"
)

// model is what the queue should hold, kept by the rules in plain Go.
type model struct {
	tasks map[string]*modelTask
	locks map[string]string
}

type modelTask struct {
	state             queue.State
	failures, crashes int
	key               string
	token             string
}

func (m *model) unlock(id string) {
	if t := m.tasks[id]; t.key != "" && m.locks[t.key] == id {
		delete(m.locks, t.key)
	}
}

func (m *model) in(state queue.State) (ids []string) {
	for id, t := range m.tasks {
		if t.state == state {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// Random operations, most of them right and some of them wrong, leave the queue as
// the model says, after each.
func TestModel(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			rdb := redis.NewClient(&redis.Options{Addr: redistest.Start(t).Addr()})
			defer rdb.Close()
			b := on(t, rdb, func(q *schema.Queue) { q.Name, q.Crashes = "mail", 2 })
			w := &walk{bench: b, r: rand.New(rand.NewPCG(seed, 1)), m: &model{tasks: map[string]*modelTask{}, locks: map[string]string{}}}
			for step := range 600 {
				what := w.step()
				w.compare()
				if t.Failed() {
					t.Fatalf("after step %d, %s", step, what)
				}
			}
		})
	}
}

type walk struct {
	*bench
	r *rand.Rand
	m *model
}

func (w *walk) id() string { return fmt.Sprint("t", w.r.IntN(12)) }

func (w *walk) pick(state queue.State) (string, bool) {
	all := w.m.in(state)
	if len(all) == 0 {
		return "", false
	}
	return all[w.r.IntN(len(all))], true
}

func (w *walk) step() string {
	steps := []func() string{w.addOne, w.addOne, w.addOne, w.reserveSome, w.reserveSome, w.ackOne, w.nackOne, w.nackOne, w.stranger,
		w.expireOne, w.dueOne, w.removeOne, w.retryOne}
	return steps[w.r.IntN(len(steps))]()
}

func (w *walk) addOne() string {
	task := queue.Task{ID: w.id(), Type: "t", Priority: queue.Priority(w.r.IntN(3) - 1)}
	state := queue.Pending
	if w.r.IntN(4) == 0 {
		task.Delay, state = time.Hour, queue.Scheduled
	}
	if w.r.IntN(4) == 0 {
		task.Worker, task.Priority = "w1", queue.Priority(w.r.IntN(2))
	}
	key := ""
	if w.r.IntN(3) == 0 {
		key = fmt.Sprint("k", w.r.IntN(4))
		task.Unique = &queue.Unique{Key: key, Scope: queue.UntilDone}
	}
	want := queue.Added
	switch holder := w.m.locks[key]; {
	case w.m.tasks[task.ID] != nil:
		want = queue.Exists
	case holder != "":
		want = queue.Held
	default:
		w.m.tasks[task.ID] = &modelTask{state: state, key: key}
		if key != "" {
			w.m.locks[key] = task.ID
		}
	}
	w.want("outcome", want, w.add(task)[0].Outcome)
	return fmt.Sprintf("add %+v", task)
}

func (w *walk) reserveSome() string {
	waiting, n := w.m.in(queue.Pending), 1+w.r.IntN(4)
	got := w.reserve("w1", n)
	w.want("reserved", min(n, len(waiting)), len(got))
	for _, l := range got {
		t := w.m.tasks[l.ID]
		if t == nil || t.state != queue.Pending {
			w.Errorf("reserved %s, which does not wait", l.ID)
			continue
		}
		w.want("failures", t.failures, l.Failures)
		w.want("crashes", t.crashes, l.Crashes)
		t.state, t.token = queue.Active, l.Token
	}
	return fmt.Sprintf("reserve %d: %s", n, ids(got))
}

func (w *walk) held(id string) queue.Lease {
	return queue.Lease{Task: queue.Task{ID: id}, Token: w.m.tasks[id].token}
}

func (w *walk) ackOne() string {
	id, ok := w.pick(queue.Active)
	if ok {
		w.want("lost", 0, len(w.ack(w.held(id))))
		w.m.unlock(id)
		delete(w.m.tasks, id)
	}
	return "ack " + id
}

func (w *walk) nackOne() string {
	id, ok := w.pick(queue.Active)
	if !ok {
		return "nack nothing"
	}
	verdict := []queue.Verdict{queue.Retry, queue.Retry, queue.Later, queue.Back, queue.Bury}[w.r.IntN(5)]
	w.want("lost", 0, len(w.nack(w.held(id), verdict, time.Hour)))
	t := w.m.tasks[id]
	switch verdict {
	case queue.Retry, queue.Bury:
		t.failures++
		t.state = queue.Scheduled
		if verdict == queue.Bury || t.failures >= 3 {
			t.state = queue.Dead
			w.m.unlock(id)
		}
	case queue.Later:
		t.state = queue.Scheduled
	case queue.Back:
		t.state = queue.Pending
	}
	return fmt.Sprintf("nack %s %s", verdict, id)
}

// stranger ends or gives back a task that is not its own.
func (w *walk) stranger() string {
	l := queue.Lease{Task: queue.Task{ID: w.id()}, Token: "w9/1"}
	w.want("lost", 1, len(w.ack(l)))
	w.want("lost", 1, len(w.nack(l, queue.Bury, 0)))
	return "stranger with " + l.ID
}

func (w *walk) expireOne() string {
	id, ok := w.pick(queue.Active)
	if ok {
		w.expire("lease", id)
		w.tick()
		t := w.m.tasks[id]
		t.crashes++
		t.state = queue.Pending
		if t.crashes >= 2 {
			t.state = queue.Dead
			w.m.unlock(id)
		}
	}
	return "expire " + id
}

func (w *walk) dueOne() string {
	id, ok := w.pick(queue.Scheduled)
	if ok {
		w.expire("sched", id)
		w.tick()
		w.m.tasks[id].state = queue.Pending
	}
	return "due " + id
}

func (w *walk) removeOne() string {
	id, cancel := w.id(), w.r.IntN(2) == 0
	how, where := w.Delete, queue.Removed("")
	if cancel {
		how = w.Cancel
	}
	got, err := how(w.Context(), id)
	if t := w.m.tasks[id]; t != nil {
		where = queue.Removed(t.state)
		if t.state == queue.Active && !cancel || t.state == queue.Dead && cancel {
			where = "no"
		} else {
			w.m.unlock(id)
			delete(w.m.tasks, id)
		}
	}
	if err != nil || got[0] != where {
		w.Errorf("removed from %v, want %s: %v", got, where, err)
	}
	return fmt.Sprintf("remove %s, cancel %v", id, cancel)
}

func (w *walk) retryOne() string {
	id, want := w.id(), 0
	if t := w.m.tasks[id]; t != nil {
		holder := w.m.locks[t.key]
		switch {
		case t.state == queue.Dead && t.key != "" && holder != "":
		case t.state == queue.Dead || t.state == queue.Scheduled:
			want, t.state, t.failures, t.crashes = 1, queue.Pending, 0, 0
			if t.key != "" {
				w.m.locks[t.key] = id
			}
		}
	}
	if n, err := w.Retry(w.Context(), id); n != want || err != nil {
		w.Errorf("retried %d, want %d: %v", n, want, err)
	}
	return "retry " + id
}

// compare looks at every task.
func (w *walk) compare() {
	w.audit()
	found := map[string]*modelTask{}
	for _, state := range queue.States {
		list, total, err := w.List(w.Context(), state, queue.Page{Limit: 100})
		if err != nil || int(total) != len(w.m.in(state)) {
			w.Errorf("%d tasks are %s, want %v: %v", total, state, w.m.in(state), err)
		}
		for _, info := range list {
			found[info.ID] = &modelTask{state: info.State, failures: info.Failures, crashes: info.Crashes}
		}
	}
	for id := range maps.Keys(w.m.tasks) {
		want, got := w.m.tasks[id], found[id]
		if got == nil || got.state != want.state || got.failures != want.failures || got.crashes != want.crashes {
			w.Errorf("%s is %+v, want %+v", id, got, want)
		}
	}
	locks := map[string]string{}
	for _, key := range w.rdb.Keys(w.Context(), w.key("uk:*")).Val() {
		locks[key[len(w.key("uk:")):]] = w.rdb.Get(w.Context(), key).Val()
	}
	if !maps.Equal(locks, w.m.locks) {
		w.Errorf("keys are held by %v, want %v", locks, w.m.locks)
	}
}
