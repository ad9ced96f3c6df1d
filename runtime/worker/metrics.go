package worker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"rsm/runtime/worker/queue"
)

var (
	runningDesc = prometheus.NewDesc("rsm_worker_running", "Tasks that run.", nil, nil)
	slotsDesc   = prometheus.NewDesc("rsm_worker_slots", "Tasks that may run at once.", nil, nil)
	doneDesc    = prometheus.NewDesc("rsm_worker_tasks_total", "Tasks that ended here, by how.", []string{"outcome"}, nil)
	tasksDesc   = prometheus.NewDesc("rsm_queue_tasks", "Tasks of a queue, by where they are.", []string{"queue", "state"}, nil)
	pausedDesc  = prometheus.NewDesc("rsm_queue_stopped", "1 when a queue is paused or drained.", []string{"queue"}, nil)
)

// listen opens the port of the metrics, if there is one.
func (w *Worker) listen() (net.Listener, error) {
	if w.Metrics == "" {
		return nil, nil
	}
	l, err := net.Listen("tcp", string(w.Metrics))
	if err != nil {
		return nil, fmt.Errorf("listen for Prometheus: %w", err)
	}
	return l, nil
}

// serveMetrics answers GET /metrics until ctx ends.
func (r *run) serveMetrics(ctx context.Context, l net.Listener) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(r)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4}))
	server := &http.Server{Handler: mux, ReadTimeout: 5 * time.Second, WriteTimeout: 10 * time.Second, MaxHeaderBytes: 8 << 10}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		r.Log.Error("metrics are no longer served", "error", err)
	}
}

// Describe is for Prometheus.
func (r *run) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{runningDesc, slotsDesc, doneDesc, tasksDesc, pausedDesc} {
		out <- d
	}
}

// Collect is for Prometheus. The figures of the queues are those of this moment; they
// are left out while no master answers.
func (r *run) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	gauge(runningDesc, float64(r.running.Load()))
	gauge(slotsDesc, float64(r.Concurrency))
	for outcome, n := range map[string]int64{"done": r.done.Load(), "failed": r.failed.Load()} {
		out <- prometheus.MustNewConstMetric(doneDesc, prometheus.CounterValue, float64(n), outcome)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	r.mu.Lock()
	lines := r.lines
	r.mu.Unlock()
	for _, l := range lines {
		s, err := l.Stats(ctx)
		if err != nil {
			continue
		}
		for state, n := range map[queue.State]int64{queue.Pending: s.Pending, queue.Active: s.Active, queue.Scheduled: s.Scheduled,
			queue.Dead: s.Dead, queue.Finished: s.Finished} {
			gauge(tasksDesc, float64(n), l.name, string(state))
		}
		stopped := 0.0
		if s.Mode != queue.Running {
			stopped = 1
		}
		gauge(pausedDesc, stopped, l.name)
	}
}
