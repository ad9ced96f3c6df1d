package proxy

import (
	"strings"
	"testing"
	"time"
)

// What redis-benchmark 7.0.15 --csv prints.
const printed = `"test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","p99_latency_ms","max_latency_ms"
"SET","98039.22","0.291","0.064","0.247","0.575","0.719","2.631"
`

func TestParseCSV(t *testing.T) {
	t.Parallel()
	got, err := parseCSV(printed)
	want := sample{rps: 98039.22, p50: 247 * time.Microsecond, p99: 719 * time.Microsecond}
	if err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	heading, line, _ := strings.Cut(printed, "\n")
	for name, text := range map[string]string{
		"nothing":          "",
		"heading alone":    heading + "\n",
		"two tests":        printed + line,
		"before 6.2":       "\"SET\",\"98039.22\"\n",
		"renamed column":   strings.Replace(printed, "p99_latency_ms", "p99", 1),
		"no number":        strings.Replace(printed, "0.719", "nan?", 1),
		"nothing answered": strings.Replace(printed, "98039.22", "0.00", 1),
	} {
		if got, err := parseCSV(text); err == nil {
			t.Errorf("%s: read %+v, want an error", name, got)
		}
	}
}

func TestBenchmarkArgs(t *testing.T) {
	t.Parallel()
	got := strings.Join(pinned(0, benchmarkArgs(loads[2], "SET", "127.0.0.1", "6379", 5000)), " ")
	want := "taskset -c 0 redis-benchmark --csv -h 127.0.0.1 -p 6379 -t set -r 1000 -c 50 -P 16 -d 64 -n 5000"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestParseStat(t *testing.T) {
	t.Parallel()
	got, err := parseStat("4711 (a b) c) S 1 2 3 0 -1 4194560 9 0 0 0 250 50 0 0 20 0 1 0 1 1 1\n")
	if err != nil || got != 3*time.Second {
		t.Errorf("got %v, %v, want 3 s", got, err)
	}
	if _, err := parseStat("4711 (x) S 1"); err == nil {
		t.Error("read CPU time from a short line")
	}
	own := pid(1)
	if n, err := own.cpu(); err != nil || n < 0 {
		t.Errorf("CPU time of process 1: %v, %v", n, err)
	}
}
