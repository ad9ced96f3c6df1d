package relay

import (
	"log/slog"
	"runtime"
	"sync"
	"time"

	"rsm/runtime/proxy/command"
	"rsm/runtime/proxy/follow"
)

const (
	requestBytes = 64 << 10  // read from a client at once
	replyBytes   = 256 << 10 // read from a backend at once
	yields       = 4         // looks without waiting before a wait
	fewEvents    = 2         // of a turn: then it may look for longer
)

// loop owns a part of the clients. Everything but post runs on its goroutine.
type loop struct {
	shared *shared
	log    *slog.Logger
	poll   *poller
	peers  []peer // by descriptor

	clients map[uint64]*client
	servers map[string]*server
	idents  map[identity]*identity
	table   *command.Table
	tabled  bool // table is that of a server
	rules   map[*Listener]*rules

	// Where requests go.
	target *follow.Target
	master *server // nil while there is none
	failed bool    // the connection that is being handled has
	gen    int     // counts up when a client's lane may be another one

	now     time.Time
	ns      int64 // now, as nanoseconds since start
	start   time.Time
	ticked  int64
	second  int64
	turns   uint64
	spin    spin
	scratch []byte
	replies []byte
	buffers buffers
	found   []ready
	dirty   []*backend
	flushes []*client
	run     []*client // may go on
	held    []*client // wait for a master
	delayed []*client // sent more than they may in this second
	heldFor int64     // bytes that held clients wait with
	wakeAt  int64     // when they may try again without a new target, 0 never
	spills  []*client // read slowly
	leaving []*client // ended, but have a backend of their own
	spilled int       // bytes that wait for them
	outgone int       // requests that are not answered, of all backends
	due     []*witness
	gates   []*gate // to be used again

	mu    sync.Mutex
	inbox []func(*loop)

	stats stats
	seen  seen
}

// post has the loop call f in its next turn. Any goroutine may call it.
func (l *loop) post(f func(*loop)) {
	l.mu.Lock()
	first := len(l.inbox) == 0
	l.inbox = append(l.inbox, f)
	l.mu.Unlock()
	if first {
		l.poll.wake()
	}
}

// Run turns until stop is closed and every client is gone.
func (l *loop) Run(stop <-chan struct{}) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer l.end()
	for {
		l.turn()
		select {
		case <-stop:
			return
		default:
		}
	}
}

// turn waits for something to do and does all of it.
func (l *loop) turn() {
	l.wait()
	l.now = time.Now()
	l.ns = int64(l.now.Sub(l.start))
	l.turns++
	l.letters()
	l.follow()
	for _, r := range l.found { // clients first, so that one write carries all they sent
		if c, ok := l.peer(r.fd).(*client); ok {
			l.handle(c, r)
		}
	}
	l.tick()
	l.proceed()
	l.flushBackends()
	for _, r := range l.found {
		if b, ok := l.peer(r.fd).(*backend); ok {
			l.handle(b, r)
		}
	}
	l.proceed()
	l.flushClients()
	l.flushBackends()
}

func (l *loop) peer(fd int) peer {
	if fd < len(l.peers) {
		return l.peers[fd]
	}
	return nil
}

func (l *loop) handle(p peer, r ready) {
	l.failed = r.failed
	if r.write {
		p.writable(l)
	}
	if r.read {
		p.readable(l)
	}
}

// wait fills found. It looks some times without waiting first: when few clients
// are active, going to sleep and being woken costs more than an answer takes.
func (l *loop) wait() {
	busy := len(l.found) // in the last turn
	l.found = l.found[:0]
	if busy > 0 && l.peek(busy <= fewEvents) {
		return
	}
	before := time.Now()
	l.found = l.poll.wait(l.found, l.timeout())
	l.spin.slept(time.Since(before))
}

// peek reports whether something came while it did not wait.
func (l *loop) peek(long bool) bool {
	from := time.Now()
	for n := 0; n < yields || long && time.Since(from) < l.spin.window; n++ {
		if l.found = l.poll.wait(l.found, 0); len(l.found) > 0 || l.poll.woken { // which it would not be once more
			return true
		}
		rawYield()
	}
	return false
}

// timeout is for how long a loop may sleep, in milliseconds.
func (l *loop) timeout() int {
	switch {
	case len(l.run) > 0:
		return 0
	case len(l.held) > 0, l.opening():
		return 5
	case l.outgone > 0, len(l.delayed) > 0:
		return 50
	}
	return 500
}

// letters does what other goroutines asked for.
func (l *loop) letters() {
	l.mu.Lock()
	inbox := l.inbox
	l.inbox = nil
	l.mu.Unlock()
	for _, f := range inbox {
		f(l)
	}
}

// proceed lets clients go on that waited for something.
func (l *loop) proceed() {
	for len(l.run) > 0 {
		run := l.run
		l.run = nil
		for _, c := range run {
			c.queued = false
			if !c.gone {
				l.resume(c)
			}
		}
	}
}

// wakeClient puts a client into the list of those that may go on.
func (l *loop) wakeClient(c *client) {
	if !c.queued && !c.gone {
		c.queued = true
		l.run = append(l.run, c)
	}
}

func (l *loop) flushBackends() {
	l.inquiries()
	for i := 0; i < len(l.dirty); i++ { // a flush that fails may add more
		b := l.dirty[i]
		b.dirty = false
		if !b.gone {
			b.writable(l)
		}
	}
	l.dirty = l.dirty[:0]
}

func (l *loop) flushClients() {
	for i := 0; i < len(l.flushes); i++ {
		c := l.flushes[i]
		c.dirty = false
		if !c.gone {
			c.writable(l)
		}
	}
	l.flushes = l.flushes[:0]
}

// tick does what depends on time alone, at most every 5 ms.
func (l *loop) tick() {
	if l.ns-l.ticked < int64(5*time.Millisecond) {
		return
	}
	l.ticked = l.ns
	l.release()
	l.tend()
	if l.ns-l.second >= int64(time.Second) {
		l.second = l.ns
		l.sweep()
	}
}

// register makes a descriptor known to the poller.
func (l *loop) register(fd int, p peer, write bool) error {
	if missing := fd + 1 - len(l.peers); missing > 0 {
		l.peers = append(l.peers, make([]peer, max(missing, len(l.peers)))...)
	}
	l.peers[fd] = p
	return l.poll.add(fd, true, write)
}

// end closes all that is left.
func (l *loop) end() {
	for _, c := range l.clients {
		l.drop(c)
	}
	for _, s := range l.servers {
		l.cut(s, "the proxy ends")
	}
	l.poll.close()
}
