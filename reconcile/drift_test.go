package reconcile

import (
	"strings"
	"testing"
)

func TestDiff(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, state string
		want        []string
	}{
		{"healthy", whole + "record epoch=1", nil},
		{"empty values", "r1 master maxmemory=-\nr2 replica\nr3 replica\ns1\ns2\ns3\nrecord epoch=1",
			[]string{"r1 config.maxmemory: have \"-\", want \"100mb\""}},
		{"replication", "r1 master\nr2 replica of=r3\nr3 master keys=0\ns1\ns2\ns3\nrecord epoch=1", []string{
			"r2 master: have replica of 127.0.0.1:7003, want replica of 127.0.0.1:7001",
			"r3 master: have master, want replica of 127.0.0.1:7001"}},
		{"links", "r1 master\nr2 replica link=down\nr3 replica loading\ns1\ns2\ns3\nrecord epoch=1", []string{
			"r2 link: have down, want up", "r3 link: have loading its data set, want up"}},
		{"sync", "r1 master\nr2 replica link=syncing\nr3 replica\ns1\ns2\ns3\nrecord epoch=1", []string{
			"r2 link: have full sync under way, want up"}},
		{"reach", "r1 master\nr2 down\nr3 unknown why=\"no route\"\ns1\ns2\ns3 down\nrecord epoch=1", []string{
			"r2 process: down, want running", "r3 reach: have unknown: no route, want reachable", "s3 process: down, want running"}},
		{"foreign", "r1 master\nr2 down foreign=nginx\nr3 replica\ns1\ns2\ns3 unknown foreign=vim\nrecord epoch=1", []string{
			"r2 port: have held by nginx, want free", "s3 port: have held by vim, want free"}},
		{"sentinel", threeNodes + "s1 quorum=1\ns2 bare\ns3 monitors=r2 epoch=1\nrecord epoch=1", []string{
			"s1 quorum: have 1, want 2", "s2 monitor: nothing, want the master"}},
		{"known by address", threeNodes + "s1 knows=r2,9.9.9.9:1 peers=s2,9.9.9.9:2\ns2\ns3\nrecord epoch=1", []string{
			"s1 replicas: 9.9.9.9:1 (s_down,slave,disconnected) is not in the spec",
			"s1 peers: 9.9.9.9:2 (s_down,sentinel,disconnected) is not in the spec",
			"s1 replicas: not all known, want 127.0.0.1:7003", "s1 peers: not all known, want 127.0.0.1:8003"}},
		{"an unannounced replica is not missed", "r1 master\nr2 replica\nr3 replica replica-announced=no\ns1 knows=r2\ns2 knows=r2\ns3 knows=r2\nrecord epoch=1",
			[]string{"r3 config.replica-announced: have \"no\", want \"yes\""}},
		{"twins", threeNodes + "s1 id=X\ns2 id=X\ns3\nrecord epoch=1", []string{
			"s1 myid: have X, like s2, want an id of its own", "s2 myid: have X, like s1, want an id of its own"}},
		{"surplus", whole + "record epoch=1\nsurplus r9 redis 9.9.9.9:1", []string{"r9 role: redis 9.9.9.9:1 is not in the spec"}},
		{"no record", whole, []string{"cache registration: nothing, want master 127.0.0.1:7001"}},
		{"old record", whole + "record master=r2 epoch=1", []string{"cache registration: have master 127.0.0.1:7002 at epoch 1, " +
			"want master 127.0.0.1:7001 at epoch 2"}},
		{"record without authority", threeNodes + "s1 bare\ns2 bare\ns3\nrecord master=r2", []string{
			"s1 monitor: nothing, want 127.0.0.1:7001", "s2 monitor: nothing, want 127.0.0.1:7001"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, d := range Diff(goldenSpec(t, ""), usual(t, tt.state)) {
				got = append(got, d.String())
			}
			if strings.Join(got, "\n") != strings.Join(tt.want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}
