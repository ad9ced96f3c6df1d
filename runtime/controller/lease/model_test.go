package lease

import (
	"container/heap"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

var runs = flag.Int("runs", 500, "how many random worlds TestModel looks at")

// TestModel: in random worlds, where Sentinels crash, services freeze, packets
// are late and networks part, no two services have a round at the same time that
// says "mine". And when all is quiet again, somebody gets the lease.
func TestModel(t *testing.T) {
	t.Parallel()
	had := 0
	for seed := range uint64(*runs) {
		w := newWorld(seed)
		w.run()
		for i, a := range w.held {
			for _, b := range w.held[i+1:] {
				if a.who != b.who && !(a.bare && b.bare) && a.from < b.to && b.from < a.to {
					t.Fatalf("seed %d: %v and %v", seed, a, b)
				}
			}
		}
		had += len(w.held)
		if last := w.last(); w.now-last > 25_000 {
			t.Fatalf("seed %d: all was well for %d ms and nobody has it", seed, w.now-last)
		}
	}
	t.Logf("%d rounds had it, in %d worlds", had, *runs)
}

// span is a round that had the lease, in ms.
type span struct {
	who      int
	from, to int
	bare     bool
}

type world struct {
	*rand.Rand
	now       int // ms
	events    events
	sentinels []*modelSentinel
	services  []*modelService
	parted    map[[2]int]bool // service, Sentinel
	wild      bool            // things may still go wrong
	tempo     int             // ms between two mishaps, at most
	slow      int             // one of so many packets is slow
	usual     int             // ms that a packet takes, at most
	held      []span
}

type modelSentinel struct {
	down  bool
	life  int // counts restarts
	next  int64
	conns []*modelConn
}

type modelConn struct {
	claim
	life, said int
}

type modelService struct {
	number int
	token  string
	skew   int // of its clock
	frozen int // until
	away   int
	alone  int // 0: not
	places []*modelPlace
}

type modelPlace struct {
	seat  seat
	conn  *modelConn
	named time.Time
	busy  bool
	leave bool
}

const (
	quietAt, endAt = 40_000, 90_000
	modelTTL       = 4_000
)

func newWorld(seed uint64) *world {
	w := &world{Rand: rand.New(rand.NewPCG(seed, 1)), parted: map[[2]int]bool{}, wild: true}
	w.tempo, w.slow, w.usual = []int{200, 1000, 3000}[w.IntN(3)], 4+w.IntN(30), []int{10, 60, 130}[w.IntN(3)]
	for range 1 + w.IntN(5) {
		w.sentinels = append(w.sentinels, &modelSentinel{next: 3, down: w.IntN(4) == 0})
	}
	for i := range 2 + w.IntN(2) {
		s := &modelService{number: i, token: fmt.Sprint(w.IntN(1000), "-", i), skew: w.IntN(1_000_000)}
		for range w.sentinels {
			s.places = append(s.places, &modelPlace{})
		}
		w.services = append(w.services, s)
		w.after(w.IntN(1000), func() { w.round(s) })
	}
	w.after(500, w.mishap)
	return w
}

func (w *world) run() {
	for len(w.events) > 0 && w.now < endAt {
		next := heap.Pop(&w.events).(modelEvent)
		w.now = next.at
		if w.wild && w.now > quietAt {
			w.wild, w.parted = false, map[[2]int]bool{}
			for _, s := range w.sentinels {
				s.down = false
			}
		}
		next.do()
	}
}

func (w *world) last() int {
	last := quietAt
	for _, s := range w.held {
		last = max(last, s.to)
	}
	return last
}

// mishap breaks or mends something.
func (w *world) mishap() {
	if !w.wild {
		return
	}
	i, k := w.IntN(len(w.sentinels)), w.IntN(len(w.services))
	switch s := w.sentinels[i]; w.IntN(9) {
	case 0:
		for k := range 1 + w.IntN(len(w.sentinels)) { // a machine, or a rack
			s := w.sentinels[(i+k)%len(w.sentinels)]
			s.crash()
			s.down = true
		}
	case 1, 2:
		s.down = false
	case 3:
		w.parted[[2]int{k, i}] = true
	case 4:
		delete(w.parted, [2]int{k, i})
	case 5:
		w.services[k].frozen = w.now + w.IntN([]int{600, 3 * modelTTL}[w.IntN(2)])
	case 6:
		s.crash() // and is back at once
	case 7, 8:
		if len(s.conns) > 0 {
			s.kill(s.conns[0].id)
		}
	}
	w.after(w.IntN(w.tempo), w.mishap)
}

// delay of a packet, or of a process that is not scheduled.
func (w *world) delay() int {
	if w.wild && w.IntN(w.slow) == 0 {
		return w.IntN([]int{400, 1200}[w.IntN(2)])
	}
	return 1 + w.IntN(w.usual)
}

func (s *modelService) clock(ms int) time.Time { return at(ms + s.skew) }

// awake does something on the service as soon as it is not frozen.
func (w *world) awake(s *modelService, wait int, do func()) {
	w.after(max(wait, s.frozen-w.now), func() {
		if s.frozen > w.now {
			w.awake(s, 0, do)
			return
		}
		do()
	})
}

// round is Lease.round and what Run does with it.
func (w *world) round(s *modelService) {
	if w.now < s.away {
		w.awake(s, 100, func() { w.round(s) })
		return
	}
	asked, waiting, judged := w.now, 0, false
	judge := func() {
		if judged {
			return
		}
		judged = true
		v := decide(s.token, s.clock(asked), s.clock(w.now), s.seats())
		if v.mine {
			w.held = append(w.held, span{s.number, asked, w.now, v.bare})
		}
		w.yield(s, v)
		w.awake(s, []int{20, 100, 400, 1300}[w.IntN(4)], func() { w.round(s) })
	}
	for i, p := range s.places {
		if p.busy {
			continue
		}
		p.busy = true
		waiting++
		w.look(s, i, asked, func(l look) {
			l.asked, l.got, p.busy = s.clock(asked), s.clock(w.now), false
			p.seat = p.seat.after(l)
			if p.leave {
				w.close(s, i)
			}
			if waiting--; waiting == 0 {
				judge()
			}
		})
	}
	w.awake(s, int(answer/time.Millisecond), judge)
}

func (s *modelService) seats() []seat {
	var seats []seat
	for _, p := range s.places {
		seats = append(seats, p.seat)
	}
	return seats
}

// look is link.look: ask on the connection, else make one.
func (w *world) look(s *modelService, i, asked int, done func(look)) {
	p, to := s.places[i], w.sentinels[i]
	fail := func(r reach) func() { return func() { w.close(s, i); done(look{reach: r}) } }
	lost := func() bool { return w.parted[[2]int{s.number, i}] }
	back := func(do func()) { w.awake(s, w.delay(), do) }
	list := func() {
		if lost() {
			w.awake(s, modelTTL/3, fail(unknown))
			return
		}
		if !to.has(p.conn) {
			back(fail(unknown))
			return
		}
		p.conn.said = w.now
		queue := to.queue(w.now)
		mine, named := p.conn.id, p.named
		if id, yes := stale(queue, s.token, mine, modelTTL*time.Millisecond); yes {
			w.after(w.delay(), func() { to.kill(id) })
		}
		back(func() { done(look{reach: up, mine: mine, named: named, queue: queue}) })
	}
	connect := func() {
		switch {
		case lost():
			w.awake(s, int(answer/time.Millisecond), fail(unknown))
			return
		case to.down:
			back(fail(down))
			return
		}
		conn := &modelConn{claim: claim{id: to.next}, life: to.life, said: w.now}
		to.next++
		to.conns = append(to.conns, conn)
		w.after(w.delay(), func() { // SETNAME may be late
			conn.token, conn.said = s.token, w.now
			back(func() {
				p.conn, p.named = conn, s.clock(w.now)
				if w.now-asked > int(answer/time.Millisecond) {
					fail(unknown)()
					return
				}
				w.after(w.delay(), list)
			})
		})
	}
	w.after(w.delay(), func() {
		if p.conn != nil && (to.has(p.conn) || lost()) {
			list()
			return
		}
		p.conn = nil
		connect()
	})
}

// close gives up a place; the Sentinel hears of it when the network lets it.
func (w *world) close(s *modelService, i int) {
	p, to := s.places[i], w.sentinels[i]
	if p.leave = p.busy; p.busy {
		return
	}
	if conn := p.conn; conn != nil && !w.parted[[2]int{s.number, i}] {
		w.after(w.delay(), func() {
			if to.life == conn.life {
				to.kill(conn.id)
			}
		})
	}
	p.conn, p.seat = nil, seat{}
}

func (w *world) yield(s *modelService, v verdict) {
	if !v.ahead || v.mine || v.leader != nil {
		s.alone = 0
		return
	}
	if s.alone == 0 {
		s.alone = w.now
	}
	if v.split || w.now-s.alone > modelTTL {
		s.away, s.alone = w.now+1000+w.IntN(2000), 0
		for i := range s.places {
			w.close(s, i)
		}
	}
}

func (s *modelSentinel) crash() { s.conns, s.life, s.next = nil, s.life+1, 3 }

func (s *modelSentinel) has(c *modelConn) bool { return slices.Contains(s.conns, c) }

func (s *modelSentinel) kill(id int64) {
	s.conns = slices.DeleteFunc(s.conns, func(c *modelConn) bool { return c.id == id })
}

func (s *modelSentinel) queue(now int) []claim {
	var queue []claim
	for _, c := range s.conns { // in the order of their ids
		if c.token != "" {
			c.idle = time.Duration((now-c.said)/1000) * time.Second
			queue = append(queue, c.claim)
		}
	}
	return queue
}

// events are what is to come, soonest first.
type events []modelEvent

type modelEvent struct {
	at, order int
	do        func()
}

func (w *world) after(ms int, do func()) {
	heap.Push(&w.events, modelEvent{w.now + ms, w.IntN(1 << 30), do})
}

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].order < e[j].order
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(modelEvent)) }
func (e *events) Pop() any {
	old := *e
	last := old[len(old)-1]
	*e = old[:len(old)-1]
	return last
}
