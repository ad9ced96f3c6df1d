package queue_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rsm/internal/redistest"
	"rsm/runtime/worker/queue"
	"rsm/schema"
)

var settings = schema.Queue{Name: "default", Lease: time.Minute, Attempts: 3, Crashes: 2, DeadRetention: time.Hour}

type bench struct {
	*testing.T
	rdb *redis.Client
	*queue.Queue
	serial int
}

func start(t *testing.T, changes ...func(*schema.Queue)) *bench {
	t.Helper()
	t.Parallel()
	rdb := redis.NewClient(&redis.Options{Addr: redistest.Start(t).Addr()})
	t.Cleanup(func() { _ = rdb.Close() })
	return on(t, rdb, changes...)
}

func on(t *testing.T, rdb *redis.Client, changes ...func(*schema.Queue)) *bench {
	set := settings
	for _, change := range changes {
		change(&set)
	}
	return &bench{T: t, rdb: rdb, Queue: queue.New(rdb, set)}
}

func (b *bench) key(name string) string { return "rsm:{" + b.Name() + "}:" + name }

func (b *bench) add(tasks ...queue.Task) []queue.Receipt {
	b.Helper()
	receipts, err := b.Add(b.Context(), tasks...)
	if err != nil {
		b.Fatal(err)
	}
	return receipts
}

func (b *bench) reserve(worker string, n int, labels ...string) []queue.Lease {
	b.Helper()
	leases, _, _ := b.reserveWhy(worker, n, labels...)
	return leases
}

func (b *bench) reserveWhy(worker string, n int, labels ...string) ([]queue.Lease, queue.Shortage, time.Duration) {
	b.Helper()
	b.serial++
	leases, why, wait, err := b.Reserve(b.Context(), queue.Demand{Worker: worker, Labels: labels, Tasks: n, Token: fmt.Sprintf("%s/%d", worker, b.serial)})
	if err != nil {
		b.Fatal(err)
	}
	return leases, why, wait
}

func (b *bench) ack(l queue.Lease) (lost []string) {
	b.Helper()
	lost, err := b.Ack(b.Context(), "w1", []queue.Done{{ID: l.ID, Token: l.Token}})
	if err != nil {
		b.Fatal(err)
	}
	return lost
}

func (b *bench) nack(l queue.Lease, verdict queue.Verdict, delay time.Duration) (lost []string) {
	b.Helper()
	lost, err := b.Nack(b.Context(), "w1", []queue.Failure{{ID: l.ID, Token: l.Token, Verdict: verdict, Delay: delay, Attempts: 3, Why: "it broke"}})
	if err != nil {
		b.Fatal(err)
	}
	return lost
}

// expire ends a lease, or makes a scheduled task due, now.
func (b *bench) expire(set, id string) {
	b.Helper()
	if n := b.rdb.ZAddXX(b.Context(), b.key(set), redis.Z{Score: 1, Member: id}); n.Err() != nil {
		b.Fatal(n.Err())
	}
}

func (b *bench) tick() time.Duration {
	b.Helper()
	next, err := b.Tick(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	return next
}

func (b *bench) get(id string) queue.Info {
	b.Helper()
	info, err := b.Get(b.Context(), id)
	if err != nil {
		b.Fatal(err)
	}
	return info
}

func (b *bench) stats() queue.Stats {
	b.Helper()
	s, err := b.Stats(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	return s
}

func ids(leases []queue.Lease) string {
	var out []string
	for _, l := range leases {
		out = append(out, l.ID)
	}
	return strings.Join(out, " ")
}

func (b *bench) want(what, want, got any) {
	b.Helper()
	if want != got {
		b.Errorf("%s: %v, want %v", what, got, want)
	}
}

func named(ids ...string) (tasks []queue.Task) {
	for _, id := range ids {
		tasks = append(tasks, queue.Task{ID: id, Type: "t", Payload: json.RawMessage(`{"id":"` + id + `"}`)})
	}
	return tasks
}

func TestFirstInFirstOut(t *testing.T) {
	b := start(t)
	b.add(named("a", "b", "c")...)
	if got := b.add(named("b")...); got[0].Outcome != queue.Exists {
		t.Errorf("added again: %v", got)
	}
	first := b.reserve("w1", 2)
	b.want("first", "a b", ids(first))
	b.want("type", "t", first[0].Type)
	b.want("payload", `{"id":"a"}`, string(first[0].Payload))
	b.want("view", "[b a]", fmt.Sprint(b.rdb.LRange(t.Context(), "worker_list:w1", 0, -1).Val()))
	b.want("owner", "w1", b.get("a").Owner)
	b.want("lost", 0, len(b.ack(first[0])))
	b.want("lost again", "[a]", fmt.Sprint(b.ack(first[0])))
	if _, err := b.Get(t.Context(), "a"); !errors.Is(err, queue.ErrNotFound) {
		t.Errorf("get done: %v", err)
	}
	b.nack(first[1], queue.Back, 0)
	b.want("given back", "b c", ids(b.reserve("w1", 9)))
	b.audit()
}

func TestForeignProducer(t *testing.T) {
	b := start(t)
	for _, raw := range []string{`{"type":"mail","n":1}`, `{"type":"mail","n":1}`, `{"n":NaN}`, `hello`, `hello`, `[1]`, ``} {
		b.rdb.LPush(t.Context(), "task_list", raw)
	}
	list, total, err := b.List(t.Context(), queue.Pending, queue.Page{})
	if err != nil || total != 7 || !list[0].Raw || list[0].Type != "mail" {
		t.Fatalf("list: %v, %d, %+v", err, total, list)
	}
	got := b.reserve("w1", 10)
	b.want("ids", "raw-1 raw-2 raw-3 raw-4 raw-5 raw-6 raw-7", ids(got))
	b.want("type", "mail", got[1].Type)
	for i, broken := range []bool{false, false, true, true, true, false, true} {
		b.want(fmt.Sprintf("broken %d", i), broken, got[i].Broken != nil)
	}
	if why := got[2].Broken.Error(); !strings.Contains(why, "not JSON: invalid character 'N'") {
		t.Errorf("why: %s", why)
	}
	b.want("payload", `{"n":NaN}`, string(got[2].Payload))
	b.nack(got[2], queue.Bury, 0)
	b.want("dead", "it broke", b.get("raw-3").LastError)
	b.audit()
}

func TestHugeForeignTaskIsBroken(t *testing.T) {
	b := start(t)
	b.rdb.LPush(t.Context(), "task_list", `{"x":"`+strings.Repeat("x", 10<<20)+`"}`)
	if got := b.reserve("w1", 1); got[0].Broken == nil || !strings.Contains(got[0].Broken.Error(), "10485768 bytes") {
		t.Errorf("broken: %v", got[0].Broken)
	}
}

func TestBadTasks(t *testing.T) {
	b := start(t)
	for want, task := range map[string]queue.Task{
		"blanks":                   {ID: "a b", Type: "t"},
		"begin with {":             {ID: "{a", Type: "t"},
		`type ""`:                  {},
		"invalid character 'N'":    {Type: "t", Payload: json.RawMessage(`NaN`)},
		"put the data elsewhere":   {Type: "t", Payload: json.RawMessage(`"` + strings.Repeat("x", 10<<20) + `"`)},
		"both a time and a delay":  {Type: "t", RunAt: time.Now(), Delay: 1},
		"both a worker and labels": {Type: "t", Worker: "w", Labels: map[string]string{"a": "b"}},
		"name and value":           {Type: "t", Labels: map[string]string{"a": "b,c"}},
		"needs a TTL":              {Type: "t", Unique: &queue.Unique{Key: "k", Scope: queue.UntilTTL}},
		"unique scope":             {Type: "t", Unique: &queue.Unique{Key: "k"}},
		"priority 7":               {Type: "t", Priority: 7},
		"delay -1s":                {Type: "t", Delay: -time.Second},
		"attempts -1":              {Type: "t", Attempts: -1},
	} {
		if _, err := b.Add(t.Context(), task); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
	b.want("keys", int64(0), b.rdb.DBSize(t.Context()).Val())
}

func TestRetriesEndInDeath(t *testing.T) {
	b := start(t)
	b.add(named("a")...)
	for run := 1; run <= 3; run++ {
		l := b.reserve("w1", 1)
		b.want("failures", run-1, l[0].Failures)
		b.nack(l[0], queue.Retry, time.Hour)
		if run < 3 {
			b.want("state", queue.Scheduled, b.get("a").State)
			b.want("before its time", "", ids(b.reserve("w1", 1)))
			b.expire("sched", "a")
			b.tick()
		}
	}
	info := b.get("a")
	b.want("state", queue.Dead, info.State)
	b.want("error", "it broke", info.LastError)
	if n, err := b.RetryDead(t.Context(), "t"); n != 1 || err != nil {
		t.Errorf("retry: %d, %v", n, err)
	}
	l := b.reserve("w1", 1)
	b.want("failures after requeue", 0, l[0].Failures)
	today := b.stats().Today()
	b.want("counters", "map[dead:1 enqueued:1 failed:3 requeued:1 retried:2]", fmt.Sprint(today))
	b.audit()
}

func TestSnoozeDoesNotCount(t *testing.T) {
	b := start(t)
	b.add(named("a")...)
	for range 5 {
		b.nack(b.reserve("w1", 1)[0], queue.Later, time.Millisecond)
		b.expire("sched", "a")
		b.tick()
	}
	b.want("failures", 0, b.reserve("w1", 1)[0].Failures)
}

func TestFence(t *testing.T) {
	b := start(t)
	b.add(named("a")...)
	old := b.reserve("w1", 1)[0]
	b.expire("lease", "a")
	b.tick()
	fresh := b.reserve("w2", 1)[0]
	b.want("crashes", 1, fresh.Crashes)
	b.want("ack of the old one", "[a]", fmt.Sprint(b.ack(old)))
	b.want("nack of the old one", "[a]", fmt.Sprint(b.nack(old, queue.Retry, 0)))
	lost, cancelled, err := b.Extend(t.Context(), []queue.Holding{{ID: "a", Token: old.Token}, {ID: "b", Token: "x"}, {ID: "a", Token: fresh.Token}})
	if fmt.Sprint(lost, cancelled, err) != "[a] [b] <nil>" {
		t.Errorf("extend: %v %v %v", lost, cancelled, err)
	}
	b.want("view of the old one", int64(0), b.rdb.LLen(t.Context(), "worker_list:w1").Val())
	b.audit()
	b.expire("lease", "a")
	b.tick()
	info := b.get("a")
	b.want("state", queue.Dead, info.State)
	if !strings.HasPrefix(info.LastError, "poison: 2 times") {
		t.Error(info.LastError)
	}
	b.audit()
}

func TestRecoveredComesNext(t *testing.T) {
	b := start(t)
	b.add(named("a", "b")...)
	b.reserve("w1", 1)
	b.expire("lease", "a")
	b.tick()
	b.want("order", "a b", ids(b.reserve("w1", 2)))
}

func TestSchedule(t *testing.T) {
	b := start(t)
	b.add(queue.Task{ID: "later", Type: "t", Delay: time.Hour}, queue.Task{ID: "past", Type: "t", RunAt: time.Now().Add(-time.Hour)},
		queue.Task{ID: "at", Type: "t", RunAt: time.Now().Add(2 * time.Hour)})
	b.want("now", "past", ids(b.reserve("w1", 9)))
	if next := b.tick(); next < 50*time.Second || next > time.Minute {
		t.Errorf("next thing in %s: the lease of past ends first", next)
	}
	if n, err := b.Retry(t.Context(), "at", "none"); n != 1 || err != nil {
		t.Errorf("run now: %d, %v", n, err)
	}
	b.expire("sched", "later")
	b.tick()
	b.want("due", "at later", ids(b.reserve("w1", 9)))
	b.audit()
}

func TestUnique(t *testing.T) {
	for _, scope := range []queue.Scope{queue.UntilStart, queue.UntilDone, queue.UntilTTL} {
		t.Run(string(scope), func(t *testing.T) {
			b := start(t)
			task := func(id string) queue.Task {
				return queue.Task{ID: id, Type: "t", Unique: &queue.Unique{Key: "k:1", Scope: scope, TTL: time.Hour}}
			}
			free := func(id string) bool { return b.add(task(id))[0].Outcome == queue.Added }
			b.want("first", true, free("a"))
			if got := b.add(task("b"))[0]; got.Outcome != queue.Held || got.Holder != "a" {
				t.Errorf("second: %+v", got)
			}
			l := b.reserve("w1", 1)[0]
			b.want("started", scope == queue.UntilStart, free("c"))
			b.ack(l)
			b.want("done", scope == queue.UntilDone, free("d"))
			b.audit()
			for name, end := range map[string]func(id string){
				"cancel": func(id string) { _, _ = b.Cancel(t.Context(), id) },
				"delete": func(id string) { _, _ = b.Delete(t.Context(), id) },
				"dead":   func(id string) { b.nack(b.reserve("w1", 1)[0], queue.Bury, 0) },
			} {
				b.rdb.FlushAll(t.Context())
				b.want("add", true, free("x"))
				end("x")
				b.want("after "+name, true, free("y"))
				if n, err := b.Retry(t.Context(), "x"); n != 0 || err != nil {
					t.Errorf("retry of x while y holds its key: %d, %v", n, err)
				}
				b.audit()
			}
		})
	}
}

func TestUniqueTTLEnds(t *testing.T) {
	b := start(t)
	task := queue.Task{ID: "a", Type: "t", Unique: &queue.Unique{Key: "k", Scope: queue.UntilDone, TTL: time.Millisecond}}
	b.add(task)
	redistest.Wait(t, 5*time.Second, func() error {
		task.ID = "b"
		if b.add(task)[0].Outcome == queue.Held {
			return errors.New("still held")
		}
		return nil
	})
	b.ack(b.reserve("w1", 1)[0]) // a, which must not release what b holds by now
	b.audit()
}

func TestPriorities(t *testing.T) {
	b := start(t)
	add := func(id string, p queue.Priority) { b.add(queue.Task{ID: id, Type: "t", Priority: p}) }
	add("low", queue.Low)
	add("normal", queue.Normal)
	add("high1", queue.High)
	add("high2", queue.High)
	list, total, err := b.List(t.Context(), queue.Pending, queue.Page{Limit: 3})
	if err != nil || total != 4 || len(list) != 3 {
		t.Errorf("list: %v %d %v", list, total, err)
	}
	first := b.reserve("w1", 3)
	b.want("order", "high1 high2 normal", ids(first))
	b.nack(first[0], queue.Back, 0)
	b.want("rest", "high1 low", ids(b.reserve("w1", 3)))
	b.audit()
}

func TestAllocation(t *testing.T) {
	b := start(t)
	for _, worker := range []string{"w1", "w2"} {
		if _, err := queue.Beat(t.Context(), b.rdb, worker); err != nil {
			t.Fatal(err)
		}
	}
	gpu := map[string]string{"gpu": "a100", "zone": "eu"}
	b.add(queue.Task{ID: "shared", Type: "t"}, queue.Task{ID: "for2", Type: "t", Worker: "w2"}, queue.Task{ID: "first2", Type: "t", Worker: "w2", Priority: queue.High},
		queue.Task{ID: "gpu", Type: "t", Labels: gpu})
	for _, worker := range []string{"w1", "w2"} {
		if word, ok, err := queue.Hear(t.Context(), b.rdb, worker, time.Second); word != "" || !ok || err != nil {
			t.Errorf("wake of %s: %q %v %v", worker, word, ok, err)
		}
	}
	b.want("without labels", "shared", ids(b.reserve("w1", 9, "zone=eu")))
	b.want("of w2", "first2 for2", ids(b.reserve("w2", 9)))
	b.want("with labels", "gpu", ids(b.reserve("w3", 9, "gpu=a100", "os=linux", "zone=eu")))
	b.audit()
}

func TestReassign(t *testing.T) {
	b := start(t, func(q *schema.Queue) { q.Reassign = time.Hour })
	b.add(queue.Task{ID: "a", Type: "t", Worker: "gone"})
	b.tick()
	b.want("too early", "", ids(b.reserve("w1", 1)))
	b.expire("lanes", "@gone")
	_, _ = queue.Beat(t.Context(), b.rdb, "gone")
	b.tick()
	b.want("it is alive", "", ids(b.reserve("w1", 1)))
	b.rdb.Del(t.Context(), "rsm:workers")
	b.tick()
	b.want("gone", "a", ids(b.reserve("w1", 1)))
	b.audit()
}

func TestCancel(t *testing.T) {
	b := start(t)
	b.add(named("run", "wait", "stay")...)
	b.add(queue.Task{ID: "sched", Type: "t", Delay: time.Hour}, queue.Task{ID: "high", Type: "t", Worker: "w1", Priority: queue.High})
	got := b.reserve("w2", 1)
	b.want("running", "run", ids(got))
	where, err := b.Cancel(t.Context(), "run", "wait", "sched", "high", "none")
	if fmt.Sprint(where, err) != "[active pending scheduled pending ] <nil>" {
		t.Errorf("cancel: %q %v", where, err)
	}
	word, _, _ := queue.Hear(t.Context(), b.rdb, "w2", time.Second)
	b.want("word", "cancel default "+got[0].Token+" run", word)
	b.want("ack", "[run]", fmt.Sprint(b.ack(got[0])))
	b.nack(b.reserve("w1", 1)[0], queue.Bury, 0)
	where, _ = b.Cancel(t.Context(), "stay")
	b.want("cancel of dead", "[no]", fmt.Sprint(where))
	where, _ = b.Delete(t.Context(), "stay")
	b.want("delete of dead", "[dead]", fmt.Sprint(where))
	b.want("left", int64(0), b.rdb.HLen(t.Context(), b.key("m")).Val())
	b.audit()
}

func TestPauseAndDrain(t *testing.T) {
	b := start(t)
	b.add(named("a")...)
	if err := b.Pause(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, why, _ := b.reserveWhy("w1", 1)
	b.want("why", queue.Paused, why)
	b.want("mode", queue.Stopped, b.stats().Mode)
	if err := b.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, ok, _ := queue.Hear(t.Context(), b.rdb, "w1", time.Second); !ok {
		t.Error("w1 was not woken")
	}
	if got, err := b.Add(t.Context(), named("a", "b")...); !errors.Is(err, queue.ErrDraining) || got[0].Outcome != queue.Exists {
		t.Errorf("add: %v %v", got, err)
	}
	b.ack(b.reserve("w1", 1)[0])
	if err := b.WaitIdle(t.Context()); err != nil {
		t.Error(err)
	}
	_ = b.Resume(t.Context())
	b.add(named("b")...)
}

func TestLimits(t *testing.T) {
	b := start(t, func(q *schema.Queue) { q.Concurrency, q.Max = 2, 3 })
	if got, err := b.Add(t.Context(), named("a", "b", "c", "d", "a")...); !errors.Is(err, queue.ErrFull) || got[3].Outcome != queue.Full || got[4].Outcome != queue.Exists {
		t.Errorf("add: %v %v", got, err)
	}
	two := b.reserve("w1", 5)
	b.want("two", "a b", ids(two))
	_, why, _ := b.reserveWhy("w2", 1)
	b.want("why", queue.AtLimit, why)
	b.ack(two[0])
	if _, ok, _ := queue.Hear(t.Context(), b.rdb, "w2", time.Second); !ok {
		t.Error("w2 was not woken")
	}
	b.want("one more", "c", ids(b.reserve("w2", 5)))
}

func TestRate(t *testing.T) {
	b := start(t, func(q *schema.Queue) { q.Rate = 10 })
	b.add(named("a", "b")...)
	b.want("one", "a", ids(b.reserve("w1", 5)))
	_, why, wait := b.reserveWhy("w1", 5)
	if why != queue.TooFast || wait <= 0 || wait > 100*time.Millisecond {
		t.Errorf("then: %s %s", why, wait)
	}
	redistest.Wait(t, 5*time.Second, func() error {
		if len(b.reserve("w1", 1)) == 0 {
			return errors.New("nothing")
		}
		return nil
	})
}

func TestResults(t *testing.T) {
	b := start(t)
	b.add(named("a")...)
	l := b.reserve("w1", 1)[0]
	if _, err := b.Ack(t.Context(), "w1", []queue.Done{{ID: "a", Token: l.Token, Result: []byte(`{"type":"t","out":1}`), Keep: time.Hour}}); err != nil {
		t.Fatal(err)
	}
	info := b.get("a")
	b.want("state", queue.Finished, info.State)
	b.want("type", "t", info.Type)
	b.want("again", queue.Exists, b.add(named("a")...)[0].Outcome)
	b.want("finished", int64(1), b.stats().Finished)
	b.audit()
	b.expire("done", "a")
	b.tick()
	b.want("again", queue.Added, b.add(named("a")...)[0].Outcome)
	b.want("results", int64(0), b.rdb.HLen(t.Context(), b.key("res")).Val())
}

func TestDeadAreForgotten(t *testing.T) {
	b := start(t)
	b.add(named("a")...)
	b.nack(b.reserve("w1", 1)[0], queue.Bury, 0)
	b.tick()
	b.get("a")
	b.expire("dead", "a")
	b.tick()
	if _, err := b.Get(t.Context(), "a"); !errors.Is(err, queue.ErrNotFound) {
		t.Error(err)
	}
	b.audit()
}

func TestWatch(t *testing.T) {
	b := start(t)
	b.add(named("before")...)
	b.ack(b.reserve("w1", 1)[0])
	ctx, cancel := context.WithCancel(t.Context())
	var seen []string
	done := make(chan error)
	go func() {
		done <- b.Watch(ctx, "0", func(e queue.Event) {
			seen = append(seen, fmt.Sprint(e.Kind, e.IDs, e.Worker, e.Why))
			if e.Kind == "dead" {
				cancel()
			}
		}, nil)
	}()
	redistest.Wait(t, 5*time.Second, redistest.Want("watched", int64(1), func() int64 { return b.rdb.Exists(t.Context(), b.key("watched")).Val() }))
	b.add(named("a")...)
	b.nack(b.reserve("w1", 1)[0], queue.Bury, 0)
	if err := <-done; err != nil {
		t.Error(err)
	}
	want := []string{"enqueued[a]", "started[a]w1", "dead[a]it broke"}
	if !slices.Equal(seen, want) {
		t.Errorf("seen %q", seen)
	}
}

func TestScriptsAreSentAgain(t *testing.T) {
	b := start(t)
	b.add(named("a")...)
	b.rdb.ScriptFlush(t.Context())
	b.add(named("b")...)
	b.rdb.ScriptFlush(t.Context())
	b.want("both", "a b", ids(b.reserve("w1", 2)))
}

func TestNumberOfBatches(t *testing.T) {
	b := start(t)
	var tasks []queue.Task
	for i := range 2500 {
		tasks = append(tasks, queue.Task{ID: fmt.Sprint("t", i), Type: "t"})
	}
	b.add(tasks...)
	b.want("pending", int64(2500), b.stats().Pending)
	got := b.reserve("w1", 5000)
	b.want("reserved", 1000, len(got))
	var held []queue.Holding
	for _, l := range got {
		held = append(held, queue.Holding{ID: l.ID, Token: l.Token})
	}
	if lost, gone, err := b.Extend(t.Context(), held); len(lost)+len(gone) > 0 || err != nil {
		t.Errorf("extend: %v %v %v", lost, gone, err)
	}
	b.audit()
}

func TestPendingTaskIsSmall(t *testing.T) {
	b := start(t)
	used := func() (n int64) {
		for _, line := range strings.Split(b.rdb.Info(t.Context(), "memory").Val(), "\r\n") {
			_, _ = fmt.Sscanf(line, "used_memory:%d", &n)
		}
		return n
	}
	before := used()
	const n = 50_000
	payload := json.RawMessage(`"` + strings.Repeat("x", 62) + `"`)
	var tasks []queue.Task
	for range n {
		tasks = append(tasks, queue.Task{Type: "email", Payload: payload})
	}
	b.add(tasks...)
	each := (used() - before) / n
	t.Logf("%d bytes for each of %d tasks with a payload of 64", each, n)
	if each > 250 {
		t.Errorf("more than 250")
	}
}

func TestDurable(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, "durable", 2, 0)
	rdb := redis.NewClient(&redis.Options{Addr: c.Redis[0].Addr()})
	defer rdb.Close()
	b := on(t, rdb, func(q *schema.Queue) { q.Durable, q.DurableTimeout = true, 300*time.Millisecond })
	redistest.Wait(t, 10*time.Second, func() error { // until the master counts its replica
		_, err := b.Add(t.Context(), named("a")...)
		return err
	})
	rdb.ScriptFlush(t.Context())
	b.add(named("b")...)
	c.Redis[1].Pause()
	receipts, err := b.Add(t.Context(), named("c")...)
	if !errors.Is(err, queue.ErrNotReplicated) || receipts[0].Outcome != queue.Added {
		t.Errorf("without a replica: %v %v", receipts, err)
	}
	c.Redis[1].Resume()
	redistest.Wait(t, 10*time.Second, func() error {
		_, err := b.Add(t.Context(), named("c")...)
		return err
	})
}

// A task is always in some place, also for whoever looks while it moves.
func TestGetOfATaskThatMoves(t *testing.T) {
	b := start(t)
	var latest atomic.Value
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 1500 {
			id := fmt.Sprint("t", i)
			b.add(queue.Task{ID: id, Type: "t"})
			latest.Store(id)
			for _, l := range b.reserve("w1", 1) {
				_, _ = b.Ack(b.Context(), "w1", []queue.Done{{ID: l.ID, Token: l.Token, Keep: time.Hour, Result: []byte("1")}})
			}
		}
	}()
	for {
		select {
		case <-done:
			return
		default:
		}
		if id, ok := latest.Load().(string); ok {
			if info, err := b.Get(t.Context(), id); err != nil {
				t.Errorf("%+v: %v", info, err)
			}
		}
	}
}

// What another program has put in the place of the list does not swallow tasks.
func TestListOfAnotherProgram(t *testing.T) {
	b := start(t)
	b.rdb.Set(t.Context(), "task_list", "theirs", 0)
	if _, err := b.Add(t.Context(), queue.Task{ID: "a", Type: "t"}); err == nil {
		t.Error("added to a string")
	}
	b.rdb.Del(t.Context(), "task_list")
	b.want("added again", queue.Added, b.add(queue.Task{ID: "a", Type: "t"})[0].Outcome)
	b.want("reserved", "a", ids(b.reserve("w1", 1)))
}
