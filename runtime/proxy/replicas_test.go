package proxy_test

import (
	"bytes"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rsm/internal/redistest"
	"rsm/schema"
)

// replicated is a cluster behind a proxy with listeners of every kind, by name.
type replicated struct {
	*redistest.Cluster
	t   testing.TB
	at  map[string]string
	cut func() // replicas get nothing more from the master, if it is late
}

func newReplicated(t testing.TB, servers int, change func(*schema.ProxyRole), listeners ...schema.Listener) *replicated {
	t.Helper()
	r := &replicated{Cluster: redistest.StartCluster(t, "cache", servers, 3), t: t, at: map[string]string{}}
	var sentinels []string
	for _, s := range r.Sentinels {
		sentinels = append(sentinels, s.Addr())
	}
	role := newRole(t, r.Redis[0].Addr(), sentinels...)
	for i, s := range r.Redis[1:] {
		role.Cluster.Redis.Nodes = append(role.Cluster.Redis.Nodes, schema.RedisNode{Name: "redis-" + strconv.Itoa(i+2), Addr: schema.Addr(s.Addr())})
	}
	role.Cluster.Sentinel.Quorum = 2
	role.Proxy.Listeners = role.Proxy.Listeners[:1]
	for i, port := range redistest.Ports(t, len(listeners)) {
		listeners[i].Addr, listeners[i].Login = schema.NewAddr("127.0.0.1", port), schema.LoginClient
		role.Proxy.Listeners = append(role.Proxy.Listeners, listeners[i])
		r.at[listeners[i].Name] = string(listeners[i].Addr)
	}
	r.at["main"] = string(role.Proxy.Listeners[0].Addr)
	if change != nil {
		change(&role)
	}
	r.introduce()
	run(t, role)
	for _, addr := range r.at {
		awaitPong(t, addr)
	}
	r.awaitReplicas()
	return r
}

// awaitReplicas waits until reads go to replicas.
func (r *replicated) awaitReplicas() {
	r.t.Helper()
	for name, addr := range r.at {
		if name == "main" || name == "durable" {
			continue
		}
		redistest.Wait(r.t, patience, func() error {
			if who := dial(r.t, addr).ask("GET", "who"); who == bulk(r.Redis[0].Addr()) {
				return fmt.Errorf("%s reads from the master", name)
			}
			return nil
		})
	}
}

// introduce has every server answer GET who with its own address.
func (r *replicated) introduce() {
	r.t.Helper()
	r.Redis[0].Do("SET", "who", r.Redis[0].Addr())
	for _, s := range r.Redis[1:] {
		redistest.Wait(r.t, patience, redistest.Want("who", any(r.Redis[0].Addr()), func() any { return s.Do("GET", "who") }))
		s.Do("CONFIG", "SET", "replica-read-only", "no")
		s.Do("SET", "who", s.Addr())
		s.Do("CONFIG", "SET", "replica-read-only", "yes")
	}
}

func readsFrom(name string, from schema.ReadFrom) schema.Listener {
	return schema.Listener{Name: name, Read: from}
}

// A listener for reads alone: who answers, and what.
func TestReadsOnReplicas(t *testing.T) {
	t.Parallel()
	r := newReplicated(t, 3, nil, readsFrom("replica", schema.ReadReplica), readsFrom("prefer", schema.ReadPreferReplica))
	master, first, second := bulk(r.Redis[0].Addr()), bulk(r.Redis[1].Addr()), bulk(r.Redis[2].Addr())
	t.Run("spread", func(t *testing.T) {
		for _, name := range []string{"replica", "prefer"} {
			count := map[string]int{}
			for range 20 {
				p := dial(t, r.at[name])
				who := p.ask("GET", "who")
				count[who]++
				for range 5 {
					p.want(who, "GET", "who")
				}
			}
			if count[first] < 8 || count[second] < 8 || count[master] > 0 {
				t.Errorf("%s: 20 clients read from %v", name, count)
			}
		}
	})
	t.Run("refused", func(t *testing.T) {
		for _, words := range []string{"SET k v", "DEL who", "EVAL return 0", "PUBLISH c m", "BLPOP l 1", "CONFIG SET hz 10", "FLUSHALL"} {
			p := dial(t, r.at["replica"])
			if got := p.ask(strings.Fields(words)...); !strings.HasPrefix(got, "-NOPERM only reads are taken here") {
				t.Errorf("%s is answered by %q", words, got)
			}
		}
	})
	t.Run("connections", func(t *testing.T) {
		p := dial(t, r.at["replica"])
		r.Redis[0].Do("XADD", "stream", "1-1", "f", "v")
		p.want("+OK\r\n", "MULTI")
		p.want("+QUEUED\r\n", "GET", "who")
		if got := p.ask("EXEC"); got == "*1\r\n"+master || !strings.HasPrefix(got, "*1\r\n$") {
			t.Errorf("a transaction is answered by %q", got)
		}
		if got := p.ask("ROLE"); !strings.HasPrefix(got, "*5\r\n$5\r\nslave") {
			t.Errorf("ROLE is answered by %q", got)
		}
		p.send(command("XREAD", "BLOCK", "0", "STREAMS", "stream", "1-1"))
		p.send(command("GET", "who"))
		r.Redis[0].Do("XADD", "stream", "2-1", "f", "v")
		if got, err := p.reply(); err != nil || !bytes.Contains(got, []byte("2-1")) {
			t.Errorf("XREAD is answered by %q, %v", got, err)
		}
		if got, err := p.reply(); err != nil || string(got) == master {
			t.Errorf("GET behind XREAD is answered by %q, %v", got, err)
		}
		if got := p.ask("HELLO", "3"); !strings.Contains(got, "replica") {
			t.Errorf("HELLO is answered by %q", got)
		}
		p.want("+OK\r\n", "SELECT", "3")
		p.want("_\r\n", "GET", "who")
		p.want("+OK\r\n", "SELECT", "0")
		if got := p.ask("GET", "who"); got != first && got != second {
			t.Errorf("GET who is answered by %q", got)
		}
	})
	t.Run("subscribe", func(t *testing.T) {
		p := dial(t, r.at["replica"])
		p.ask("SUBSCRIBE", "news")
		count := func() any { return r.Redis[0].Do("PUBSUB", "NUMSUB", "news").([]any)[1] }
		if n := count(); n != int64(0) {
			t.Errorf("%v subscribe on the master", n)
		}
		r.Redis[0].Do("PUBLISH", "news", "today")
		if got, err := p.reply(); err != nil || !bytes.Contains(got, []byte("today")) {
			t.Errorf("the message is %q, %v", got, err)
		}
	})
	t.Run("transaction with a write", func(t *testing.T) {
		p := dial(t, r.at["replica"])
		p.want("+OK\r\n", "MULTI")
		if got := p.ask("SET", "k", "v"); !strings.HasPrefix(got, "-NOPERM") {
			t.Errorf("SET is answered by %q", got)
		}
		if got := p.ask("EXEC"); !strings.HasPrefix(got, "-EXECABORT") {
			t.Errorf("EXEC is answered by %q", got)
		}
	})
	t.Run("order", func(t *testing.T) { mixed(t, r.at["prefer"], master) })
}

// mixed sends pipelines in which reads go to replicas and writes to the master.
func mixed(t *testing.T, addr, master string) {
	p := dial(t, addr)
	var requests []byte
	for i := range 100 {
		requests = join(requests, pipeline(fmt.Sprintf("ECHO %d", i), "GET who", "INCR order", "GET who", "XREAD COUNT 1 STREAMS none 0", "APPEND text x", "GET who",
			"MULTI", "INCR order", "GET who", "EXEC", "GET who"))
	}
	p.send(requests)
	replica := ""
	for i := range 100 {
		want := []string{bulk(strconv.Itoa(i)), "who", ":" + strconv.Itoa(2*i+1) + "\r\n", "who", "*-1\r\n", ":" + strconv.Itoa(i+1) + "\r\n", "who",
			"+OK\r\n", "+QUEUED\r\n", "+QUEUED\r\n", "*2\r\n:" + strconv.Itoa(2*i+2) + "\r\n" + master, "who"}
		for k, want := range want {
			raw, err := p.reply()
			got := string(raw)
			if replica == "" && want == "who" {
				if replica = got; got == master {
					t.Fatal("reads go to the master")
				}
			}
			if err != nil || got != want && (want != "who" || got != replica && got != master) { // the master: behind XREAD
				t.Fatalf("reply %d of round %d is %q, %v; want %q", k, i, got, err, want)
			}
		}
	}
}

// readers ask who answers, until told to stop. Every answer must be one of a server.
type readers struct {
	t       testing.TB
	stop    chan struct{}
	ended   chan error
	n       int
	reads   atomic.Int64
	slowest atomic.Int64
	seen    [3]atomic.Int64
}

func (r *replicated) read(name string, n int) *readers {
	rs := &readers{t: r.t, stop: make(chan struct{}), ended: make(chan error, n), n: n}
	for range n {
		p := dial(r.t, r.at[name])
		go func() { rs.ended <- rs.run(p, r) }()
	}
	r.t.Cleanup(rs.end)
	rs.await(100)
	return rs
}

func (rs *readers) run(p *peer, r *replicated) error {
	request := command("GET", "who")
	for {
		select {
		case <-rs.stop:
			return nil
		default:
		}
		began := time.Now()
		p.send(request)
		got, err := p.reply()
		if err != nil {
			return err
		}
		who := slices.IndexFunc(r.Redis, func(s *redistest.Server) bool { return string(got) == bulk(s.Addr()) })
		if who < 0 {
			return fmt.Errorf("GET who is answered by %q", got)
		}
		rs.seen[who].Add(1)
		rs.reads.Add(1)
		for took := int64(time.Since(began)); ; {
			if old := rs.slowest.Load(); took <= old || rs.slowest.CompareAndSwap(old, took) {
				break
			}
		}
	}
}

// await waits for more reads.
func (rs *readers) await(n int64) {
	rs.t.Helper()
	goal := rs.reads.Load() + n
	redistest.Wait(rs.t, patience, func() error {
		if have := rs.reads.Load(); have < goal {
			select {
			case err := <-rs.ended:
				rs.ended <- err
				return err
			default:
			}
			return fmt.Errorf("%d reads, want %d", have, goal)
		}
		return nil
	})
}

// only waits until nobody but the given servers answers.
func (rs *readers) only(servers ...int) {
	rs.t.Helper()
	redistest.Wait(rs.t, patience, func() error { return rs.answer(servers...) })
}

// answer says who else has answered the next reads, or who has not.
func (rs *readers) answer(servers ...int) error {
	rs.t.Helper()
	var before [3]int64
	for i := range before {
		before[i] = rs.seen[i].Load()
	}
	rs.await(int64(20 * rs.n))
	for i := range before {
		if more := rs.seen[i].Load() - before[i]; (more > 0) != slices.Contains(servers, i) {
			return fmt.Errorf("server %d answered %d reads", i, more)
		}
	}
	return nil
}

func (rs *readers) end() {
	select {
	case <-rs.stop:
		return
	default:
	}
	close(rs.stop)
	for range rs.n {
		if err := <-rs.ended; err != nil {
			rs.t.Error(err)
		}
	}
}

// Whatever becomes of a replica: no read fails.
func TestReplicasThatGo(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"replica", "prefer"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from := schema.ReadReplica
			if name == "prefer" {
				from = schema.ReadPreferReplica
			}
			r := newReplicated(t, 3, nil, readsFrom(name, from))
			rs := r.read(name, 8)
			rs.only(1, 2)

			r.Redis[1].Kill()
			rs.only(2)
			r.Redis[1].Restart()
			r.introduce()
			rs.only(1, 2)

			r.Redis[2].Pause() // for longer than down-after
			rs.only(1)
			r.Redis[2].Resume()
			rs.only(1, 2)

			r.Sentinels[0].Do("SENTINEL", "FAILOVER", "cache")
			leader := 0
			redistest.Wait(t, patience, func() (err error) {
				leader, err = r.follows()
				return err
			})
			rs.await(100)
			rs.end()
			r.Redis[0], r.Redis[leader] = r.Redis[leader], r.Redis[0]
			r.introduce()
			again := r.read(name, 8)
			redistest.Wait(t, patience, func() error {
				if err := again.answer(1, 2); err != nil {
					r.introduce() // a replica that took a copy of the new master's data since has that one's name
					return err
				}
				return nil
			})
		})
	}
}

// follows returns which server has become the master that all others follow.
func (r *replicated) follows() (leader int, err error) {
	ports := map[string]int{}
	for i, s := range r.Redis {
		reply, err := s.TryDo("ROLE")
		words, _ := reply.([]any)
		switch {
		case err != nil:
			return 0, err
		case words[0] == "master":
			leader = i
		case words[3] == "connected":
			ports[fmt.Sprint(words[2])]++
		}
	}
	if leader == 0 || ports[strconv.Itoa(r.Redis[leader].Port())] != len(r.Redis)-1 {
		return 0, fmt.Errorf("server %d leads, followed are %v", leader, ports)
	}
	return leader, nil
}

// A replica that refuses is not asked again at once, and nobody hears of it.
func TestReplicaThatRefuses(t *testing.T) {
	t.Parallel()
	r := newReplicated(t, 3, nil, readsFrom("replica", schema.ReadReplica))
	for i := range 100 {
		r.Redis[0].Do("SET", "k"+strconv.Itoa(i), strings.Repeat("x", 2048))
	}
	rs := r.read("replica", 8)
	r.Redis[0].Do("CONFIG", "SET", "rdbcompression", "no")
	for i, refusal := range []string{"LOADING", "MASTERDOWN"} {
		replica := r.Redis[1+i]
		replica.Do("CONFIG", "SET", "key-load-delay", "10000", "loading-process-events-interval-bytes", "2048",
			"replica-serve-stale-data", map[string]string{"LOADING": "yes", "MASTERDOWN": "no"}[refusal])
		replica.Do("REPLICAOF", "NO", "ONE") // another history: it needs a full sync
		replica.Do("SET", "other", "history")
		replica.Do("REPLICAOF", "127.0.0.1", strconv.Itoa(r.Redis[0].Port()))
		refused := false
		redistest.Wait(t, patience, func() error {
			_, err := replica.TryDo("GET", "who")
			refused = refused || err != nil && strings.HasPrefix(err.Error(), refusal)
			if err == nil && !refused {
				err = fmt.Errorf("it does not refuse")
			}
			return err
		})
		rs.await(100)
	}
	if slow := time.Duration(rs.slowest.Load()); slow > time.Second {
		t.Errorf("a read took %v", slow)
	}
}

// Reads go to the replicas of the proxy's zone while there is one.
func TestReplicaInZone(t *testing.T) {
	t.Parallel()
	r := newReplicated(t, 3, func(role *schema.ProxyRole) {
		role.Zone, role.Zones = "here", map[string]string{"redis-1": "here", "redis-2": "there", "redis-3": "here"}
	}, readsFrom("replica", schema.ReadReplica))
	rs := r.read("replica", 8)
	rs.only(2)
	r.Redis[2].Kill()
	rs.only(1)
}

func TestMaxLag(t *testing.T) {
	t.Parallel()
	const lag = 400 * time.Millisecond
	replica, prefer := readsFrom("replica", schema.ReadReplica), readsFrom("prefer", schema.ReadPreferReplica)
	replica.MaxLag, prefer.MaxLag = lag, lag
	r := newReplicated(t, 3, func(role *schema.ProxyRole) {
		role.Proxy.Hold = time.Second
		role.Cluster.Sentinel.DownAfter = 30 * time.Second // it is not down that counts
	}, replica, prefer)
	for _, name := range []string{"replica", "prefer"} {
		rs := r.read(name, 8)
		rs.only(1, 2)
		rs.slowest.Store(0)
		r.Redis[1].Pause()
		rs.only(2)
		if slow := time.Duration(rs.slowest.Load()); slow > lag+400*time.Millisecond {
			t.Errorf("%s: a read took %v while a replica hung", name, slow)
		}
		r.Redis[1].Resume()
		rs.only(1, 2)
		rs.end()
	}
	r.Redis[1].Pause()
	r.Redis[2].Pause()
	defer r.Redis[1].Resume()
	defer r.Redis[2].Resume()
	rs := r.read("prefer", 8)
	rs.only(0)
	p := dial(t, r.at["replica"])
	began := time.Now()
	if got := p.ask("GET", "who"); !strings.HasPrefix(got, "-MASTERDOWN no replica is fresh enough: ") {
		t.Errorf("GET without a replica is answered by %q", got)
	}
	if took := time.Since(began); took < 900*time.Millisecond || took > 5*time.Second {
		t.Errorf("it took %v, want the hold of 1s", took)
	}
}

// What a client has written it reads, though replicas are late; a client that
// does not ask for that reads old values.
func TestReadYourWrites(t *testing.T) {
	t.Parallel()
	r := newLate(t, 1)
	if old, rounds := r.oldReads("mine", 2*time.Second); old > 0 || rounds < 3 {
		t.Errorf("in %d of %d rounds a client read an old value", old, rounds)
	}
	if old, rounds := r.oldReads("any", time.Second); old == 0 {
		t.Errorf("none of %d reads is old: the replica is not late", rounds)
	}
	p := dial(t, r.at["mine"])
	p.send(pipeline("SET k 1", "GET k", "SET k 2", "GET k"))
	for _, want := range []string{"+OK\r\n", bulk("1"), "+OK\r\n", bulk("2")} {
		if got, err := p.reply(); err != nil || string(got) != want {
			t.Errorf("the reply is %q, %v; want %q", got, err, want)
		}
	}
}

// oldReads writes, and reads until a replica answers, again and again. It counts
// the rounds, and those in which something old was read.
func (r *replicated) oldReads(name string, long time.Duration) (old, rounds int) {
	r.t.Helper()
	p := dial(r.t, r.at[name])
	replica := bulk(r.Redis[1].Addr())
	for until := time.Now().Add(long); time.Now().Before(until); rounds++ {
		p.want("+OK\r\n", "SET", "key", strconv.Itoa(rounds))
		stale, before := false, rounds
		redistest.Wait(r.t, patience, func() error {
			for range 5 {
				p.ask("PING") // no write
				stale = stale || p.ask("GET", "key") != bulk(strconv.Itoa(before))
				if p.ask("GET", "who") == replica {
					stale = stale || p.ask("GET", "key") != bulk(strconv.Itoa(before))
					return nil
				}
			}
			return fmt.Errorf("the master still answers")
		})
		if stale {
			old++
		}
	}
	return old, rounds
}

// newLate is a master with replicas that get everything late, behind a proxy.
func newLate(t *testing.T, replicas int, more ...schema.Listener) *replicated {
	t.Helper()
	mine := readsFrom("mine", schema.ReadPreferReplica)
	mine.ReadYourWrites = true
	listeners := append(more, mine, readsFrom("any", schema.ReadPreferReplica))
	master := redistest.Start(t)
	addr, cut := newDelay(t, master.Addr(), 30*time.Millisecond)
	host, port, _ := net.SplitHostPort(addr)
	r := &replicated{Cluster: &redistest.Cluster{Redis: []*redistest.Server{master}}, t: t, at: map[string]string{}, cut: cut}
	for range replicas {
		r.Redis = append(r.Redis, redistest.Start(t, "replicaof "+host+" "+port))
	}
	r.introduce()
	watcher := sentinel(t, addr)
	role := newRole(t, addr, watcher.Addr())
	for i, s := range r.Redis[1:] {
		role.Cluster.Redis.Nodes = append(role.Cluster.Redis.Nodes, schema.RedisNode{Name: "redis-" + strconv.Itoa(i+2), Addr: schema.Addr(s.Addr())})
	}
	redistest.Wait(t, patience, redistest.Want("replicas that Sentinel knows", strconv.Itoa(replicas),
		func() string { return watcher.Master("cache")["num-slaves"] }))
	role.Proxy.Listeners = nil
	for i, port := range redistest.Ports(t, len(listeners)) {
		listeners[i].Addr, listeners[i].Login = schema.NewAddr("127.0.0.1", port), schema.LoginClient
		r.at[listeners[i].Name] = string(listeners[i].Addr)
	}
	role.Proxy.Listeners = listeners
	run(t, role)
	for _, addr := range r.at {
		awaitPong(t, addr)
	}
	r.awaitReplicas()
	return r
}

// newDelay passes connections on to a server; what that sends to replicas comes
// late, and no more after cut.
func newDelay(t *testing.T, to string, late time.Duration) (addr string, cut func()) {
	t.Helper()
	var ended atomic.Bool
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	serve := func(client net.Conn) {
		defer client.Close()
		server, err := net.Dial("tcp", to)
		if err != nil {
			return
		}
		defer server.Close()
		var replica atomic.Bool
		copyTo := func(dst, src net.Conn, each func([]byte)) {
			defer dst.Close()
			buf := make([]byte, 64<<10)
			for {
				n, err := src.Read(buf)
				each(buf[:n])
				if replica.Load() && ended.Load() {
					return
				}
				if _, writeErr := dst.Write(buf[:n]); err != nil || writeErr != nil {
					return
				}
			}
		}
		go copyTo(server, client, func(b []byte) {
			if bytes.Contains(b, []byte("PSYNC")) {
				replica.Store(true)
			}
		})
		copyTo(client, server, func([]byte) {
			if replica.Load() {
				time.Sleep(late)
			}
		})
	}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go serve(client)
		}
	}()
	return l.Addr().String(), func() { ended.Store(true) }
}
