package follow

import (
	"strings"
	"testing"
	"time"

	"rsm/schema"
)

// The cast of the tables: three Sentinels, three nodes.
const a, b, c, stranger = schema.Addr("10.0.0.1:6379"), schema.Addr("10.0.0.2:6379"), schema.Addr("10.0.0.3:6379"), schema.Addr("10.0.0.9:6379")

// clock is the time of the tables; now is a minute after it began.
func at(seconds float64) time.Time {
	return time.Unix(1e9, 0).Add(time.Duration(seconds * float64(time.Second)))
}

const now = 60

func says(sentinel int, named schema.Addr, epoch uint64, asked float64) fact {
	return viewed{sentinel: sentinel, view: view{asked: at(asked), named: named, epoch: epoch, flags: "master"}}
}

func leads(sentinel int, named schema.Addr, epoch uint64, asked float64) fact {
	return viewed{sentinel: sentinel, view: view{asked: at(asked), named: named, epoch: epoch, flags: "master,failover_in_progress"}}
}

func dead(sentinel int, asked float64) fact {
	return viewed{sentinel: sentinel, view: view{asked: at(asked), err: "connection refused"}}
}

func isMaster(addr schema.Addr, asked float64) fact {
	return answered{addr, node{asked: at(asked), role: "master", runID: "run-" + string(addr)}}
}

func isReplica(addr, of schema.Addr, asked float64) fact {
	return answered{addr, node{asked: at(asked), role: "slave", of: of, linked: true, runID: "run-" + string(addr)}}
}

func refuses(addr schema.Addr, why string, asked float64) fact {
	return answered{addr, node{asked: at(asked), role: "master", refuse: why}}
}

func hangs(addr schema.Addr, asked float64) fact {
	return answered{addr, node{asked: at(asked), err: "no answer"}}
}

func gone(addr schema.Addr, asked float64) fact {
	return answered{addr, node{asked: at(asked), err: "connection refused", gone: true}}
}

func hears(sentinel int, when float64, message string) fact {
	channel, payload, _ := strings.Cut(message, " ")
	return event{sentinel, at(when), "mymaster", channel, payload}
}

const (
	selectedB = "+selected-slave slave 10.0.0.2:6379 10.0.0.2 6379 @ mymaster 10.0.0.1 6379"
	selectedX = "+selected-slave slave 10.0.0.2:6379 10.0.0.2 6379 @ other 10.0.0.1 6379"
	tries     = "+try-failover master mymaster 10.0.0.1 6379"
	aborts    = "-failover-abort-slave-timeout master mymaster 10.0.0.1 6379"
)

// healthy is a cluster where all is well.
func healthy() []fact {
	return []fact{
		says(0, a, 4, now-1), says(1, a, 4, now-1), says(2, a, 4, now-1),
		isMaster(a, now-1), isReplica(b, a, now-1), isReplica(c, a, now-1),
	}
}

func newWorld() *world {
	w := &world{fence: 5 * time.Second, downAfter: 2 * time.Second, majority: 2, views: make([]view, 3), nodes: map[schema.Addr]node{}, order: []schema.Addr{a, b, c}}
	for _, addr := range []schema.Addr{"s0", "s1", "s2"} {
		w.ears = append(w.ears, ear{addr: addr})
	}
	for _, addr := range w.order {
		w.nodes[addr] = node{}
	}
	return w
}

func TestDecide(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		facts  []fact // after those of a healthy cluster, unless fresh
		fresh  bool
		master schema.Addr
		hold   bool
		epoch  uint64
		proof  float64 // seconds before now
		why    string  // part of it
	}{
		{name: "all is well", master: a, epoch: 4, proof: 1},
		{name: "nothing is known", fresh: true, why: "s0 has not answered yet"},
		{name: "one of three Sentinels is not a majority", fresh: true,
			facts: []fact{says(0, a, 4, now), dead(1, now), dead(2, now), isMaster(a, now)},
			epoch: 4, why: "no majority of the Sentinels tells who is the master (s0 names 10.0.0.1:6379 at epoch 4, s1: connection refused"},
		{name: "two of three are", fresh: true, facts: []fact{says(0, a, 4, now), says(1, a, 4, now), isMaster(a, now)}, master: a, epoch: 4},
		{name: "no majority for a node that says that it is one", fresh: true, facts: []fact{isMaster(a, now)}, why: "no majority"},
		{name: "a Sentinel that does not know the name yet", fresh: true, facts: []fact{says(0, a, 4, now), dead(1, now), isMaster(a, now)},
			epoch: 4, why: "s1: connection refused"},
		{name: "what was said long ago does not count", facts: []fact{isMaster(a, now+20), passed(at(now + 20))}, why: "s0 has not answered for 21s"},
		{name: "a master outside the spec", facts: []fact{says(0, stranger, 5, now), says(1, stranger, 5, now)},
			epoch: 5, why: "10.0.0.9:6379 is named by Sentinel, but is not in the spec"},

		{name: "one Sentinel names a node outside the spec", facts: []fact{says(0, stranger, 5, now)}, epoch: 5, why: "is not in the spec"},
		{name: "for long: it watches another cluster", facts: []fact{says(0, stranger, 5, now-16), says(0, stranger, 5, now)}, master: a, epoch: 4, proof: 1},
		{name: "a stale Sentinel does not count against", facts: []fact{says(0, b, 5, now), says(1, b, 5, now), isMaster(b, now)}, master: b, epoch: 5},
		{name: "the deposed master still says that it is one", facts: []fact{says(0, b, 5, now), says(1, b, 5, now), isMaster(a, now), isReplica(b, a, now)},
			epoch: 5, why: "10.0.0.2:6379 is a replica of 10.0.0.1:6379"},
		{name: "only the leader knows the new epoch", facts: []fact{says(0, b, 5, now), isMaster(b, now)}, master: b, epoch: 5, proof: 1},
		{name: "only the leader knows it, and nobody else answers",
			facts: []fact{says(0, b, 5, now), dead(1, now), dead(2, now), says(0, b, 5, now+6), isMaster(b, now+6), passed(at(now + 6))},
			epoch: 5, proof: -6, why: "do not agree"},
		{name: "nobody follows the leader for 15 s", facts: []fact{says(0, b, 5, now-14), isMaster(b, now),
			says(0, b, 5, now+2), says(1, a, 4, now+2), says(2, a, 4, now+2), isMaster(b, now+2), passed(at(now + 2))},
			epoch: 5, proof: -2, why: "do not agree"},
		{name: "a split vote at the same epoch", facts: []fact{says(0, a, 5, now), says(1, b, 5, now), says(2, c, 5, now), isMaster(b, now)},
			epoch: 5, why: "the Sentinels do not agree"},
		{name: "the epoch of all counts from 0 again", facts: []fact{says(0, a, 0, now), says(1, a, 0, now), says(2, a, 0, now), isMaster(a, now)}, master: a},
		{name: "the same name at different epochs", facts: []fact{says(0, a, 0, now), says(1, a, 0, now), isMaster(a, now)}, master: a, epoch: 4},

		{name: "the proof is as old as its oldest part", facts: []fact{says(0, a, 4, now-0.5), says(1, a, 4, now-0.2), isMaster(a, now)}, master: a, epoch: 4, proof: 0.5},
		{name: "a dead Sentinel does not age the proof", facts: []fact{dead(0, now), says(1, a, 4, now), says(2, a, 4, now), isMaster(a, now)}, master: a, epoch: 4},
		{name: "without a majority the proof ages", facts: []fact{dead(0, now), dead(1, now), says(2, a, 4, now), isMaster(a, now)}, master: a, epoch: 4, proof: 1},
		{name: "who contradicts does not prove", facts: []fact{says(0, a, 4, now-3), says(1, a, 4, now), says(2, b, 4, now), isMaster(a, now)}, master: a, epoch: 4, proof: 3},
		{name: "until the fence", facts: []fact{dead(0, now+5), dead(1, now+5), says(2, a, 4, now+5), isMaster(a, now+5), passed(at(now + 5))},
			epoch: 4, proof: -5, why: "has not proven to be the master for 5s: a majority of the Sentinels does not answer (s0: connection refused)"},

		{name: "the master is gone", facts: []fact{gone(a, now)}, epoch: 4, why: "10.0.0.1:6379 is gone: connection refused; Sentinel has not chosen another yet"},
		{name: "it hangs for a moment", facts: []fact{hangs(a, now-1)}, master: a, epoch: 4, proof: 1},
		{name: "it hangs for as long as Sentinel waits", facts: []fact{hangs(a, now-2), hangs(a, now-1)}, epoch: 4, why: "does not answer: no answer; Sentinel has not"},
		{name: "it answers again", facts: []fact{hangs(a, now-2), isMaster(a, now)}, master: a, epoch: 4, proof: 1},
		{name: "it is loading", facts: []fact{refuses(a, "LOADING Redis is loading", now)}, epoch: 4, why: "10.0.0.1:6379 refuses: LOADING"},
		{name: "it wants a password", facts: []fact{refuses(a, "NOAUTH Authentication required.", now)}, epoch: 4, why: "NOAUTH"},
		{name: "it runs a long script", facts: []fact{answered{a, node{asked: at(now), busy: true, runID: "run-" + string(a)}}}, master: a, epoch: 4, proof: 1},
		{name: "it restarted and runs a long script", facts: []fact{answered{a, node{asked: at(now), busy: true, runID: "new"}}}, epoch: 4, why: "has not told its role"},
		{name: "it was made a replica", facts: []fact{isReplica(a, b, now)}, epoch: 4, why: "10.0.0.1:6379 is a replica of 10.0.0.2:6379"},

		{name: "a replica was selected", facts: []fact{hears(0, now, selectedB)}, master: a, hold: true, epoch: 4, proof: 1, why: "Sentinel is promoting 10.0.0.2:6379"},
		{name: "of another master", facts: []fact{hears(0, now, selectedX)}, master: a, epoch: 4, proof: 1},
		{name: "and promoted", facts: []fact{hears(0, now-1, "+new-epoch 7"), hears(0, now-1, tries), hears(0, now-1, selectedB), isMaster(b, now)},
			master: b, epoch: 7, proof: 1},
		{name: "without the word on the epoch", facts: []fact{hears(0, now-1, selectedB), isMaster(b, now)}, master: b, epoch: 5, proof: 1},
		{name: "the leader's own word on the epoch counts", facts: []fact{hears(0, now-1, selectedB), isMaster(b, now), leads(0, b, 9, now)}, master: b, epoch: 9, proof: 1},
		{name: "lower epochs do not switch back", facts: []fact{hears(0, now-1, selectedB), isMaster(b, now), isMaster(a, now), leads(0, a, 4, now), says(1, a, 4, now), says(2, a, 4, now)},
			master: b, epoch: 5},
		{name: "a role from before the event proves nothing", facts: []fact{isMaster(b, now-2), hears(0, now-1, selectedB)}, master: a, hold: true, epoch: 4, proof: 1, why: "promoting"},
		{name: "the selected one turns back", facts: []fact{hears(0, now-2, selectedB), isMaster(b, now-1), isReplica(b, a, now)}, master: a, epoch: 4, proof: 1},
		{name: "given up", facts: []fact{hears(0, now-1, selectedB), hears(0, now, aborts)}, master: a, epoch: 4, proof: 1},
		{name: "another Sentinel gives up", facts: []fact{hears(0, now-1, selectedB), hears(1, now, aborts)}, master: a, hold: true, epoch: 4, proof: 1, why: "promoting"},
		{name: "given up, not heard", facts: []fact{hears(0, now-1, selectedB), says(0, a, 4, now)}, master: a, epoch: 4, proof: 1},
		{name: "not given up", facts: []fact{hears(0, now-1, selectedB), leads(0, a, 4, now)}, master: a, hold: true, epoch: 4, proof: 1, why: "promoting"},
		{name: "no promotion for 5 s", facts: []fact{hears(0, now-5, selectedB), leads(0, a, 4, now)}, master: a, epoch: 4, proof: 1},
		{name: "promoted after that", facts: []fact{hears(0, now-6, selectedB), leads(0, a, 4, now), isMaster(b, now)}, master: b, epoch: 5, proof: 1},
		{name: "selected while the master is gone", facts: []fact{gone(a, now-1), hears(0, now, selectedB)}, epoch: 4, why: "is gone: connection refused; Sentinel is promoting 10.0.0.2:6379"},
		{name: "asked, as the event was missed", facts: []fact{leads(0, a, 4, now-1), promoting{0, at(now - 1), b}}, master: a, hold: true, epoch: 4, proof: 1, why: "promoting"},
		{name: "a stranger was selected", facts: []fact{hears(0, now, "+selected-slave slave x 10.0.0.9 6379 @ mymaster 10.0.0.1 6379")}, master: a, epoch: 4, proof: 1},
		{name: "not confirmed for 15 s", facts: []fact{hears(0, now-17, selectedB), isMaster(b, now-16), isMaster(b, now), isMaster(a, now),
			says(0, a, 4, now), says(1, a, 4, now), passed(at(now))}, master: a, epoch: 4},
		{name: "confirmed by a majority", facts: []fact{hears(0, now-1, selectedB), isMaster(b, now), says(0, b, 5, now), says(1, b, 5, now), says(2, b, 5, now)}, master: b, epoch: 5},
		{name: "a newer failover wins over the selected one", facts: []fact{hears(0, now-1, selectedB), isMaster(b, now), says(1, c, 6, now), says(2, c, 6, now), isMaster(c, now)}, master: c, epoch: 6},
		{name: "heard late", facts: []fact{says(0, b, 5, now), says(1, b, 5, now), isMaster(b, now), hears(0, now, selectedB)}, master: b, epoch: 5},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w, when := newWorld(), at(now)
			if !tt.fresh {
				tt.facts = append(healthy(), tt.facts...)
			}
			for _, f := range tt.facts {
				f.tell(w)
				if p, ok := f.(passed); ok {
					when = time.Time(p)
				}
			}
			got := w.decide(when)
			if got.Master != tt.master || got.Hold != tt.hold || got.Epoch != tt.epoch || !strings.Contains(got.Why, tt.why) || (tt.why == "") != (got.Why == "") {
				t.Fatalf("got %+v", *got)
			}
			if age := when.Sub(got.Proof).Seconds(); got.Master != "" && (age < tt.proof-0.001 || age > tt.proof+0.001) {
				t.Errorf("the proof is %.3f s old, want %.3f", age, tt.proof)
			}
		})
	}
}

func TestReplicas(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		fact fact
		want int
	}{
		{"both follow", passed(at(now)), 2},
		{"one is gone", gone(b, now), 1},
		{"one hangs", hangs(b, now-2), 1},
		{"one hangs for a moment", hangs(b, now-0.5), 2},
		{"one follows somebody else", isReplica(b, c, now), 1},
		{"one has lost its link", answered{b, node{asked: at(now), role: "slave", of: a}}, 1},
		{"one is loading", answered{b, node{asked: at(now), role: "slave", of: a, linked: true, refuse: "LOADING"}}, 1},
		{"no master, no replicas", gone(a, now), 0},
	} {
		w := newWorld()
		for _, f := range append(healthy(), tt.fact) {
			f.tell(w)
		}
		if got := w.decide(at(now)).Replicas; len(got) != tt.want {
			t.Errorf("%s: got %v, want %d", tt.name, got, tt.want)
		}
	}
}

func TestFresh(t *testing.T) {
	t.Parallel()
	counts := func(addr schema.Addr, role string, offset int64, asked float64) fact {
		return answered{addr, node{asked: at(asked), role: role, of: a, linked: role == "slave", offset: offset, runID: "1"}}
	}
	w := newWorld()
	fresh := func(facts ...fact) float64 {
		for _, f := range facts {
			f.tell(w)
		}
		if f := w.nodes[b].fresh; !f.IsZero() {
			return f.Sub(at(0)).Seconds()
		}
		return -1
	}
	for _, step := range []struct {
		fact fact
		want float64
	}{
		{says(0, a, 4, now), -1},
		{counts(a, "master", 100, now+1), -1},
		{counts(b, "slave", 90, now+1.1), -1}, // behind all that is known
		{counts(b, "slave", 100, now+1.2), now + 1},
		{counts(a, "master", 100, now+2), now + 1},
		{counts(b, "slave", 100, now+2.1), now + 2}, // nothing was written
		{counts(a, "master", 200, now+3), now + 2},
		{counts(a, "master", 300, now+4), now + 2},
		{counts(b, "slave", 299, now+4.1), now + 3},
		{hangs(b, now+5), now + 3},
		{counts(b, "slave", 350, now+5.1), now + 4},
		{answered{b, node{asked: at(now + 6), role: "slave", of: a, offset: 350}}, -1}, // the link broke
		{counts(b, "slave", 250, now+7), now + 3},                                      // and it began anew
		{counts(a, "master", 10, now+8), now + 3},                                      // the master did, too
		{counts(b, "slave", 10, now+9), now + 8},
	} {
		if got := fresh(step.fact); got != step.want {
			t.Fatalf("after %+v: fresh as of %v, want %v", step.fact, got, step.want)
		}
	}
}
