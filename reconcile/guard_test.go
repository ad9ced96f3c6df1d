package reconcile

import (
	"errors"
	"testing"

	"rsm/schema"
)

const whole = threeNodes + "s1\ns2\ns3\n"

// TestGuard has every refusal, each beside a case that differs in one thing and
// is allowed.
func TestGuard(t *testing.T) {
	t.Parallel()
	c := goldenSpec(t, "")
	at := func(name string) schema.Addr {
		if n, ok := c.Redis.Node(name); ok {
			return n.Addr
		}
		n, _ := c.Sentinel.Node(name)
		return n.Addr
	}
	start := func(name, follow string) Action { return StartRole{Role: redisRef(c, name), Follow: at(follow)} }
	choose := func(name string) Action { return StartRole{Role: redisRef(c, name), Chosen: true} }
	stop := func(name string) Action { return StopRole{Role: RoleRef{Name: name}} }
	promote := func(name string) Action { return Promote{Node: name, Addr: at(name)} }
	replicate := func(name, master string, risk Impact) Action {
		return Replicate{Node: name, Addr: at(name), Master: at(master), Risk: risk}
	}
	monitor := func(name, master string) Action { return Monitor{Sentinel: name, Master: at(master)} }
	reset := ResetSentinel{Sentinel: "s1", Replicas: []schema.Addr{at("r2"), at("r3")}, Peers: []schema.Addr{at("s2"), at("s3")}}
	// handOver asks s1 to promote a node; r3 is held back unless rivals are given.
	handOver := func(to string, rivals ...Rival) Action {
		if rivals == nil {
			rivals = []Rival{{Addr: at("r3"), HeldBack: true}}
		}
		return Handover{From: RoleRef{Name: "r1"}, To: RoleRef{Name: to}, Sentinel: RoleRef{Name: "s1"}, Rivals: rivals}
	}
	alone := []Rival{}
	exactly := func(action Action) Action {
		a := action.(Handover)
		a.Exact = true
		return a
	}
	bare := "s1 bare\ns2 bare\ns3 bare\n"
	for _, tt := range []struct {
		name, state string
		action      Action
		want        error
	}{
		{"set a known node", whole, ConfigSet{Node: "r2"}, nil},
		{"set an unknown node", "r1 master\nr2 unknown\nr3 replica\ns1\ns2\ns3", ConfigSet{Node: "r2"}, ErrUnknown},
		{"set an unknown sentinel", threeNodes + "s1 unknown\ns2\ns3", SetSentinel{Sentinel: "s1"}, ErrUnknown},
		{"set during a failover", threeNodes + "s1\ns2 flags=failover_in_progress\ns3", ConfigSet{Node: "r2"}, ErrFailover},
		{"set during FAILOVER", "r1 master failover=x\nr2 replica\nr3 replica\ns1\ns2\ns3", SetSentinel{Sentinel: "s1"}, ErrFailover},
		{"wait during a failover", threeNodes + "s1\ns2 flags=failover_in_progress\ns3", WaitSync{Node: "r2"}, nil},

		{"copy a data set", whole, Snapshot{Role: redisRef(c, "r2")}, nil},
		{"copy a data set during a failover", threeNodes + "s1\ns2 flags=failover_in_progress\ns3", Snapshot{Role: redisRef(c, "r2")}, nil},
		{"copy a data set out of sight", "r1 master\nr2 unknown\nr3 replica\ns1\ns2\ns3", Snapshot{Role: redisRef(c, "r2")}, ErrUnknown},
		{"make a replica read-only", whole, ConfigSet{Node: "r2", Key: "replica-read-only", Value: "yes"}, nil},
		{"make a replica read-only that has clients", "r1 master\nr2 replica clients=1\nr3 replica\ns1\ns2\ns3", ConfigSet{Node: "r2", Key: "replica-read-only", Value: "yes"}, ErrClients},
		{"make a replica read-only that may have clients", "r1 master\nr2 replica clients=1\nr3 replica\ns1\ns2\ns3", ConfigSet{Node: "r2", Key: "replica-read-only", Value: "yes", Clients: true}, nil},
		{"make a replica writable that has clients", "r1 master\nr2 replica clients=1\nr3 replica\ns1\ns2\ns3", ConfigSet{Node: "r2", Key: "replica-read-only", Value: "no"}, nil},

		{"start a sentinel", threeNodes + "s1 down\ns2 down\ns3 down", StartRole{Role: sentinelRef(c, "s1")}, nil},
		{"start as a replica", "r1 master\nr2 down\nr3 replica\ns1\ns2\ns3", start("r2", "r1"), nil},
		{"start as a replica of a replica", "r1 master\nr2 down\nr3 replica\ns1\ns2\ns3", start("r2", "r3"), ErrNoMaster},
		{"start as a replica of a dead one", "r1 down\nr2 down\nr3 down\n" + bare, start("r2", "r1"), ErrNoMaster},
		{"start as the first master", "r1 down\nr2 down\nr3 down\n" + bare, start("r1", ""), nil},
		{"start a second master", "r1 down data=yes\nr2 master\nr3 down\n" + bare, start("r1", ""), ErrTwoMaster},
		{"start a second master beside an empty one with replicas", "r1 down data=yes\nr2 master keys=0\nr3 replica of=r2 keys=0\n" + bare, start("r1", ""), ErrTwoMaster},
		{"start an empty master, data on another disk", "r1 down\nr2 down data=yes\nr3 down\n" + bare, start("r1", ""), ErrEmpty},
		{"start a master, another unknown", "r1 down data=yes\nr2 unknown\nr3 down\n" + bare, start("r1", ""), ErrHidden},
		{"choose a master, another unknown", "r1 down data=yes\nr2 unknown\nr3 down\n" + bare, choose("r1"), nil},
		{"choose an empty master, another unknown", "r1 down\nr2 unknown\nr3 down\n" + bare, choose("r1"), ErrEmpty},
		{"start an empty master, data on a replica", "r1 down\nr2 replica of=r1 link=down\nr3 down\n" + bare, start("r1", ""), ErrEmpty},
		{"start a full master, data elsewhere", "r1 down data=yes\nr2 down data=yes\nr3 down\n" + bare, start("r1", ""), nil},
		{"start another than the elected, which is dead", "r1 down data=yes\nr2 down data=yes\nr3 down\ns1 monitors=r2\ns2 monitors=r2\ns3", start("r1", ""), nil},
		{"start another than the elected, which is unknown", "r1 down data=yes\nr2 unknown\nr3 down\ns1 monitors=r2\ns2 monitors=r2\ns3", choose("r1"), ErrAuthority},
		{"start another than the elected, which is foreign", "r1 down data=yes\nr2 down\nr3 down\ns1 monitors=9.9.9.9:1\ns2 monitors=9.9.9.9:1\ns3", start("r1", ""), ErrAuthority},

		{"promote where nobody leads", "r1 replica of=r3 link=down\nr2 replica of=r3 link=down\nr3 down\n" + bare, promote("r2"), nil},
		{"promote beside a master", threeNodes + bare, promote("r2"), ErrTwoMaster},
		{"promote against Sentinel", "r1 replica of=r3\nr2 replica of=r3\nr3 replica of=r1\ns1 monitors=r1\ns2 monitors=r1\ns3", promote("r2"), ErrAuthority},
		{"promote an empty one", "r1 replica of=r3 link=down\nr2 replica of=r3 link=down keys=0 data=no\nr3 down\n" + bare, promote("r2"), ErrEmpty},

		{"stop a replica", whole, stop("r2"), nil},
		{"stop a full master", whole, stop("r1"), ErrAuthority},
		{"stop an empty master", "r1 master keys=0\nr2 replica\nr3 replica\ns1\ns2\ns3", stop("r1"), ErrAuthority},
		{"stop a reborn master", "r1 master keys=0 replid=N\nr2 replica link=down\nr3 replica link=down\ns1\ns2\ns3", stop("r1"), nil},
		{"stop a sentinel of three", whole, stop("s1"), nil},
		{"stop a sentinel of the last two", threeNodes + "s1\ns2\ns3 down", stop("s1"), ErrMajority},
		{"stop a surplus role", whole + "surplus r4 redis 1.1.1.1:1", stop("r4"), nil},

		{"replicate", "r1 master\nr2 replica of=r3\nr3 replica\ns1\ns2\ns3", replicate("r2", "r1", ImpactNone), nil},
		{"replicate from a replica", whole, replicate("r2", "r3", ImpactNone), ErrNoMaster},
		{"replicate from a dead one", "r1 down\nr2 replica of=r1 link=down\nr3 replica of=r1 link=down\ns1 monitors=r1\ns2 monitors=r1\ns3 monitors=r1", replicate("r2", "r1", ImpactNone), ErrNoMaster},
		{"replicate from itself", whole, replicate("r1", "r1", ImpactNone), ErrNoMaster},
		{"replicate and lose data", "r1 master\nr2 master replid=X\nr3 replica\ns1\ns2\ns3", replicate("r2", "r1", ImpactNone), ErrData},
		{"replicate and lose data, allowed, no copy", "r1 master\nr2 master replid=X\nr3 replica\ns1\ns2\ns3", replicate("r2", "r1", ImpactDataLoss), ErrData},
		{"replicate and lose data, copied, not allowed", "r1 master\nr2 master replid=X copied\nr3 replica\ns1\ns2\ns3", replicate("r2", "r1", ImpactFullSync), ErrData},
		{"replicate and lose data, allowed, copied", "r1 master\nr2 master replid=X copied\nr3 replica\ns1\ns2\ns3", replicate("r2", "r1", ImpactDataLoss), nil},
		{"demote the elected master", "r1 master\nr2 master\nr3 replica\ns1\ns2\ns3", replicate("r1", "r2", ImpactNone), ErrAuthority},
		{"demote the elected master by the copy", "r1 master copied\nr2 master replid=X\nr3 replica\ns1\ns2\ns3", replicate("r1", "r2", ImpactDataLoss), ErrAuthority},

		{"monitor the authority", threeNodes + "s1 bare\ns2\ns3", monitor("s1", "r1"), nil},
		{"monitor another than the authority", "r1 master\nr2 master\nr3 replica\ns1 bare\ns2\ns3", monitor("s1", "r2"), ErrAuthority},
		{"monitor a replica", threeNodes + bare, monitor("s1", "r2"), ErrNoMaster},
		{"monitor a dead one", "r1 down\nr2 down\nr3 down\n" + bare, monitor("s1", "r1"), ErrNoMaster},
		{"monitor in TILT", threeNodes + "s1 tilt bare\ns2\ns3", monitor("s1", "r1"), ErrTilt},

		{"reset", threeNodes + "s1 knows=r2,r3,9.9.9.9:1\ns2\ns3", reset, nil},
		{"reset without authority", threeNodes + "s1 knows=r2,r3,9.9.9.9:1\ns2 bare\ns3 bare", reset, ErrNotWhole},
		{"reset without replicas", whole, ResetSentinel{Sentinel: "s1"}, ErrNotWhole},
		{"reset while a replica is unknown", "r1 master\nr2 unknown\nr3 replica\ns1\ns2\ns3", reset, ErrNotWhole},
		{"reset while a link is down", "r1 master\nr2 replica link=down\nr3 replica\ns1\ns2\ns3", reset, ErrNotWhole},
		{"reset while a sentinel is down", threeNodes + "s1\ns2\ns3 down", reset, ErrNotWhole},
		{"reset while a sentinel is elsewhere", threeNodes + "s1\ns2\ns3 monitors=r2 epoch=0", reset, ErrNotWhole},
		{"reset while another learns", threeNodes + "s1\ns2 knows=r2\ns3", reset, ErrNotWhole},
		{"reset while another learns peers", threeNodes + "s1\ns2 peers=s1\ns3", reset, ErrNotWhole},
		{"reset in TILT", threeNodes + "s1\ns2\ns3 tilt", reset, ErrTilt},

		{"hand over", whole, handOver("r2"), nil},
		{"hand over from a replica", "r1 replica of=r3\nr2 replica of=r3\nr3 master\ns1\ns2\ns3", handOver("r2"), ErrAuthority},
		{"hand over without authority", threeNodes + "s1\ns2 bare\ns3 bare", handOver("r2"), ErrNoMaster},
		{"hand over to nobody", whole, handOver("r9"), ErrNoNode},
		{"hand over during a failover", threeNodes + "s1\ns2 flags=failover_in_progress\ns3", handOver("r2"), ErrFailover},
		{"hand over without quorum", threeNodes + "s1 quorum=3\ns2\ns3 down", handOver("r2"), ErrQuorum},
		{"hand over with a minority out of sight", threeNodes + "s1\ns2\ns3 unknown", handOver("r2"), nil},
		{"hand over while one disagrees", threeNodes + "s1\ns2\ns3 monitors=r2 epoch=0", handOver("r2"), ErrNotWhole},
		{"hand over while one knows nobody", threeNodes + "s1\ns2\ns3 bare", handOver("r2"), ErrNotWhole},
		{"hand over while one sees the master down", threeNodes + "s1\ns2\ns3 flags=master,s_down", handOver("r2"), ErrNotWhole},
		{"hand over in TILT", threeNodes + "s1\ns2\ns3 tilt", handOver("r2"), ErrTilt},
		{"hand over by an old Redis", "r1 master version=6.0.9\nr2 replica\nr3 replica\ns1\ns2\ns3", handOver("r2"), ErrNotReady},
		{"hand over to one without a link", "r1 master\nr2 replica link=down\nr3 replica\ns1\ns2\ns3", handOver("r2"), ErrNotReady},
		{"hand over to one that syncs", "r1 master\nr2 replica link=syncing\nr3 replica\ns1\ns2\ns3", handOver("r2"), ErrNotReady},
		{"hand over to one that loads", "r1 master\nr2 replica loading\nr3 replica\ns1\ns2\ns3", handOver("r2"), ErrNotReady},
		{"hand over to one with priority 0", "r1 master\nr2 replica replica-priority=0\nr3 replica\ns1\ns2\ns3", handOver("r2"), ErrNotReady},
		{"hand over to one far behind", "r1 master offset=99000000\nr2 replica\nr3 replica offset=99000000\ns1\ns2\ns3", handOver("r2"), ErrNotReady},
		{"hand over to one a little behind", "r1 master offset=1001000\nr2 replica\nr3 replica\ns1\ns2\ns3", handOver("r2"), nil},
		{"hand over to one that Sentinel does not know", threeNodes + "s1 knows=r3\ns2\ns3", handOver("r2"), ErrNotReady},
		{"hand over beside one out of sight", "r1 master\nr2 replica\nr3 unknown\ns1\ns2\ns3", handOver("r2"), ErrNotWhole},
		{"hand over beside one out of sight that Sentinel does not know", "r1 master\nr2 replica\nr3 unknown\ns1 knows=r2\ns2\ns3", handOver("r2", alone...), nil},
		{"hand over beside one that is down", "r1 master\nr2 replica\nr3 down\ns1\ns2\ns3", handOver("r2", alone...), nil},
		{"hand over beside one that was up, and is to be held back", "r1 master\nr2 replica\nr3 down\ns1\ns2\ns3", handOver("r2"), ErrNotWhole},
		{"hand over beside one that was up, and is to be waited for", "r1 master\nr2 replica\nr3 down\ns1\ns2\ns3", handOver("r2", Rival{Addr: at("r3")}), ErrNotWhole},
		{"hand over beside one that Sentinel does not know, and is to be held back", "r1 master\nr2 replica\nr3 unknown\ns1 knows=r2\ns2\ns3", handOver("r2"), ErrNotWhole},
		{"hand over beside a second master", "r1 master\nr2 replica\nr3 master\ns1\ns2\ns3", handOver("r2"), ErrNotWhole},
		{"hand over beside a chain", "r1 master\nr2 replica\nr3 replica of=r2\ns1\ns2\ns3", handOver("r2"), ErrNotWhole},
		{"hand over beside one that syncs", "r1 master\nr2 replica\nr3 replica link=syncing\ns1\ns2\ns3", handOver("r2", Rival{Addr: at("r3")}), ErrNotWhole},
		{"hand over beside one that syncs, held back", "r1 master\nr2 replica\nr3 replica link=syncing\ns1\ns2\ns3", handOver("r2"), nil},
		{"hand over beside one that nobody watches", whole, handOver("r2", Rival{Addr: "9.9.9.9:1"}), ErrNotWhole},
		{"hand over beside an equal one, exactly", whole, exactly(handOver("r2", Rival{Addr: at("r3")})), ErrNotWhole},
		{"hand over beside a worse one, exactly", "r1 master\nr2 replica replica-priority=10\nr3 replica\ns1\ns2\ns3", exactly(handOver("r2", Rival{Addr: at("r3")})), nil},
		{"hand over beside an equal one, expected", whole, handOver("r2", Rival{Addr: at("r3")}), nil},
		{"hand over beside a dead stranger", threeNodes + "s1 knows=r2,r3,9.9.9.9:1\ns2\ns3", handOver("r2"), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if err := Guard(usual(t, tt.state), tt.action); !errors.Is(err, tt.want) || tt.want == nil && err != nil {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}
