package handler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rsm/internal/redistest"
	"rsm/runtime/bus"
	"rsm/schema"
)

func TestReportIsStoredAndMailed(t *testing.T) {
	t.Parallel()
	o := startOffice(t, "none")
	mailer := schema.Handler{Name: "mail", Email: settings(o, "none")}
	env := secretEnv(t)
	env.Samples = day(3, time.Minute)
	env.Handler = func(name string) (schema.Handler, bool) { return mailer, name == "mail" }
	h := schema.Handler{Name: "daily", Report: &schema.Report{Window: time.Hour, Keep: 2, Mail: "mail", Title: "Fleet"}}
	task := func(day int) Task {
		return Task{ID: fmt.Sprint("cron:daily:", day), Attempt: 1, Payload: fmt.Appendf(nil, `{"handler":"daily","until":"2026-03-%02dT12:00:00Z"}`, day)}
	}
	for _, day := range []int{11, 12, 13, 13} { // the last twice, as after a crash
		out, err := Run(t.Context(), h, task(day), env)
		if err != nil || !strings.Contains(out.Delivery.Response, ".html; 250") {
			t.Fatalf("%+v, %v", out, err)
		}
	}
	dir := filepath.Join(env.Spool, "reports")
	entries, _ := os.ReadDir(dir)
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	if got := strings.Join(names, " "); got != "20260312T120000Z-daily.html 20260312T120000Z-daily.txt 20260313T120000Z-daily.html 20260313T120000Z-daily.txt latest.html" {
		t.Errorf("the spool has %s", got)
	}
	if target, err := os.Readlink(filepath.Join(dir, "latest.html")); err != nil || target != "20260313T120000Z-daily.html" {
		t.Errorf("latest.html leads to %s, %v", target, err)
	}
	got := o.parcels()
	if len(got) != 4 || string(got[2].mail) != string(got[3].mail) {
		t.Fatalf("the second run of a task mails something else (%d mails)", len(got))
	}
	for _, want := range []string{"Subject: Fleet: All 3 hosts are fine.", "multipart/mixed", `filename="20260313T120000Z-daily.html"`} {
		if !strings.Contains(string(got[3].mail), want) {
			t.Errorf("the mail lacks %q", want)
		}
	}
	h.Report.Mail = "nobody"
	var f *Failure
	if _, err := Run(t.Context(), h, task(14), env); !errors.As(err, &f) || !f.Permanent() || !strings.Contains(err.Error(), "no email handler") {
		t.Errorf("a mailer that is not there is %v", err)
	}
	env.Samples = made(func(context.Context, time.Time, time.Time, func(time.Time, []byte) error) error {
		return errors.New("no master")
	})
	if _, err := Run(t.Context(), h, task(14), env); !errors.As(err, &f) || f.Permanent() {
		t.Errorf("a Redis that is away is %v", err)
	}
}

// Whatever is in the stream, there is a report.
func TestReportOfRubbish(t *testing.T) {
	t.Parallel()
	for name, events := range map[string][]string{
		"nothing": nil,
		"rubbish": {"{", "null", "[]", `{"cpu_usage":"12"}`, `{"cpu_usage":1e308,"host":"<script>"}`, `{"cpu_usage":-5,"host":"a"}`, `{"cpu_usage":5,"host":"b","ts":-1e300}`, `{"cpu_usage":5,"host":"b","ts":"never"}`,
			`{"type":"redis","node":"x","up":0,"error":"</script>"}`, `{"type":"redis","node":"y","up":"no"}`, `{"cpu_usage":5,"interval":-9e18}`},
	} {
		samples := made(func(_ context.Context, from, _ time.Time, each func(time.Time, []byte) error) error {
			for _, event := range events {
				if err := each(from.Add(time.Minute), []byte(event)); err != nil {
					return err
				}
			}
			return nil
		})
		d, err := MakeReport(t.Context(), schema.Report{Window: time.Hour}, noon, Env{Samples: samples, Facts: facts})
		if err != nil || strings.Contains(string(d.HTML), "<script") || strings.Contains(string(d.HTML), "NaN") || strings.Contains(string(d.Text), "NaN") {
			t.Errorf("%s: %v: %s", name, err, d.Text)
		}
	}
}

func TestStream(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr()})
	t.Cleanup(func() { _ = rdb.Close() })
	const entries = 2*page + 7
	pipe := rdb.Pipeline()
	for i := range entries {
		at := noon.Add(time.Duration(i) * time.Millisecond / 2) // two share a millisecond
		pipe.XAdd(t.Context(), &redis.XAddArgs{Stream: bus.Stream, ID: fmt.Sprintf("%d-%d", at.UnixMilli(), i), Values: []any{"j", fmt.Sprintf(`{"n":%d}`, i)}})
	}
	pipe.XAdd(t.Context(), &redis.XAddArgs{Stream: bus.Stream, Values: []any{"other", "x"}})
	if _, err := pipe.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	read := func(from, until time.Time) (seen []int) {
		err := StreamSamples{rdb}.Read(t.Context(), from, until, func(_ time.Time, event []byte) error {
			var e struct{ N int }
			if err := json.Unmarshal(event, &e); err != nil {
				return err
			}
			seen = append(seen, e.N)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return seen
	}
	if all := read(noon.Add(-time.Hour), time.Now().Add(1000*time.Hour)); len(all) != entries || all[0] != 0 || all[entries-1] != entries-1 {
		t.Errorf("%d of %d are read", len(all), entries)
	}
	if some := read(noon.Add(10*time.Millisecond), noon.Add(12*time.Millisecond)); fmt.Sprint(some) != "[20 21 22 23]" {
		t.Errorf("two milliseconds are %v", some)
	}
}

func TestDeliveries(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr()})
	t.Cleanup(func() { _ = rdb.Close() })
	for i := range 500 {
		d := Delivery{Time: noon, Handler: "mail", Kind: "email", Task: fmt.Sprint(i), Attempt: 1, OK: i%2 == 0, Duration: time.Second}
		if err := AppendDelivery(t.Context(), rdb, 100, d); err != nil {
			t.Fatal(err)
		}
	}
	server.Do("XADD", Deliveries, "*", "j", "rubbish")
	list, err := ListDeliveries(t.Context(), rdb, 3)
	if err != nil || len(list) != 2 || list[0].Task != "499" || list[0].OK || !list[0].Time.Equal(noon) || list[1].Task != "498" {
		t.Errorf("%+v, %v", list, err)
	}
	if n, _ := server.Do("XLEN", Deliveries).(int64); n > 300 {
		t.Errorf("%d are kept", n)
	}
}

// What handlers were told, and what queues have counted, is in the report.
func TestFacts(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr()})
	t.Cleanup(func() { _ = rdb.Close() })
	resolved := strings.ReplaceAll(strings.Replace(firing, `"fired":`, `"ended":"2026-03-14T12:30:00Z","fired":`, 1), `"status":"firing"`, `"status":"resolved"`)
	other := strings.Replace(firing, `"fingerprint":"f1"`, `"fingerprint":"f2"`, 1)
	for i, payload := range []string{firing, firing, resolved, other} {
		out, err := Run(t.Context(), schema.Handler{Name: "audit", Log: &schema.Log{}}, Task{ID: fmt.Sprint(i), Payload: []byte(payload)}, Env{})
		if err == nil {
			err = AppendDelivery(t.Context(), rdb, 100, out.Delivery)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now().UTC()
	server.Do("HSET", "rsm:operations", "digest", "d", "queue/mail", `{"Name":"mail"}`)
	f, err := StreamFacts(rdb)(t.Context(), now.Add(-time.Hour), now.Add(time.Hour))
	if err != nil || len(f.Alerts) != 2 || f.Firing != 1 || f.Resolved != 1 || f.Alerts[0].Fingerprint != "f1" || f.Alerts[0].Ended.IsZero() || len(f.Queues) != 1 {
		t.Errorf("%+v, %v", f, err)
	}
}
