package controller

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"rsm/reconcile"
	"rsm/runtime/controller/ledger"
)

const apiToken = "sesame"

// serveBench is a bench with one cluster that nobody works on, over HTTP.
func serveBench(t *testing.T) (*bench, string) {
	t.Helper()
	b := newBench(t)
	b.remote.push("c1", "lain")
	b.expect(t, true, "c1", "", "commit.new c1")
	b.workers["lain"] = newWorker(b.Controller, "lain", func() {})
	if err := b.Ledger.Update(func(c *ledger.Control) error { c.Cluster("lain").Applied = "c0"; return nil }); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(b.Handler(func() (string, error) { return apiToken, nil }, nil))
	t.Cleanup(server.Close)
	return b, server.URL
}

func call(t *testing.T, method, url, token, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

func TestAPIReads(t *testing.T) {
	t.Parallel()
	b, url := serveBench(t)
	if code, _ := call(t, "GET", url+"/readyz", "", ""); code != http.StatusServiceUnavailable {
		t.Errorf("it is ready before it has looked: %d", code)
	}
	plan := &reconcile.Plan{Cluster: "lain", Master: "127.0.0.1:1", Leader: "master r1"}
	b.workers["lain"].see(choice{commit: "c1"}, plan)
	a := &ledger.Attempt{Cluster: "lain", Commit: "c1", Result: ledger.Applied, Plan: plan}
	if err := b.Ledger.Add(a); err != nil {
		t.Fatal(err)
	}
	b.count(a)
	for path, want := range map[string]string{
		"/healthz":                  "ok",
		"/readyz":                   "ready",
		"/api/v1/status":            `"health": "in sync"`,
		"/api/v1/clusters/lain":     `"leader": "master r1"`,
		"/api/v1/history":           `"result": "applied"`,
		"/api/v1/history?cluster=x": `"attempts": null`,
		"/api/v1/history?limit=1":   `"id": 1`,
		"/api/v1/history/1":         `"leader": "master r1"`,
		"/api/v1/events":            `"type":"commit.new"`,
		"/metrics":                  `rsm_cluster_health{cluster="lain",health="in sync"} 1`,
	} {
		if code, body := call(t, "GET", url+path, "", ""); code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s is answered by %d %s", path, code, body)
		}
	}
	for path, want := range map[string]int{
		"/api/v1/clusters/none": http.StatusNotFound, "/api/v1/history/9": http.StatusNotFound,
		"/api/v1/history/x": http.StatusBadRequest, "/hook": http.StatusNotFound, "/api/v1/reconcile": http.StatusMethodNotAllowed,
	} {
		if code, body := call(t, "GET", url+path, "", ""); code != want {
			t.Errorf("%s is answered by %d %s, want %d", path, code, body, want)
		}
	}
	_, text := call(t, "GET", url+"/metrics", "", "")
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil || families["rsm_attempts_total"] == nil || families["rsm_cluster_behind"].Metric[0].Gauge.GetValue() != 1 {
		t.Errorf("the metrics are %v, %v", families, err)
	}
}

func TestAPIChangesOnlyWithTheToken(t *testing.T) {
	t.Parallel()
	b, url := serveBench(t)
	suspend := url + "/api/v1/clusters/lain/suspend"
	for token, want := range map[string]int{"": http.StatusUnauthorized, "wrong": http.StatusUnauthorized, apiToken: http.StatusAccepted} {
		if code, body := call(t, "POST", suspend, token, `{"reason": "holiday", "until": "2h"}`); code != want {
			t.Errorf("token %q is answered by %d %s", token, code, body)
		}
	}
	control, err := b.Ledger.Read()
	if s := control.Cluster("lain").Suspended; err != nil || s == nil || s.Reason != "holiday" || !s.Until.Equal(b.now.Add(2*time.Hour)) || !strings.HasPrefix(s.By, "http 127.0.0.1:") {
		t.Errorf("it is suspended by %+v, %v", s, err)
	}
	select {
	case <-b.workers["lain"].asks:
	default:
		t.Error("the worker was not asked to look")
	}
	for body, why := range map[string]string{"": "no JSON", `{}`: "no reason", `{"reason": "x", "until": "yesterday"}`: "a bad time", strings.Repeat("x", 1<<20): "too long"} {
		if code, text := call(t, "POST", suspend, apiToken, body); code != http.StatusBadRequest {
			t.Errorf("%s is answered by %d %s", why, code, text)
		}
	}
	if code, _ := call(t, "POST", url+"/api/v1/clusters/lain/resume", apiToken, ""); code != http.StatusAccepted {
		t.Errorf("resume is answered by %d", code)
	}
	if control, err := b.Ledger.Read(); err != nil || control.Cluster("lain").Suspended != nil {
		t.Errorf("it is still suspended, %v", err)
	}
	if code, _ := call(t, "POST", url+"/api/v1/clusters/none/retry", apiToken, ""); code != http.StatusNotFound {
		t.Errorf("an unknown cluster is answered by %d", code)
	}
}

func TestAPIWithoutToken(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for name, test := range map[string]struct {
		token func() (string, error)
		want  int
	}{
		"none is declared": {nil, http.StatusForbidden},
		"it is unreadable": {func() (string, error) { return "", errors.New("gone: secret-path") }, http.StatusServiceUnavailable},
	} {
		server := httptest.NewServer(b.Handler(test.token, nil))
		code, body := call(t, "POST", server.URL+"/api/v1/reconcile", "x", "")
		if code != test.want || strings.Contains(body, "secret-path") {
			t.Errorf("%s: answered by %d %s", name, code, body)
		}
		server.Close()
	}
}

func TestAPIFollowsEvents(t *testing.T) {
	t.Parallel()
	b, url := serveBench(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", url+"/api/v1/events?follow=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	go func() {
		for ctx.Err() == nil { // until it follows
			b.tell(ledger.Event{Type: "drift", Message: "again"})
			time.Sleep(10 * time.Millisecond)
		}
	}()
	line, err := bufio.NewReader(answer.Body).ReadBytes('\n')
	var e ledger.Event
	if err := errors.Join(err, json.Unmarshal(line, &e)); err != nil || e.Type != "drift" {
		t.Errorf("it follows with %s, %v", line, err)
	}
}

func TestBudget(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	b := budget{limit: 2, interval: time.Minute}
	for i, step := range []struct {
		after  time.Duration
		impact reconcile.Impact
		want   error
	}{
		{0, reconcile.ImpactRestart, nil}, {0, reconcile.ImpactNone, nil}, {0, reconcile.ImpactFailover, nil},
		{0, reconcile.ImpactFullSync, errBudget}, {0, reconcile.ImpactNone, nil},
		{59 * time.Second, reconcile.ImpactRestart, errBudget}, {time.Second, reconcile.ImpactRestart, nil},
	} {
		now = now.Add(step.after)
		if got := b.take(now, step.impact); !errors.Is(got, step.want) || step.want == nil && got != nil {
			t.Errorf("step %d: %v, want %v", i, got, step.want)
		}
	}
	if err := (&budget{}).take(now, reconcile.ImpactDataLoss); err != nil {
		t.Errorf("without a limit: %v", err)
	}
}

func TestGateIsTakenOnce(t *testing.T) {
	t.Parallel()
	taken, busy := 0, errors.New("busy")
	g := gate{take: func(context.Context) (func(), error) {
		if taken != 0 {
			return nil, busy
		}
		taken++
		return func() { taken-- }, nil
	}}
	for range 2 {
		for range 3 {
			if err := g.enter(t.Context()); err != nil || taken != 1 {
				t.Fatalf("taken %d times, %v", taken, err)
			}
		}
		for range 3 {
			g.leave()
		}
		if taken != 0 {
			t.Fatal("it was not released")
		}
	}
	taken = 1
	if err := g.enter(t.Context()); !errors.Is(err, busy) || g.holders != 0 {
		t.Errorf("%v, %d holders", err, g.holders)
	}
}

// Who follows costs something all the time, so there is a bound; it is free again
// when they have gone.
func TestAPIBoundsFollowers(t *testing.T) {
	t.Parallel()
	_, url := serveBench(t)
	follow := func(ctx context.Context, method string) int {
		t.Helper()
		r, err := http.NewRequestWithContext(ctx, method, url+"/api/v1/events?follow=1", nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = answer.Body.Close() })
		return answer.StatusCode
	}
	ctx, leave := context.WithCancel(t.Context())
	for i := range maxFollowers {
		if code := follow(ctx, "GET"); code != http.StatusOK {
			t.Fatalf("follower %d is answered by %d", i, code)
		}
	}
	if code := follow(t.Context(), "GET"); code != http.StatusServiceUnavailable {
		t.Errorf("one too many is answered by %d", code)
	}
	leave()
	for follow(t.Context(), "HEAD") != http.StatusOK {
		time.Sleep(10 * time.Millisecond)
	}
}
