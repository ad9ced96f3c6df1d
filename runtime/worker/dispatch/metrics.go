package dispatch

import (
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// meter counts what a dispatcher does.
type meter struct {
	started  time.Time
	registry *prometheus.Registry

	events, tasks, bridged *prometheus.CounterVec
	byStatus               *prometheus.GaugeVec
	delay                  prometheus.Histogram

	claimed, conflicts, dead, failed, errors, resubscribed prometheus.Counter
	lag, pending, listening, agents, silent, letters       prometheus.Gauge

	// total are figures that it tells of itself, too.
	total struct{ events, tasks, dead, lag, alerts atomic.Int64 }
}

func newMeter() *meter {
	m := &meter{started: time.Now().UTC(), registry: prometheus.NewRegistry()}
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "rsm_dispatcher_" + name, Help: help})
		m.registry.MustRegister(c)
		return c
	}
	counters := func(name, help, label string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "rsm_dispatcher_" + name, Help: help}, []string{label})
		m.registry.MustRegister(c)
		return c
	}
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "rsm_dispatcher_" + name, Help: help})
		m.registry.MustRegister(g)
		return g
	}
	m.events = counters("events_total", "Events that this dispatcher has read, by what came of them.", "result")
	m.tasks = counters("tasks_total", "Tasks that it has handed to queues.", "result")
	m.bridged = counters("bridged_total", "Messages that were only published: added to the stream by this dispatcher, or why not.", "result")
	m.byStatus = prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "rsm_dispatcher_alerts", Help: "Alerts of the cluster."}, []string{"status"})
	m.delay = prometheus.NewHistogram(prometheus.HistogramOpts{Name: "rsm_dispatcher_delay_seconds",
		Help:    "Time from an event's entry into the stream until it was read and evaluated.",
		Buckets: []float64{.002, .005, .01, .02, .05, .1, .25, .5, 1, 2.5, 5, 10, 60}})
	m.registry.MustRegister(m.byStatus, m.delay)
	m.claimed = counter("claimed_total", "Events taken over from dispatchers that were gone.")
	m.conflicts = counter("conflicts_total", "Decisions made again because others were faster.")
	m.dead = counter("dead_letters_total", "Events that could not be read or handed on.")
	m.failed = counter("failures_total", "Conditions that could not be evaluated, and notifications without a handler.")
	m.errors = counter("errors_total", "Times that Redis did not do what it was asked.")
	m.resubscribed = counter("resubscribed_total", "Times that the connection which listens was lost.")
	m.lag = gauge("lag", "Events that no dispatcher has read.")
	m.pending = gauge("pending", "Events that a dispatcher has read and not handed on.")
	m.listening = gauge("listening", "1 while messages that are only published are heard.")
	m.agents = gauge("agents", "Agents that have been heard.")
	m.silent = gauge("agents_silent", "Those of them that are silent.")
	m.letters = gauge("dead_letters", "Entries of the stream of what could not be handed on.")
	for _, result := range []string{"added", "duplicate", "refused", "late", "overflow", "unplaced"} {
		m.bridged.WithLabelValues(result)
	}
	return m
}

func (m *meter) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 4})
}

// event counts one that was evaluated.
func (m *meter) event(j *judged, now time.Time) {
	what := "passed"
	switch {
	case j.reason != "":
		what = "dead"
	case len(j.tasks) > 0:
		what = "handed on"
	case len(j.verdicts) > 0:
		what = "judged"
	}
	m.events.WithLabelValues(what).Inc()
	m.total.events.Add(1)
	if j.reason != "" || j.lost != nil {
		m.total.dead.Add(1)
	}
	m.delay.Observe(max(now.Sub(j.arrived), 0).Seconds())
}

// result counts what the script did.
func (m *meter) result(r result) {
	for what, n := range map[string]int64{"added": r.added, "existing": r.existing, "refused": r.refused, "duplicate": r.copies} {
		if n > 0 {
			m.tasks.WithLabelValues(what).Add(float64(n))
		}
	}
	m.total.tasks.Add(r.added)
}

func (m *meter) group(lag, pending int64) {
	m.lag.Set(float64(lag))
	m.pending.Set(float64(pending))
	m.total.lag.Store(lag)
}

func (m *meter) seen(counts map[string]string, agents, silent, dead int64) {
	m.byStatus.Reset()
	all := int64(0)
	for status, text := range counts {
		n, _ := strconv.ParseInt(text, 10, 64)
		m.byStatus.WithLabelValues(status).Set(float64(n))
		all += n
	}
	m.total.alerts.Store(all)
	m.agents.Set(float64(agents))
	m.silent.Set(float64(silent))
	m.letters.Set(float64(dead))
}

// stats are the figures of its Presence.
func (m *meter) stats() map[string]int64 {
	return map[string]int64{"events": m.total.events.Load(), "tasks": m.total.tasks.Load(), "dead": m.total.dead.Load(),
		"lag": m.total.lag.Load(), "alerts": m.total.alerts.Load()}
}
