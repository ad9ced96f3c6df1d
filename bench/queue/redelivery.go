package queue

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// Worker as the first argument is a process of "bench queue" that is killed: it
// takes one task and sleeps.
const Worker = "queue-worker"

// Sleep is that process. what is "<contender> <address>".
func Sleep(ctx context.Context, what string) error {
	name, addr, _ := strings.Cut(what, " ")
	var c contender = rsm{}
	if name != c.name() {
		c = asynqDefault
	}
	return c.work(ctx, addr, 1, func([]byte) { time.Sleep(time.Hour) })
}

// redelivery measures how long the task of a killed worker waits for another.
func (b *bench) redelivery(ctx context.Context, c contender) error {
	s, err := b.start(ctx, plain)
	if err != nil {
		return err
	}
	defer s.stop()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	victim := exec.CommandContext(ctx, self, Worker, c.name()+" "+s.addr)
	victim.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := victim.Start(); err != nil {
		return err
	}
	if err := c.add(ctx, s.addr, 1); err != nil {
		return err
	}
	if err := s.busy(ctx, c); err != nil {
		return err
	}
	again := make(chan time.Time, 1)
	stop := inBackground(ctx, func(ctx context.Context) error {
		return c.work(ctx, s.addr, 1, func([]byte) { again <- time.Now() })
	})
	defer stop()
	time.Sleep(settings.Lease) // its lease is extended by now
	killed := time.Now()
	_ = victim.Process.Kill()
	_ = victim.Wait()
	select {
	case at := <-again:
		b.note("redelivery, "+c.name(), at.Sub(killed).Seconds())
	case <-time.After(150 * time.Second): // asynq: a lease of 30 s, 30 s of skew, a minute between two looks, and its retry
		return fmt.Errorf("the task of a killed worker did not run again in 150 s")
	}
	return stop()
}

// busy waits until a worker has a task.
func (s *server) busy(ctx context.Context, c contender) error {
	leases := "rsm:{" + settings.Name + "}:lease"
	if c != (rsm{}) {
		leases = "asynq:{default}:lease"
	}
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if n, err := s.client.ZCard(ctx, leases).Result(); err != nil || n > 0 {
			return err
		}
	}
	return fmt.Errorf("no worker took the task in 20 s")
}
