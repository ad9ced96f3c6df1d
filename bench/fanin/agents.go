package fanin

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"rsm/internal/resp"
	"rsm/runtime/bus"
)

// crowd are agents that publish as rsm's do: one transaction per event, and the
// next event when its time has come, whether or not Redis is fast.
type crowd struct {
	conns    []net.Conn
	interval time.Duration
	// sent counts the events that Redis has confirmed, special those of them that the
	// handler must get.
	sent, special atomic.Int64
	err           atomic.Pointer[error]
}

func connect(ctx context.Context, addr string, n int, interval time.Duration) (*crowd, error) {
	c := &crowd{interval: interval}
	var dialer net.Dialer
	for range n {
		conn, err := dialer.DialContext(ctx, "tcp", addr)
		if err != nil {
			c.close()
			return nil, fmt.Errorf("connect %d agents (see ulimit -n): %w", n, err)
		}
		c.conns = append(c.conns, conn)
	}
	return c, nil
}

func (c *crowd) close() {
	for _, conn := range c.conns {
		_ = conn.Close()
	}
}

// run publishes until ctx ends, and returns when every answer is there.
func (c *crowd) run(ctx context.Context) error {
	var all sync.WaitGroup
	for i, conn := range c.conns {
		all.Go(func() {
			if err := c.agent(ctx, i, conn); err != nil {
				c.err.Store(&err)
			}
		})
	}
	all.Wait()
	if err := c.err.Load(); err != nil {
		return *err
	}
	return nil
}

func (c *crowd) agent(ctx context.Context, i int, conn net.Conn) error {
	replies := bufio.NewReaderSize(conn, 256)
	next := time.Now().Add(rand.N(c.interval))
	buffer := make([]byte, 0, 4096)
	for n := 0; ; n++ {
		timer := time.NewTimer(time.Until(next))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
		special := rand.IntN(100) == 0
		event := sample(i, n, next, c.interval, special)
		next = next.Add(c.interval)
		buffer = resp.AppendCommand(buffer[:0], "MULTI")
		buffer = resp.AppendCommand(buffer, "PUBLISH", bus.Marks, "in 1")
		buffer = resp.AppendCommand(buffer, "PUBLISH", bus.Channel, event)
		buffer = resp.AppendCommand(buffer, "XADD", bus.Stream, "MAXLEN", "~", "1000000", "*", "j", event)
		buffer = resp.AppendCommand(buffer, "EXEC")
		if _, err := conn.Write(buffer); err != nil {
			return fmt.Errorf("agent %d: %w", i, err)
		}
		for range 9 { // OK, 3 times QUEUED, an array of two numbers and an id
			line, err := replies.ReadSlice('\n')
			if err != nil {
				return fmt.Errorf("agent %d: %w", i, err)
			}
			if line[0] == '-' {
				return fmt.Errorf("agent %d: %s", i, line)
			}
		}
		c.sent.Add(1)
		if special {
			c.special.Add(1)
		}
	}
}

// sample is an event of about 700 bytes as agents send it. Its id begins with the
// time at which it was due, so that an agent that has to wait counts as late.
func sample(i, n int, due time.Time, interval time.Duration, special bool) string {
	name := strconv.Itoa(i)
	cpu := 5 + 60*rand.Float64()
	if special {
		cpu = 99
	}
	var b strings.Builder
	fmt.Fprintf(&b, `{"v":1,"id":"%d-%d-%d","type":"monitoring","agent":"a%s","host":"h%s","zone":"z1","ts":%d,"interval":%d,`, due.UnixMilli(), i, n, name, name, due.UnixMilli(), interval.Milliseconds())
	fmt.Fprintf(&b, `"cpu_usage":%.2f,"mem_usage":%.2f,"disk_usage":41.7,"dropped":0,"uptime":86400,"cores":8,`, cpu, 40+20*rand.Float64())
	b.WriteString(`"cpu":{"user":12.5,"system":3.25,"iowait":0.5,"steal":0},"load":{"load1":0.52,"load5":0.61,"load15":0.7},` +
		`"memory":{"total":33567870976,"available":18567870976,"free":1567870976,"cached":12567870976,"buffers":367870976},"swap":{"total":0,"used":0,"usage":0},` +
		`"disks":[{"mount":"/","device":"/dev/vda1","fstype":"ext4","total":105089261568,"used":41089261568,"free":58567870976,"usage":41.7,"inodes_usage":8.5}],` +
		`"net":[{"name":"eth0","rx":123456.5,"tx":65432.25,"rx_packets":812,"tx_packets":640,"errors":0,"drops":0}]}`)
	return b.String()
}
