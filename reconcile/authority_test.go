package reconcile

import "testing"

// usual reads a state of the usual cluster of three and three.
func usual(t *testing.T, text string) *State {
	t.Helper()
	s, err := parseState(goldenSpec(t, ""), text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const threeNodes = "r1 master\nr2 replica\nr3 replica\n"

func TestNamedAndAuthority(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, state, named, authority string
		epoch                         uint64
	}{
		{"all agree", threeNodes + "s1\ns2\ns3", "r1", "r1", 1},
		{"two of three, one hung", threeNodes + "s1\ns2\ns3 unknown", "r1", "r1", 1},
		{"two of three, one bare", threeNodes + "s1\ns2\ns3 bare", "r1", "r1", 1},
		{"two of three, one behind", threeNodes + "s1 epoch=4\ns2 epoch=4\ns3 monitors=r2 epoch=3", "r1", "r1", 4},
		{"one of three", threeNodes + "s1\ns2 bare\ns3 bare", "", "", 0},
		{"one of three, others hung", threeNodes + "s1\ns2 unknown\ns3 unknown", "", "", 0},
		{"one ahead blocks a majority behind", threeNodes + "s1\ns2\ns3 monitors=r2 epoch=2", "", "", 0},
		{"same address at different epochs", threeNodes + "s1 epoch=1\ns2 epoch=2\ns3 epoch=3", "", "", 0},
		{"a tie", threeNodes + "s1\ns2 monitors=r2\ns3 bare", "", "", 0},
		{"nobody knows", threeNodes + "s1 bare\ns2 bare\ns3 bare", "", "", 0},
		{"named, but a replica", "r1 replica of=r2\nr2 master\nr3 replica of=r2\ns1 monitors=r1\ns2 monitors=r1\ns3 monitors=r1", "r1", "", 1},
		{"named, but down", "r1 down\nr2 replica of=r1 link=down\nr3 replica of=r1 link=down\ns1 monitors=r1\ns2 monitors=r1\ns3 monitors=r1", "r1", "", 1},
		{"named, but hung", "r1 unknown\nr2 replica of=r1\nr3 replica of=r1\ns1 monitors=r1\ns2 monitors=r1\ns3 monitors=r1", "r1", "", 1},
		{"named, but foreign", threeNodes + "s1 monitors=10.9.9.9:1\ns2 monitors=10.9.9.9:1\ns3", "10.9.9.9:1", "", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := usual(t, tt.state)
			named, ok := s.Named()
			want := (&stateText{s: s}).addr(tt.named)
			if ok != (tt.named != "") || named.Addr != want || named.Epoch != tt.epoch {
				t.Errorf("Named() = %v, %v; want %s", named, ok, want)
			}
			authority := ""
			if r := s.Authority(); r != nil {
				authority = r.Name
			}
			if authority != tt.authority {
				t.Errorf("Authority() = %q, want %q", authority, tt.authority)
			}
		})
	}
}

func TestFailoverInProgressAndQuorum(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		state         string
		failover, has bool
	}{
		{threeNodes + "s1\ns2\ns3", false, true},
		{threeNodes + "s1\ns2\ns3 unknown", false, true},
		{threeNodes + "s1\ns2 bare\ns3 bare", false, false},
		{threeNodes + "s1 quorum=3\ns2\ns3 down", false, false},
		{threeNodes + "s1 flags=master,failover_in_progress\ns2\ns3", true, true},
		{"r1 master failover=waiting-for-sync\nr2 replica\nr3 replica\ns1\ns2\ns3", true, true},
	} {
		s := usual(t, tt.state)
		if s.FailoverInProgress() != tt.failover || s.HasQuorum() != tt.has {
			t.Errorf("%s: failover %v, quorum %v", tt.state, s.FailoverInProgress(), s.HasQuorum())
		}
	}
}

func TestSuccessor(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ state, want string }{
		{"r1 down\nr2 replica of=r1 offset=9\nr3 replica of=r1 offset=10", "r3"},
		{"r1 down\nr2 replica of=r1 offset=9 replica-priority=1\nr3 replica of=r1 offset=10", "r2"},
		{"r1 down\nr2 replica of=r1 offset=9\nr3 replica of=r1 offset=10 replica-priority=0", "r2"},
		{"r1 down\nr2 replica of=r1 runid=b\nr3 replica of=r1 runid=a", "r3"},
		{"r1 down\nr2 unknown\nr3 replica of=r1 offset=1", "r3"},
		{"r1 down\nr2 replica of=r1 replica-priority=0\nr3 down", ""},
	} {
		got := ""
		if r := usual(t, tt.state).successor(); r != nil {
			got = r.Name
		}
		if got != tt.want {
			t.Errorf("%s: successor is %q, want %q", tt.state, got, tt.want)
		}
	}
}

func TestDrops(t *testing.T) {
	t.Parallel()
	master := "r1 master replid=B replid2=A second=1001 offset=1200\nr3 replica\n"
	for _, tt := range []struct {
		node string
		safe bool
	}{
		{"r2 master keys=0 replid=X", true},
		{"r2 replica replid=X offset=9999", true}, // what it follows has the data
		{"r2 master replid=B offset=1200", true},
		{"r2 master replid=B offset=1201", false},
		{"r2 replica link=down replid=B offset=1201", false},
		{"r2 master replid=A offset=1000", true},
		{"r2 master replid=A offset=1001", false},
		{"r2 master replid=X offset=1", false},
		{"r2 master replid=C replid2=B second=1101 offset=1100", true},
		{"r2 master replid=C replid2=B second=1101 offset=1101", false},
		{"r2 master replid=C replid2=B second=1301 offset=1300", false},
		{"r2 master replid=C replid2=X second=11 offset=10", false},
	} {
		s := usual(t, master+tt.node)
		if why := drops(s.Redis["r2"], s.Redis["r1"]); (why == "") != tt.safe {
			t.Errorf("%s: drops says %q", tt.node, why)
		}
	}
}
