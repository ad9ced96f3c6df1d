package proxy_test

import (
	"flag"
	"fmt"
	"testing"
	"time"

	"rsm/internal/redistest"
)

var (
	cases = flag.Int("cases", 12, "how many random command streams")
	seed  = flag.Uint64("seed", 1, "seed of the first one; 0 is another at each run")
)

// TestStreams sends random command streams directly and by proxy.
func TestStreams(t *testing.T) {
	t.Parallel()
	l := newPair(t)
	first := *seed
	if first == 0 {
		first = uint64(time.Now().UnixNano())
	}
	for i := range *cases {
		if stream(l, first+uint64(i)); t.Failed() {
			t.Fatalf("replay it with -run %s -cases 1 -seed %d", t.Name(), first+uint64(i))
		}
	}
}

func stream(l *lockstep, seed uint64) {
	l.t.Helper()
	l.fresh()
	g := newGenerator(seed)
	for range 80 {
		if !l.run(g.turn()) {
			return
		}
	}
	l.sameData()
}

// TestHarnessNoticesADifference checks the checker.
func TestHarnessNoticesADifference(t *testing.T) {
	t.Parallel()
	direct, proxied := redistest.Start(t), redistest.Start(t)
	addr, socket := passThrough(t, proxied.Addr())
	for i, x := range []turn{
		{request: pipeline("ping", "get a")},
		{request: pipeline("get a"), ends: byCount},
		{request: pipeline("get a", "quit"), ends: byClose},
	} {
		seen := recorder{TB: t}
		l := newLockstep(&seen, direct, proxied, addr, socket)
		proxied.Do("SET", "a", fmt.Sprint(i))
		if l.run(x) || seen.failures == 0 {
			t.Errorf("turn %d: the difference was not noticed", i)
		}
		proxied.Do("DEL", "a")
		if seen.failures = 0; !l.run(x) || seen.failures > 0 {
			t.Errorf("turn %d: a difference where there is none", i)
		}
	}
}

// recorder is a test that only counts its failures.
type recorder struct {
	testing.TB
	failures int
}

func (r *recorder) Errorf(string, ...any) { r.failures++ }
