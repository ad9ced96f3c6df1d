package lease

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"rsm/internal/redistest"
	"rsm/internal/resp"
	"rsm/schema"
)

// patience is for states to come; machines that run tests are slow at times.
const patience = 30 * time.Second

func TestMain(m *testing.M) {
	if addrs := os.Getenv("LEASE_TEST_SENTINELS"); addrs != "" {
		holder(strings.Fields(addrs))
		return
	}
	os.Exit(m.Run())
}

// holder is a process that keeps the lease; it answers each line on stdin with
// what Held says.
func holder(addrs []string) {
	var sentinels []schema.Addr
	for _, addr := range addrs {
		sentinels = append(sentinels, schema.Addr(addr))
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	l := New("lain", sentinels, Options{Owner: "process", TTL: leastTTL})
	go func() { _ = l.Run(ctx) }()
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		fmt.Println(l.Held(ctx))
	}
}

// group is some Sentinels, which watch nothing.
func group(t *testing.T, n int, config ...string) ([]*redistest.Server, []schema.Addr) {
	t.Helper()
	var servers []*redistest.Server
	var addrs []schema.Addr
	for range n {
		s := redistest.StartSentinel(t, config...)
		servers, addrs = append(servers, s), append(addrs, schema.Addr(s.Addr()))
	}
	return servers, addrs
}

// contend runs a Lease until the test ends or the returned function is called.
func contend(t *testing.T, addrs []schema.Addr, options Options) (*Lease, context.CancelFunc) {
	t.Helper()
	return contendFor(t, "lain", addrs, options)
}

func contendFor(t *testing.T, cluster string, addrs []schema.Addr, options Options) (*Lease, context.CancelFunc) {
	t.Helper()
	l := New(cluster, addrs, options)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return l, stop
}

func held(t *testing.T, l *Lease) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return l.Held(ctx)
}

// wins waits until Held of the lease is nil.
func wins(t *testing.T, l *Lease) {
	t.Helper()
	redistest.Wait(t, patience, func() error { return held(t, l) })
}

// loses wants a LostError with the holder.
func loses(t *testing.T, l *Lease, holder string) {
	t.Helper()
	var lost *LostError
	if err := held(t, l); !errors.As(err, &lost) || lost.Holder != holder {
		t.Fatalf("Held of %s: %v; want that %q has it", l.options.Owner, err, holder)
	}
}

func TestOneHolds(t *testing.T) {
	t.Parallel()
	servers, addrs := group(t, 3)
	a, endA := contend(t, addrs, Options{Owner: "host a:1"})
	wins(t, a)
	b, _ := contend(t, addrs, Options{Owner: "host-b:2"})
	other, _ := contendFor(t, "lain2", addrs, Options{Owner: "other"})
	wins(t, other)
	redistest.Wait(t, patience, redistest.Want("holder", "host-a:1", func() string { return b.Status().Holder }))
	loses(t, b, "host-a:1")
	wins(t, a)
	if s := a.Status(); !s.Mine || s.Bare || s.Votes != 3 || s.Voters != 3 || s.Sentinels[0].First != "host-a:1" {
		t.Errorf("status of the holder: %+v", s)
	}
	if list := servers[0].Do("CLIENT", "LIST").(string); !strings.Contains(list, " name=rsm-lease:lain:host-a:1:"+a.token+" ") {
		t.Errorf("the name is not in\n%s", list)
	}

	endA()
	ended := time.Now()
	redistest.Wait(t, patience, redistest.Want("mine", true, func() bool { return b.Status().Mine }))
	if took := time.Since(ended); took > 5*time.Second { // usually less than 1 s
		t.Errorf("the next one has it after %s", took)
	} else {
		t.Logf("the next one has it after %s", took)
	}
	if err := held(t, a); err == nil {
		t.Error("who has ended has it")
	}
	loses(t, a, "")
}

func TestFrozenHolder(t *testing.T) {
	t.Parallel()
	_, addrs := group(t, 3)
	var words []string
	for _, addr := range addrs {
		words = append(words, string(addr))
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "LEASE_TEST_SENTINELS="+strings.Join(words, " "))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	says := bufio.NewReader(out)
	ask := func() string {
		if _, err := fmt.Fprintln(in); err != nil {
			t.Fatal(err)
		}
		line, err := says.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(line)
	}
	if got := ask(); got != "<nil>" {
		t.Fatalf("the process does not get the lease: %s", got)
	}
	b, _ := contend(t, addrs, Options{Owner: "b", TTL: leastTTL})
	loses(t, b, "process")

	signal(t, cmd, syscall.SIGSTOP)
	frozen := time.Now()
	redistest.Wait(t, patience, redistest.Want("mine", true, func() bool { return b.Status().Mine }))
	if took := time.Since(frozen); took < time.Second {
		t.Errorf("it was lost after %s", took)
	}
	signal(t, cmd, syscall.SIGCONT)
	if got := ask(); got != "lease of lain: b has it" {
		t.Errorf("the thawed process: %s", got)
	}
	wins(t, b)
}

func signal(t *testing.T, cmd *exec.Cmd, sig syscall.Signal) {
	t.Helper()
	if err := cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

// TestSentinelsDown takes one Sentinel after the other away, and brings them back.
func TestSentinelsDown(t *testing.T) {
	t.Parallel()
	servers, addrs := group(t, 3)
	a, _ := contend(t, addrs, Options{Owner: "a"})
	wins(t, a)
	b, _ := contend(t, addrs, Options{Owner: "b"})
	loses(t, b, "a")
	servers[0].Kill()
	wins(t, a)
	loses(t, b, "a")
	servers[1].Kill()
	redistest.Wait(t, patience, func() error { return held(t, a) })
	loses(t, b, "a")
	redistest.Wait(t, patience, redistest.Want("voters", 1, func() int { return a.Status().Voters }))

	servers[2].Kill()
	redistest.Wait(t, patience, redistest.Want("bare", true, func() bool { return a.Status().Bare && b.Status().Bare }))
	for _, s := range servers {
		s.Restart()
	}
	redistest.Wait(t, patience, func() error {
		one, two := held(t, a), held(t, b)
		if (one == nil) == (two == nil) {
			return fmt.Errorf("both: %v, %v", one, two)
		}
		return nil
	})
}

// TestSplit: each is first at one of two Sentinels, and the third is down.
func TestSplit(t *testing.T) {
	t.Parallel()
	servers, addrs := group(t, 3)
	servers[2].Kill()
	var second atomic.Bool // a may go to the second Sentinel only then
	slow := func(ctx context.Context, addr schema.Addr) (net.Conn, error) {
		if addr == addrs[1] && !second.Load() {
			return nil, errors.New("not yet")
		}
		return dialTCP(ctx, addr)
	}
	a, _ := contend(t, addrs, Options{Owner: "a", Dial: slow})
	redistest.Wait(t, patience, redistest.Want("first", "a", func() string { return a.Status().Sentinels[0].First }))
	b, _ := contend(t, addrs, Options{Owner: "b"})
	redistest.Wait(t, patience, redistest.Want("first", "b", func() string { return b.Status().Sentinels[1].First }))
	second.Store(true)
	redistest.Wait(t, patience, func() error {
		if one, two := a.Status(), b.Status(); one.Mine == two.Mine || one.Holder != two.Holder {
			return fmt.Errorf("a: %+v, b: %+v", one, two)
		}
		return nil
	})
	if one, two := held(t, a), held(t, b); (one == nil) == (two == nil) {
		t.Errorf("a: %v, b: %v", one, two)
	}
}

// TestPartition: who hears nothing from the majority never gets the lease, and
// loses it.
func TestPartition(t *testing.T) {
	t.Parallel()
	servers, addrs := group(t, 3)
	a, _ := contend(t, addrs, Options{Owner: "a", TTL: leastTTL})
	wins(t, a)
	servers[0].Pause()
	wins(t, a)
	servers[1].Pause()
	var lost *LostError
	if err := held(t, a); !errors.As(err, &lost) || lost.Holder != "" || !strings.Contains(lost.Why, string(addrs[0])+": no answer") {
		t.Errorf("a majority is silent: %v", err)
	}
	servers[2].Pause()
	if err := held(t, a); err == nil {
		t.Error("all are silent, and it has the lease")
	}
	if s := a.Status(); s.Mine || s.Bare || s.Voters != 3 {
		t.Errorf("status: %+v", s)
	}
	for _, s := range servers {
		s.Resume()
	}
	wins(t, a)
}

func TestPasswords(t *testing.T) {
	t.Parallel()
	servers, addrs := group(t, 1, "requirepass right")
	says := func(user, password string) *Lease {
		l, _ := contend(t, addrs, Options{Owner: "a", TTL: leastTTL, Password: func() (string, string, error) {
			if password == "" {
				return "", "", errors.New("no such file")
			}
			return user, password, nil
		}})
		return l
	}
	var work sync.WaitGroup // each waits in vain for a while
	for _, tt := range []struct{ user, password, want string }{
		{"", "wrong", "WRONGPASS"}, {"", "", "read password: no such file"}, {"nobody", "right", "WRONGPASS"},
	} {
		work.Go(func() {
			if err := held(t, says(tt.user, tt.password)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%q %q: %v; want %s", tt.user, tt.password, err, tt.want)
			}
		})
	}
	work.Go(func() {
		none, _ := contend(t, addrs, Options{TTL: leastTTL})
		if err := held(t, none); err == nil || !strings.Contains(err.Error(), "NOAUTH") {
			t.Errorf("without a password: %v", err)
		}
	})
	work.Wait()
	l := says("default", "right")
	wins(t, l)
	if reply, err := redistest.Do(servers[0].Addr(), "PING"); err == nil {
		t.Errorf("the Sentinel has no password: %v", reply)
	}

	_, open := group(t, 1)
	l, _ = contend(t, open, Options{Password: func() (string, string, error) { return "", "unused", nil }})
	wins(t, l)
}

// TestNoSentinel: what is no Sentinel, or says nonsense, is not down.
func TestNoSentinel(t *testing.T) {
	t.Parallel()
	var work sync.WaitGroup
	defer work.Wait()
	for name, answer := range map[string]redistest.Reply{
		"nonsense": redistest.Raw("HTTP/1.1 400\r\n"), "empty": redistest.Bulk(""), "error": redistest.Err("NOPERM no"), "closes": redistest.Close(),
	} {
		fake := redistest.StartFake(t, func(args []string) redistest.Reply {
			switch {
			case args[0] == "CLIENT" && args[1] == "LIST":
				return answer
			case args[0] == "CLIENT" && args[1] == "ID":
				return redistest.Int(7)
			}
			return redistest.Reply{}
		})
		l, _ := contend(t, []schema.Addr{schema.Addr(fake.Addr())}, Options{TTL: leastTTL})
		work.Go(func() {
			if err := held(t, l); err == nil {
				t.Errorf("%s: it has the lease", name)
			}
			if s := l.Status(); s.Voters != 1 || s.Sentinels[0].Why == "" {
				t.Errorf("%s: %+v", name, s)
			}
		})
	}
}

func TestHeldEnds(t *testing.T) {
	t.Parallel()
	servers, addrs := group(t, 1)
	servers[0].Pause()
	l, _ := contend(t, addrs, Options{})
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(50*time.Millisecond, cancel)
	if err := l.Held(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	servers[0].Resume()
}

func TestQueue(t *testing.T) {
	t.Parallel()
	const list = "id=12 addr=[::1]:5 name=rsm-lease:lain:[::1]:80:tok2 idle=3 flags=N\n" +
		"id=9 addr=x name=rsm-lease:lain:o:tok1 age=7 idle=0\r\n" +
		"id=3 name=rsm-lease:lain2:o:tok idle=0\nid=4 name= idle=1\nid=x name=rsm-lease:lain:o:bad idle=0\nid=5 name=rsm-lease:lain: idle=0\n\nnoise\n"
	got := fmt.Sprint(readQueue(list, "rsm-lease:lain:"))
	if want := "[{9 o tok1 0} {12 [::1]:80 tok2 3000000000}]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestChanged tells of won and lost, with a connection that somebody kills.
func TestChanged(t *testing.T) {
	t.Parallel()
	servers, addrs := group(t, 1)
	told := make(chan Status, 100)
	l, end := contend(t, addrs, Options{Owner: "a", Changed: func(s Status) { told <- s }})
	wins(t, l)
	for first := range told {
		if first.Mine {
			break
		}
	}
	b, _ := contend(t, addrs, Options{Owner: "b"})
	loses(t, b, "a")
	if _, err := servers[0].TryDo("CLIENT", "KILL", "ID", fmt.Sprint(l.places[0].link.id)); err != nil && !errors.As(err, new(resp.Error)) {
		t.Fatal(err)
	}
	redistest.Wait(t, patience, func() error { return held(t, b) })
	loses(t, l, "b")
	if s := <-told; s.Mine || s.Holder != "b" && s.Holder != "" {
		t.Errorf("told %+v", s)
	}
	end()
}
