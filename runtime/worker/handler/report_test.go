package handler

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"rsm/schema"
)

// made are samples that a function makes.
type made func(ctx context.Context, from, until time.Time, each func(time.Time, []byte) error) error

func (m made) Read(ctx context.Context, from, until time.Time, each func(time.Time, []byte) error) error {
	return m(ctx, from, until, each)
}

var noon = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

// day is a fleet over a day with a few troubles in it.
func day(hosts int, step time.Duration) made {
	return func(_ context.Context, from, until time.Time, each func(time.Time, []byte) error) error {
		dice := rand.New(rand.NewPCG(1, 2))
		for at := from; at.Before(until); at = at.Add(step) {
			hour := float64(at.Hour()) + float64(at.Minute())/60
			busy := 0.5 - 0.5*math.Cos((hour-3)/24*2*math.Pi)
			for i := range hosts {
				if i == 7 && until.Sub(at) < 3*time.Hour || i == 4 && at.Hour() == 2 {
					continue
				}
				cpu := 6 + 45*busy*(0.5+float64(i%5)/5) + 6*dice.NormFloat64()
				if i == 3 && at.Hour() >= 19 && at.Hour() < 21 {
					cpu = 97 + dice.NormFloat64()
				}
				event := map[string]any{
					"v": 1, "type": "monitoring", "host": fmt.Sprintf("web%02d", i+1), "ts": at.UnixMilli(), "interval": step.Milliseconds(),
					"cpu_usage": max(0.4, min(100, cpu)), "mem_usage": 38 + float64(i*3%40) + 8*busy, "disk_usage": 30 + float64(i*7%45) + 3*float64(at.Sub(from))/float64(24*time.Hour),
					"load": map[string]any{"load1": max(0.1, cpu/20)},
					"net":  []any{map[string]any{"name": "eth0", "rx": 2e6*busy + 1e5, "tx": 9e5*busy + 1e5}},
				}
				if i == 11 {
					event["disk_usage"] = 84 + 8*float64(at.Sub(from))/float64(24*time.Hour)
				}
				content, _ := json.Marshal(event)
				if err := each(at, content); err != nil {
					return err
				}
			}
			for i, role := range []string{"master", "slave", "slave"} {
				event := map[string]any{"type": "redis", "host": fmt.Sprintf("web%02d", i+1), "node": fmt.Sprintf("redis-%d", i+1), "cluster": "shop", "ts": at.UnixMilli(),
					"up": 1, "role": role, "instantaneous_ops_per_sec": 900 + 5200*busy/float64(i+1) + 90*dice.NormFloat64(), "used_memory": 3.1e8 + 2e8*busy, "connected_clients": 40 + 100*busy}
				if role == "slave" {
					event["replication_lag"] = 0.8
				}
				if i == 2 && at.Hour() == 4 && at.Minute() < 20 {
					event = map[string]any{"type": "redis", "node": "redis-3", "cluster": "shop", "ts": at.UnixMilli(), "up": 0, "error": "connection refused"}
				}
				content, _ := json.Marshal(event)
				if err := each(at, content); err != nil {
					return err
				}
			}
		}
		return nil
	}
}

func facts(_ context.Context, _, until time.Time) (Facts, error) {
	return Facts{Fired: 5, Resolved: 3, Firing: 2,
		Alerts: []AlertFact{
			{Rule: "agent-silent", Severity: "critical", Summary: "web08 has said nothing for 15 s", Fired: until.Add(-3 * time.Hour)},
			{Rule: "disk-full", Severity: "warning", Summary: "web12: / is at 91 %", Fired: until.Add(-5 * time.Hour)},
			{Rule: "cpu-high", Severity: "warning", Summary: "web04: CPU at 97 % for 10 minutes", Fired: until.Add(-17 * time.Hour), Ended: until.Add(-15 * time.Hour)},
		},
		Queues: []QueueFact{{"default", 8123, 14, 0, 2}, {"mail", 37, 3, 1, 0}},
	}, nil
}

// RSM_TEST_REPORT=DIR writes the pages of this test there, to be looked at.
func TestReportSaysWhatMatters(t *testing.T) {
	t.Parallel()
	d, err := MakeReport(t.Context(), schema.Report{Window: 24 * time.Hour, Title: "Daily fleet report", Top: 5}, noon,
		Env{Cluster: "shop", Samples: day(24, time.Minute), Facts: facts})
	if err != nil {
		t.Fatal(err)
	}
	if dir := os.Getenv("RSM_TEST_REPORT"); dir != "" {
		write(t, filepath.Join(dir, "report.html"), d.HTML)
		write(t, filepath.Join(dir, "report.txt"), d.Text)
	}
	for _, want := range []string{
		"4 urgent, 5 to watch. 23 of 24 hosts report.", "23 of 24", "web08: silent for 3h", "web12: fullest disk at 92 %", "web04: CPU above 9", "web05: no samples for 1h 1m from 14 Mar 01:59:00 on",
		"Redis redis-3: did not answer 20 of 1440 times", "queue mail: 1 task failed for good", "shop/redis-1", "disk-full: web12: / is at 91 %",
	} {
		if !strings.Contains(string(d.Text), want) {
			t.Errorf("the text lacks %q", want)
		}
	}
	if t.Failed() {
		t.Logf("%s", d.Text)
	}
	page := string(d.HTML)
	if found := regexp.MustCompile(`(?i)(src|href)=|url\(|<script|@import|NaN|ZgotmplZ|no value|%!`).FindString(page); found != "" {
		t.Errorf("the page is not whole in itself, or shows what is no value: %q", found)
	}
	if n := strings.Count(page, "<figure"); n != 6 {
		t.Errorf("the page has %d charts, want 6", n)
	}
	if len(page) > 400<<10 {
		t.Errorf("the page has %d kB", len(page)>>10)
	}
	again, err := MakeReport(t.Context(), schema.Report{Window: 24 * time.Hour, Title: "Daily fleet report", Top: 5}, noon,
		Env{Cluster: "shop", Samples: day(24, time.Minute), Facts: facts})
	if err != nil || string(again.HTML) != page {
		t.Errorf("the same time gives another report: %v", err)
	}
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A million samples take the memory of their hosts, not their own.
func TestReportIsSmall(t *testing.T) {
	t.Parallel()
	f := newFleet(noon.Add(-24*time.Hour), noon)
	event := []byte(`{"type":"monitoring","host":"a","interval":1000,"cpu_usage":12.5,"mem_usage":40,"disk_usage":70,"load":{"load1":1}}`)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for i := range 50_000 {
		event[29] = byte('a' + i%20)
		f.add(f.from.Add(time.Duration(i)*time.Second), event)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if kept := int64(after.HeapAlloc) - int64(before.HeapAlloc); kept > 4<<20 {
		t.Errorf("50 000 samples of 20 hosts keep %d kB", kept>>10)
	}
	if len(f.hosts) != 20 || f.hosts["a"] == nil {
		t.Errorf("hosts are %d", len(f.hosts))
	}
}

func TestSketch(t *testing.T) {
	t.Parallel()
	var s sketch
	dice := rand.New(rand.NewPCG(3, 4))
	values := make([]float64, 20_000)
	for i := range values {
		values[i] = math.Exp(dice.NormFloat64() * 3)
		if i%100 == 0 {
			values[i] = 0
		}
		s.add(values[i])
	}
	s.add(math.NaN())
	s.add(-1)
	s.add(math.Inf(1))
	exact := quantiles(values)
	for _, q := range []float64{0, 0.001, 0.25, 0.5, 0.95, 0.999, 1} {
		want, got := exact(q), s.quantile(q)
		if math.Abs(got-want) > sketchError*want+1e-9 {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
	if empty := new(sketch); !math.IsNaN(empty.quantile(0.5)) || !math.IsNaN(empty.mean()) || s.count != 20_000 {
		t.Errorf("of nothing it makes something: %v, or it counts wrong: %d", empty.quantile(0.5), s.count)
	}
}
