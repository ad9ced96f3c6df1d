package follow

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rsm/internal/redistest"
	"rsm/schema"
)

// fakeSentinel names whatever node is at the time.
func fakeSentinel(t *testing.T, node func() schema.Addr) *redistest.Fake {
	return redistest.StartFake(t, func(args []string) redistest.Reply {
		switch strings.Join(args[:min(2, len(args))], " ") {
		case "SENTINEL GET-MASTER-ADDR-BY-NAME":
			if node() == "" {
				return redistest.Null()
			}
			return redistest.Bulks(strings.Split(string(node()), ":")...)
		case "SENTINEL MASTER":
			if node() == "" {
				return redistest.Err("ERR No such master with that name")
			}
			return redistest.Bulks("config-epoch", "3", "flags", "master")
		}
		return redistest.Reply{}
	})
}

func fakeMaster(t *testing.T, ping func() redistest.Reply) *redistest.Fake {
	return redistest.StartFake(t, func(args []string) redistest.Reply {
		switch args[0] {
		case "ROLE":
			return redistest.Array(redistest.Bulk("master"), redistest.Int(7), redistest.Array())
		case "INFO":
			return redistest.Bulk("# Server\r\nrun_id:abc\r\n")
		}
		return ping()
	})
}

// fakes is a cluster of one Fake each; say sets the answer to PING, name whom the
// Sentinel names.
func fakes(t *testing.T, with ...func(*Config)) (f *Follower, node *redistest.Fake, say func(redistest.Reply), name func(schema.Addr)) {
	var ping atomic.Pointer[redistest.Reply]
	var named atomic.Pointer[schema.Addr]
	say, name = func(r redistest.Reply) { ping.Store(&r) }, func(a schema.Addr) { named.Store(&a) }
	say(redistest.Simple("PONG"))
	node = fakeMaster(t, func() redistest.Reply { return *ping.Load() })
	name(schema.Addr(node.Addr()))
	sentinel := fakeSentinel(t, func() schema.Addr { return *named.Load() })
	f, _ = start(t, &redistest.Cluster{Name: "fakes"}, append(with, func(c *Config) {
		c.Sentinels, c.Nodes = []schema.Addr{schema.Addr(sentinel.Addr())}, []schema.Addr{schema.Addr(node.Addr())}
	})...)
	redistest.Wait(t, patient, master(f, node.Addr()))
	return f, node, say, name
}

// why is a condition for Wait: there is no master, for that reason.
func why(f *Follower, part string) func() error {
	return func() error {
		if got := f.Target(); got.Master != "" || !strings.Contains(got.Why, part) {
			return fmt.Errorf("target %+v, want %q", *got, part)
		}
		return nil
	}
}

// What a server says to PING tells whether it serves, whatever its ROLE.
func TestRefusals(t *testing.T) {
	t.Parallel()
	f, node, say, _ := fakes(t)
	if got := f.Target(); got.RunID != "abc" || got.Epoch != 3 {
		t.Errorf("target %+v", got)
	}
	for _, text := range []string{"LOADING Redis is loading the dataset in memory", "MASTERDOWN Link with MASTER is down", "NOAUTH Authentication required."} {
		say(redistest.Err(text))
		f.Ask("it refuses")
		redistest.Wait(t, patient, why(f, text))
		say(redistest.Simple("PONG"))
		redistest.Wait(t, patient, master(f, node.Addr()))
	}
	say(redistest.Err("BUSY Redis is busy running a script"))
	before := f.Target().Proof
	redistest.Wait(t, patient, func() error {
		if got := f.Target(); got.Master == "" || !got.Proof.After(before.Add(time.Second)) {
			return fmt.Errorf("target %+v", got)
		}
		return nil
	})
}

// A Sentinel that is registered anew forgets the name for a moment: the proof
// ages meanwhile, and no connection is cut.
func TestForgottenName(t *testing.T) {
	t.Parallel()
	f, node, _, name := fakes(t, func(c *Config) { c.Fence = 1500 * time.Millisecond })
	name("")
	redistest.Wait(t, patient, func() error {
		if s := f.Status().Sentinels[0]; !strings.Contains(s.Error, "No such master") {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
	if err := master(f, node.Addr())(); err != nil {
		t.Error(err)
	}
	redistest.Wait(t, patient, why(f, "has not proven to be the master for 1.5s: a majority of the Sentinels does not answer"))
	name(schema.Addr(node.Addr()))
	redistest.Wait(t, patient, master(f, node.Addr()))
}

// Ask is answered at once, and a storm of it is not passed on.
func TestAsk(t *testing.T) {
	t.Parallel()
	f, node, _, _ := fakes(t, func(c *Config) { c.Fence = time.Minute }) // asks once a second by itself
	roles := func() (n int) {
		for _, command := range node.Seen() {
			if command == "ROLE" {
				n++
			}
		}
		return n
	}
	before := roles()
	f.Ask("once")
	redistest.Wait(t, idle/2, func() error {
		if roles() == before {
			return fmt.Errorf("nobody was asked")
		}
		return nil
	})
	before = roles()
	const storm = 300 * time.Millisecond
	for began := time.Now(); time.Since(began) < storm; {
		f.Ask("again and again")
	}
	if asked, most := roles()-before, int(storm/least)+2; asked > most || asked < 2 {
		t.Errorf("asked %d times in %s, want 2 to %d", asked, storm, most)
	}
}
