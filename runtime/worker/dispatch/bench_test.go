package dispatch

import (
	"fmt"
	"testing"

	"rsm/runtime/bus"
	"rsm/schema"
)

const realistic = `{"v":1,"id":"01JD0000000000000000000%03d","type":"monitoring","agent":"a%[1]d","host":"h%[1]d","zone":"z1","ts":1763699999000,"interval":1000,` +
	`"cpu_usage":12.5,"mem_usage":45.2,"disk_usage":41.7,"dropped":0,"uptime":86400,"cores":8,` +
	`"cpu":{"user":12.5,"system":3.25,"iowait":0.5,"steal":0},"load":{"load1":0.52,"load5":0.61,"load15":0.7},` +
	`"memory":{"total":33567870976,"available":18567870976,"free":1567870976,"cached":12567870976,"buffers":367870976},"swap":{"total":0,"used":0,"usage":0},` +
	`"disks":[{"mount":"/","device":"/dev/vda1","fstype":"ext4","total":105089261568,"used":41089261568,"free":58567870976,"usage":41.7,"inodes_usage":8.5}],` +
	`"net":[{"name":"eth0","rx":123456.5,"tx":65432.25,"rx_packets":812,"tx_packets":640,"errors":0,"drops":0}]}`

var judging = schema.Operations{
	Queues:   []schema.Queue{{Name: "q"}},
	Handlers: []schema.Handler{{Name: "hot", Queue: "q", Types: []string{"monitoring"}, When: "cpu_usage > 98"}},
	Rules: []schema.Rule{
		{Name: "cpu", Type: "monitoring", Expr: "cpu_usage > 90", Clear: "cpu_usage < 80", By: []string{"host"}},
		{Name: "memory", Type: "monitoring", Expr: "mem_usage > 90 && memory.available < 1000000000", By: []string{"host"}},
		{Name: "disk", Type: "monitoring", Expr: "disks.exists(d, d.usage > 90 || d.inodes_usage > 90)", By: []string{"host"}},
	},
}

// BenchmarkJudge is what one event costs before Redis is asked.
func BenchmarkJudge(b *testing.B) {
	p, err := compile(judging, "1")
	if err != nil {
		b.Fatal(err)
	}
	text := fmt.Sprintf(realistic, 7)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		batch := newBatch(p, schema.Dispatcher{Silent: 3})
		if j := batch.judge("1763700000000-0", text); j.reason != "" {
			b.Fatal(j.reason)
		}
	}
}

// BenchmarkHear is what one event costs that is in the stream already.
func BenchmarkHear(b *testing.B) {
	s := &bridge{meter: newMeter()}
	text := fmt.Sprintf(realistic, 7)
	b.ReportAllocs()
	for b.Loop() {
		s.hear(bus.Marks, "in 1")
		s.hear(bus.Channel, text)
	}
}
