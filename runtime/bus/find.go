package bus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"rsm/internal/resp"
	"rsm/schema"
)

// finder finds the master and connects to it.
type finder struct {
	access schema.Access
	fixed  schema.Addr

	mu     sync.Mutex
	failed int       // connections in a row that failed
	after  time.Time // nobody is asked before
}

// The pause after a connection that failed doubles from the first to the second,
// so that a crowd of callers does not flood the Sentinels during a failover.
const firstPause, longestPause = 10 * time.Millisecond, 500 * time.Millisecond

// judge hears how an attempt to connect ended.
func (f *finder) judge(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil {
		f.failed, f.after = 0, time.Time{}
		return
	}
	if now := time.Now(); now.After(f.after) { // of callers at the same time, one counts
		f.after = now.Add(min(firstPause<<min(f.failed, 10), longestPause))
		f.failed++
	}
}

// pause waits until somebody may be asked.
func (f *finder) pause(ctx context.Context) error {
	f.mu.Lock()
	wait := time.Until(f.after)
	f.mu.Unlock()
	if wait <= 0 {
		return nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// find returns the address of the master.
func (f *finder) find(ctx context.Context) (schema.Addr, error) {
	if err := f.pause(ctx); err != nil {
		return "", fmt.Errorf("find the master of %s: %w", f.access.Cluster, err)
	}
	if len(f.access.Sentinels) == 0 {
		return f.fixed, nil
	}
	addr, err := f.ask(ctx)
	if err != nil {
		f.judge(err)
	}
	return addr, err
}

// opinion is what one Sentinel says.
type opinion struct {
	sentinel, master schema.Addr
	epoch            int64
	err              error
}

// ask asks all Sentinels at once. It does not wait for the last ones when most
// have said the same.
func (f *finder) ask(ctx context.Context) (schema.Addr, error) {
	// Time is left to connect to the master, whatever the Sentinels do.
	ctx, cancel := context.WithTimeout(ctx, dialLimit/2)
	defer cancel()
	password, err := read(f.access.Auth.SentinelPassword)
	if err != nil {
		return "", fmt.Errorf("find the master of %s: %w", f.access.Cluster, err)
	}
	answers := make(chan opinion, len(f.access.Sentinels))
	for _, sentinel := range f.access.Sentinels {
		go func() { answers <- f.askOne(ctx, sentinel, password) }()
	}
	var heard []opinion
	for range f.access.Sentinels {
		heard = append(heard, <-answers)
		if master, votes := winner(heard); votes > len(f.access.Sentinels)/2 {
			return master, nil
		}
	}
	if master, votes := winner(heard); votes > 0 {
		return master, nil
	}
	return "", fmt.Errorf("find the master of %s: %w", f.access.Cluster, why(heard))
}

// winner is the master that the Sentinels with the highest configuration epoch
// name, and of several the one that most name: a higher epoch is a later failover
// (redis.io, "High availability with Redis Sentinel", configuration epochs).
func winner(heard []opinion) (master schema.Addr, votes int) {
	latest, count := int64(-1), map[schema.Addr]int{}
	for _, o := range heard {
		if o.err == nil && o.epoch > latest {
			latest = o.epoch
			clear(count)
		}
		if o.err == nil && o.epoch == latest {
			count[o.master]++
		}
	}
	for addr, n := range count {
		if n > votes || n == votes && addr < master {
			master, votes = addr, n
		}
	}
	return master, votes
}

// why says in one line what the Sentinels answered instead.
func why(heard []opinion) error {
	slices.SortFunc(heard, func(a, b opinion) int { return cmp.Compare(a.sentinel, b.sentinel) })
	parts := make([]string, len(heard))
	for i, o := range heard {
		parts[i] = fmt.Sprintf("%s: %s", o.sentinel, brief(o.err))
	}
	return errors.New("no Sentinel tells: " + strings.Join(parts, "; "))
}

func (f *finder) askOne(ctx context.Context, sentinel schema.Addr, password string) opinion {
	o := opinion{sentinel: sentinel}
	conn, err := hello(ctx, sentinel, password)
	if err != nil {
		o.err = err
		return o
	}
	defer conn.Close()
	reply, err := conn.Do(ctx, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", f.access.Cluster)
	if err != nil {
		o.err = err
		return o
	}
	words, _ := reply.([]any)
	if len(words) != 2 {
		o.err = errors.New("it does not know " + f.access.Cluster)
		return o
	}
	port, _ := strconv.Atoi(fmt.Sprint(words[1]))
	o.master = schema.NewAddr(fmt.Sprint(words[0]), port)
	if reply, o.err = conn.Do(ctx, "SENTINEL", "MASTER", f.access.Cluster); o.err == nil {
		o.epoch = epoch(reply)
	}
	return o
}

// epoch reads config-epoch of SENTINEL MASTER, 0 when there is none.
func epoch(reply any) int64 {
	words, _ := reply.([]any)
	for i := 0; i+1 < len(words); i += 2 {
		if words[i] == "config-epoch" {
			n, _ := strconv.ParseInt(fmt.Sprint(words[i+1]), 10, 64)
			return n
		}
	}
	return 0
}

// hello connects to a Sentinel and logs in. One that has no password takes
// everybody.
func hello(ctx context.Context, addr schema.Addr, password string) (*resp.Conn, error) {
	conn, err := resp.Dial(ctx, string(addr))
	if err != nil {
		return nil, err
	}
	if err := login(ctx, conn, password); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

func login(ctx context.Context, conn *resp.Conn, password string) error {
	if password == "" {
		return nil
	}
	_, err := conn.Do(ctx, "AUTH", password)
	if err != nil && strings.Contains(err.Error(), "without any password configured") {
		return nil
	}
	if err != nil {
		return fmt.Errorf("AUTH: %w", err)
	}
	return nil
}

// open connects to the master and logs in. A server that is none is an error: a
// Sentinel may not know yet, and an old master may have come back as a replica.
func (f *finder) open(ctx context.Context, addr schema.Addr) (*net.TCPConn, error) {
	password, err := read(f.access.Auth.Password)
	if err != nil {
		return nil, err
	}
	var dialer net.Dialer
	raw, err := dialer.DialContext(ctx, "tcp", string(addr))
	if err != nil {
		return nil, errors.New(brief(err))
	}
	conn := resp.NewConn(raw)
	if err = login(ctx, conn, password); err == nil {
		err = isMaster(ctx, conn)
	}
	if err == nil {
		err = raw.SetDeadline(time.Time{})
	}
	if err != nil {
		_ = raw.Close()
		return nil, errors.New(brief(err))
	}
	return raw.(*net.TCPConn), nil
}

func isMaster(ctx context.Context, conn *resp.Conn) error {
	reply, err := conn.Do(ctx, "ROLE")
	if err != nil {
		return fmt.Errorf("ROLE: %w", err)
	}
	words, _ := reply.([]any)
	if len(words) == 0 || words[0] != "master" {
		return fmt.Errorf("it is no master: ROLE says %v", words)
	}
	return nil
}

// read returns a secret's value, "" for none.
func read(ref *schema.Secret) (string, error) {
	if ref == nil {
		return "", nil
	}
	return ref.Read()
}

// brief is an error without the addresses that the reader knows already.
func brief(err error) string {
	var op *net.OpError
	switch {
	case err == nil:
		return "no answer"
	case errors.Is(err, context.DeadlineExceeded), isTimeout(err):
		return "no answer in time"
	case errors.As(err, &op):
		return op.Err.Error()
	}
	return err.Error()
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}
