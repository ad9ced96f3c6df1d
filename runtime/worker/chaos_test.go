package worker

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rsm/internal/redistest"
	"rsm/runtime/bus"
	"rsm/runtime/worker/queue"
	"rsm/schema"
)

// go test ./runtime/worker -run TestChaos -tasks 100000 -timeout 20m
var chaosTasks = flag.Int("tasks", 2000, "how many tasks the campaign runs")

// processEnv makes the test binary a worker process, see TestMain.
const processEnv = "RSM_TEST_WORKER"

// process is what a worker process is told.
type process struct {
	Worker   schema.Worker
	Access   schema.Access
	Addr     schema.Addr
	Queue    schema.Queue
	Recorder string
	// Millis is how long a task takes at most.
	Millis int
}

func TestMain(m *testing.M) {
	if told := os.Getenv(processEnv); told != "" {
		if err := runProcess(told); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// runProcess runs a worker that writes into the recorder, which nobody kills, what it
// has run.
func runProcess(told string) error {
	var p process
	if err := json.Unmarshal([]byte(told), &p); err != nil {
		return err
	}
	client, err := bus.Connect(p.Access, bus.Options{Name: "rsm-worker", Addr: p.Addr})
	if err != nil {
		return err
	}
	recorder := redis.NewClient(&redis.Options{Addr: p.Recorder})
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	w := Worker{Client: client, Worker: p.Worker, Settings: []schema.Queue{p.Queue},
		Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
		Handler: HandlerFunc(func(_ context.Context, t Task) (json.RawMessage, error) {
			time.Sleep(time.Duration(rand.IntN(p.Millis+1)) * time.Millisecond)
			n, err := recorder.HIncrBy(context.Background(), "runs", t.ID, 1).Result()
			if err == nil && n == 1 && t.Type == "fails" {
				err = errors.New("fails the first time")
			}
			return nil, err
		})}
	return w.Run(ctx)
}

// crew are worker processes.
type crew struct {
	*testing.T
	process
	mu   sync.Mutex
	cmds map[string]*exec.Cmd
}

func newCrew(t *testing.T, p process, n int) *crew {
	c := &crew{T: t, process: p, cmds: map[string]*exec.Cmd{}}
	for i := range n {
		c.launch(fmt.Sprint("w", i))
	}
	t.Cleanup(func() {
		for name := range c.cmds {
			c.kill(name)
		}
	})
	return c
}

func (c *crew) launch(name string) {
	p := c.process
	p.Worker.Name = name
	told, err := json.Marshal(p)
	if err != nil {
		c.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), processEnv+"="+string(told))
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		c.Fatal(err)
	}
	c.mu.Lock()
	c.cmds[name] = cmd
	c.mu.Unlock()
}

func (c *crew) kill(name string) {
	c.mu.Lock()
	cmd := c.cmds[name]
	c.mu.Unlock()
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

// killOften kills a random worker, and starts it anew, until ctx ends.
func (c *crew) killOften(ctx context.Context, every time.Duration) (kills int) {
	for sleep(ctx, jitter(every, rand.Float64())) {
		name := fmt.Sprint("w", rand.IntN(len(c.cmds)))
		c.kill(name)
		c.launch(name)
		kills++
	}
	return kills
}

// A task of a worker that was killed is run again at the end of its lease.
func TestKilledWorkerIsReplaced(t *testing.T) {
	t.Parallel()
	set := plain(func(q *schema.Queue) { q.Lease = time.Second })
	s, recorder := newSite(t, set), redistest.Start(t)
	recorder.Pause() // so that its tasks do not end
	c := newCrew(t, process{Worker: schema.Worker{Concurrency: 2}, Addr: schema.Addr(s.server.Addr()), Queue: set, Recorder: recorder.Addr()}, 1)
	s.add(queue.Task{ID: "a", Type: "t"})
	s.wait("a", queue.Active)
	s.run(newTally().run, named("other"))
	time.Sleep(1500 * time.Millisecond) // longer than the lease: it is extended
	s.wait("a", queue.Active)
	c.kill("w0")
	killed := time.Now()
	s.wait("a", "")
	took := time.Since(killed)
	t.Logf("run again %s after the kill, with a lease of 1s", took.Round(time.Millisecond))
	if took > 2*time.Second {
		t.Error("that is more than the lease and a second")
	}
}

// While workers and masters are killed, every task that a producer was told of is
// run, and only those that were under way then are run twice.
func TestChaos(t *testing.T) {
	t.Parallel()
	cluster, recorder := redistest.StartCluster(t, "ops", 3, 3), redistest.Start(t)
	access := schema.Access{Cluster: cluster.Name}
	for _, sentinel := range cluster.Sentinels {
		access.Sentinels = append(access.Sentinels, schema.Addr(sentinel.Addr()))
	}
	set := plain(func(q *schema.Queue) {
		q.Lease, q.Durable, q.DurableTimeout, q.Crashes = time.Second, true, 500*time.Millisecond, 1000
	})
	const slots = 10
	c := newCrew(t, process{Worker: schema.Worker{Concurrency: slots, Prefetch: slots}, Access: access, Queue: set, Recorder: recorder.Addr(), Millis: 40}, 3)
	client := connect(t, access, "")
	s := &site{T: t, client: client, queues: []schema.Queue{set}, Queue: queue.New(client.Client, set)}
	ctx, stop := context.WithCancel(t.Context())
	var chaos sync.WaitGroup
	kills, failovers := 0, 0
	chaos.Go(func() { kills = c.killOften(ctx, 300*time.Millisecond) })
	chaos.Go(func() { failovers = killMasters(ctx, t, cluster) })
	began, total := time.Now(), *chaosTasks
	produce(ctx, s, total)
	redistest.Wait(t, time.Duration(total)*5*time.Millisecond+time.Minute, func() error {
		if n := ran(t, recorder); n < total {
			return fmt.Errorf("%d of %d tasks were run", n, total)
		}
		return nil
	})
	stop()
	chaos.Wait()
	s.idle()
	again := runsAgain(t, recorder)
	t.Logf("%d tasks in %s, %d workers and %d masters killed: all were run, %d of them more than once", total, time.Since(began).Round(time.Millisecond), kills, failovers, again)
	if failovers == 0 || kills == 0 {
		t.Error("nothing was killed")
	}
	if dead, err := s.Stats(t.Context()); err != nil || dead.Dead > 0 {
		t.Errorf("dead: %d, %v", dead.Dead, err)
	}
}

// killMasters kills the master at once, and others after a while, and starts each
// anew as a replica.
func killMasters(ctx context.Context, t *testing.T, c *redistest.Cluster) (n int) {
	for wait := 500 * time.Millisecond; sleep(ctx, wait); wait = 15 * time.Second {
		master := c.Sentinels[0].Master(c.Name)["port"]
		for _, server := range c.Redis {
			if strconv.Itoa(server.Port()) != master {
				continue
			}
			server.Kill()
			n++
			redistest.Wait(t, 30*time.Second, func() error {
				if c.Sentinels[0].Master(c.Name)["port"] == master {
					return errors.New("no failover")
				}
				return nil
			})
			server.Restart()
		}
	}
	return n
}

// produce adds tasks, each until it is told that a replica has it. One in ten fails
// the first time, one in ten comes later.
func produce(ctx context.Context, s *site, total int) {
	for from := 0; from < total; from += 100 {
		var batch []queue.Task
		for i := from; i < min(from+100, total); i++ {
			task := queue.Task{ID: fmt.Sprint("t", i), Type: "t", Payload: json.RawMessage(`{"some":"payload"}`)}
			switch i % 10 {
			case 3:
				task.Type = "fails"
			case 7:
				task.Delay = 100 * time.Millisecond
			}
			batch = append(batch, task)
		}
		for {
			_, err := s.Add(ctx, batch...)
			if err == nil {
				break
			}
			if !sleep(ctx, 50*time.Millisecond) {
				s.Errorf("add: %v", err)
				return
			}
		}
	}
}

func ran(t *testing.T, recorder *redistest.Server) int {
	n, _ := recorder.Do("HLEN", "runs").(int64)
	return int(n)
}

// runsAgain is how many tasks were run more often than they should.
func runsAgain(t *testing.T, recorder *redistest.Server) (again int) {
	words, _ := recorder.Do("HGETALL", "runs").([]any)
	for i := 0; i+1 < len(words); i += 2 {
		id, runs := fmt.Sprint(words[i]), fmt.Sprint(words[i+1])
		want := "1"
		if id[len(id)-1] == '3' {
			want = "2"
		}
		if runs != want {
			again++
		}
	}
	return again
}
