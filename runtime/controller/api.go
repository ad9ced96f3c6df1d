package controller

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strconv"
	"time"

	"rsm/internal/web"
	"rsm/runtime/controller/hook"
	"rsm/runtime/controller/ledger"
)

// Handler serves the controller over HTTP. Reading is open to who can reach it;
// what changes something wants the token, and is refused when there is none.
//
//	GET  /healthz /readyz /metrics
//	GET  /api/v1/status                  the source and all clusters
//	GET  /api/v1/clusters/NAME           one cluster with its plan
//	GET  /api/v1/history?cluster=&limit= attempts, without plans
//	GET  /api/v1/history/N               one attempt with its plan and report
//	GET  /api/v1/events?follow=1         NDJSON
//	POST /api/v1/reconcile               look now
//	POST /api/v1/clusters/NAME/suspend   {"reason": "…", "until": "2h" or a time}
//	POST /api/v1/clusters/NAME/resume
//	POST /api/v1/clusters/NAME/retry
//	POST /hook                           webhooks, with secrets of their own
func (c *Controller) Handler(token func() (string, error), receiver *hook.Receiver) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", c.serveReady)
	mux.Handle("GET /metrics", c.metrics(receiver))
	mux.HandleFunc("GET /api/v1/status", c.serveStatus)
	mux.HandleFunc("GET /api/v1/clusters/{name}", c.serveCluster)
	mux.HandleFunc("GET /api/v1/history", c.serveHistory)
	mux.HandleFunc("GET /api/v1/history/{id}", c.serveAttempt)
	mux.HandleFunc("GET /api/v1/events", c.serveEvents)
	write := func(pattern string, change func(*http.Request) error) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if !web.Admit(w, r, token, c.Log) {
				return
			}
			r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
			if err := change(r); err != nil {
				http.Error(w, err.Error(), statusOf(err))
				return
			}
			c.Reload()
			w.WriteHeader(http.StatusAccepted)
		})
	}
	write("POST /api/v1/reconcile", func(*http.Request) error { return nil })
	write("POST /api/v1/clusters/{name}/suspend", c.suspend)
	write("POST /api/v1/clusters/{name}/resume", c.resume)
	write("POST /api/v1/clusters/{name}/retry", func(r *http.Request) error {
		return c.decide(r, nil, func(k *ledger.Cluster) { k.Failed = nil })
	})
	if receiver != nil {
		mux.Handle("/hook", receiver)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		mux.ServeHTTP(w, r)
	})
}

// statusOf is the HTTP status of an error.
func statusOf(err error) int {
	var bad *badRequest
	if errors.As(err, &bad) {
		return bad.code
	}
	return http.StatusServiceUnavailable
}

// badRequest is an error of who asks.
type badRequest struct {
	code int
	text string
}

// Error says what is wrong.
func (b *badRequest) Error() string { return b.text }

func unusable(text string) error { return &badRequest{http.StatusBadRequest, text} }

func noCluster(name string) error {
	return &badRequest{http.StatusNotFound, fmt.Sprintf("there is no cluster %q; /api/v1/status names those that there are", name)}
}

// serveReady answers whether it is known what to keep the deployments equal to.
func (c *Controller) serveReady(w http.ResponseWriter, _ *http.Request) {
	for _, s := range c.Status() {
		if !s.Seen.IsZero() {
			_, _ = w.Write([]byte("ready\n"))
			return
		}
	}
	http.Error(w, "no cluster was looked at yet", http.StatusServiceUnavailable)
}

func (c *Controller) serveStatus(w http.ResponseWriter, _ *http.Request) {
	control, err := c.Ledger.Read()
	all := c.Status()
	for i := range all {
		all[i].Plan = nil
	}
	writeJSON(w, map[string]any{"format_version": "1.0", "time": c.Now().UTC(), "control": control, "clusters": all}, err)
}

func (c *Controller) serveCluster(w http.ResponseWriter, r *http.Request) {
	for _, s := range c.Status() {
		if s.Name == r.PathValue("name") {
			writeJSON(w, s, nil)
			return
		}
	}
	writeJSON(w, nil, noCluster(r.PathValue("name")))
}

// maxHistory is how many attempts one answer has at most.
const maxHistory = 100

func (c *Controller) serveHistory(w http.ResponseWriter, r *http.Request) {
	limit, err := strconv.Atoi(r.FormValue("limit"))
	if err != nil || limit < 1 || limit > maxHistory {
		limit = maxHistory
	}
	list, err := c.Ledger.Attempts(r.FormValue("cluster"), limit)
	for _, a := range list {
		a.Plan, a.Report = nil, nil
	}
	writeJSON(w, map[string]any{"format_version": "1.0", "attempts": list}, err)
}

func (c *Controller) serveAttempt(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil {
		writeJSON(w, nil, unusable("the number of an attempt is wanted"))
		return
	}
	a, err := c.Ledger.Attempt(id)
	if errors.Is(err, fs.ErrNotExist) {
		err = &badRequest{http.StatusNotFound, fmt.Sprintf("there is no attempt %d; the last %d are kept", id, ledger.Kept)}
	}
	writeJSON(w, a, err)
}

const (
	// maxFollowers is how many may follow events at a time: each looks at the ledger
	// again and again.
	maxFollowers = 64
	// followTime is how long a follower may take to read an event.
	followTime = 30 * time.Second
)

// serveEvents writes what is known, and goes on with what comes when asked to.
func (c *Controller) serveEvents(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := json.NewEncoder(w)
	flusher := http.NewResponseController(w)
	each := func(e ledger.Event) error {
		_ = flusher.SetWriteDeadline(time.Now().Add(followTime))
		if err := out.Encode(e); err != nil {
			return fmt.Errorf("write event: %w", err)
		}
		return nil
	}
	if r.FormValue("follow") == "" {
		_ = c.Ledger.Events(each) // whoever does not read on does not want them
		return
	}
	if c.followers.Add(1) > maxFollowers {
		c.followers.Add(-1)
		http.Error(w, fmt.Sprintf("%d follow already; ask without follow", maxFollowers), http.StatusServiceUnavailable)
		return
	}
	defer c.followers.Add(-1)
	_ = flusher.SetWriteDeadline(time.Time{})
	if err := flusher.Flush(); err != nil || r.Method == http.MethodHead {
		return
	}
	_ = c.Ledger.Follow(r.Context(), func(e ledger.Event) error {
		if err := each(e); err != nil {
			return err
		}
		return flusher.Flush()
	})
}

// suspend has rsm only look at a cluster.
func (c *Controller) suspend(r *http.Request) error {
	var ask struct{ Reason, Until string }
	if err := json.NewDecoder(r.Body).Decode(&ask); err != nil {
		return unusable("the body is to be JSON with a reason: " + err.Error())
	}
	if ask.Reason == "" {
		return unusable("a reason is wanted")
	}
	until, err := ledger.ParseUntil(ask.Until, c.Now())
	if err != nil {
		return unusable(err.Error())
	}
	by := "http " + r.RemoteAddr
	told := &ledger.Event{Level: "warning", Type: "suspended", Message: fmt.Sprintf("suspended by %s: %s", by, ask.Reason)}
	return c.decide(r, told, func(k *ledger.Cluster) {
		k.Suspended = &ledger.Suspension{Reason: ask.Reason, By: by, Since: c.Now().UTC(), Until: until}
	})
}

func (c *Controller) resume(r *http.Request) error {
	told := &ledger.Event{Type: "resumed", Message: "resumed by http " + r.RemoteAddr}
	return c.decide(r, told, func(k *ledger.Cluster) { k.Suspended = nil })
}

// decide changes what the ledger knows of the cluster in the path, and tells it.
func (c *Controller) decide(r *http.Request, told *ledger.Event, change func(*ledger.Cluster)) error {
	name := r.PathValue("name")
	err := c.Ledger.Update(func(control *ledger.Control) error {
		if control.Clusters[name] == nil {
			return noCluster(name)
		}
		change(control.Clusters[name])
		return nil
	})
	if err == nil && told != nil {
		told.Cluster = name
		c.tell(*told)
	}
	return err
}

func writeJSON(w http.ResponseWriter, value any, err error) {
	if err != nil {
		http.Error(w, err.Error(), statusOf(err))
		return
	}
	web.WriteJSON(w, value)
}
