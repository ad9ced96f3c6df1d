package proxy

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// measured has one round of a load at fixed ratios to direct, for SET and GET.
func measured(load string, of map[string]float64) results {
	r := results{loads: series{}}
	for _, op := range ops {
		r.loads[place{load: load, op: op, target: direct}] = samples(100_000)
		for name, ratio := range of {
			r.loads[place{load: load, op: op, target: name}] = samples(100_000 * ratio)
		}
	}
	return r
}

func words(verdicts []verdict) string {
	var all []string
	for _, v := range verdicts {
		all = append(all, v.row()[2])
	}
	return strings.Join(all, " ")
}

func TestJudgeLoad(t *testing.T) {
	t.Parallel()
	g := goal{"c50-P16", 0.8, [2]float64{0.65, 0.64}}
	for _, c := range []struct {
		own, haproxy float64
		want         string
	}{
		{0.8, 0.6, "met met met"}, {0.79, 0.6, "MISSED met met"}, {0.9, 0.9, "met MISSED met"},
		{0.64, 0.6, "MISSED MISSED MISSED"}, // behind predixy's SET; p99 is 1/0.64 of direct's
	} {
		got := measured(g.load, map[string]float64{rsm: c.own, haproxy: c.haproxy, nutcracker: 0.3}).judgeLoad(g, false)
		if words(got) != c.want {
			t.Errorf("rsm %.2f, HAProxy %.2f: %v, want %s", c.own, c.haproxy, got, c.want)
		}
	}
	r := measured(g.load, map[string]float64{rsm: 1})
	if got := r.judgeLoad(goals[0], false); words(got) != "  " || got[0].measured != noneMeasured {
		t.Errorf("a load that was not measured: %v", got)
	}
	if len(goals) != len(loads) {
		t.Errorf("%d goals for %d loads", len(goals), len(loads))
	}
}

func TestJudgeFailovers(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	good := []outcome{
		{kind: crash, target: rsm, late: 50 * ms}, {kind: crash, target: haproxy, late: time.Hour, failed: reasons{"closed": 7}},
		{kind: handover, target: rsm, stall: 2 * time.Second, acked: 5}, {kind: handover, target: rsm, stall: ms, acked: 5},
	}
	if got := (results{failovers: good}).judgeFailovers(); words(got) != "met met met" {
		t.Errorf("good runs: %v", got)
	}
	for i, bad := range []outcome{
		{kind: crash, target: rsm, late: 51 * ms}, {kind: handover, target: rsm, stall: 2001 * ms},
		{kind: handover, target: rsm, lost: 1}, {kind: handover, target: rsm, failed: reasons{"INDOUBT": 1}},
	} {
		got := (results{failovers: append(good[:len(good):len(good)], bad)}).judgeFailovers()
		if n := strings.Count(words(got), "MISSED"); n != 1 || got[min(i, 2)].met {
			t.Errorf("with %+v: %v", bad, got)
		}
	}
	if got := (results{}).judgeFailovers(); words(got) != "  " {
		t.Errorf("no runs: %v", got)
	}
}

func TestMarkdown(t *testing.T) {
	t.Parallel()
	o, err := parse([]string{"-only", "c50-P1", "-pinned"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := measured("c50-P1", map[string]float64{rsm: 1.1, haproxy: 0.6, nutcracker: 0.9})
	r.idle = []idle{{rsm, 10_000, 1025, 1}}
	r.failovers = []outcome{{kind: handover, target: rsm, stall: 61 * time.Millisecond, acked: 9}}
	got := r.markdown(o)
	for _, line := range []string{
		"| load | HAProxy | nutcracker | rsm |",
		"| 50 clients, P1, 64 B, GET | 100 k | 0.60 | 0.90 | 1.10 |",
		"| 50 clients, P1, 64 B: throughput ≥ 1.00 × direct | SET 1.10, GET 1.10 | met |",
		"| memory of an idle connection ≤ 1024 B | 1025 B | MISSED |",
		"| rsm failover | rsm | 1 |  | 0 ms, 0 ms | 61 ms, 61 ms | 9 | 0 | 0 |",
		"| 1 client, P1, 64 B: throughput ≥ 0.95 × direct | not measured |  |",
	} {
		if strings.Count(got, line+"\n") != 1 {
			t.Errorf("%q stands %d times in\n%s", line, strings.Count(got, line), got)
		}
	}
	if strings.Contains(got, ", pinned**") {
		t.Errorf("tables of what was not measured:\n%s", got)
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	quick, err := parse([]string{"-quick", "-only", "C50-p1", "-rounds", "9"}, nil)
	if err != nil || len(quick.loads) != 1 || quick.rounds != 9 || fmt.Sprint(quick.targets, quick.parts) != "[direct rsm] [loads]" {
		t.Errorf("quick is %+v, %v", quick, err)
	}
	pin, err := parse([]string{"-pinned", "-unpinned=false", "-targets", "haproxy"}, nil)
	if err != nil || fmt.Sprint(pin.placements, pin.targets) != "[true] [direct haproxy]" {
		t.Errorf("pinned is %+v, %v", pin, err)
	}
	for _, args := range []string{"-only c7", "-targets envoy", "-parts load", "-rounds 0", "-length 0s", "more"} {
		if _, err := parse(strings.Fields(args), new(strings.Builder)); err == nil {
			t.Errorf("took %s", args)
		}
	}
}
