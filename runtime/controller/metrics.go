package controller

import (
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"rsm/runtime/controller/hook"
	"rsm/runtime/controller/ledger"
)

// counters are the figures that only grow.
type counters struct {
	attempts *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

func newCounters() counters {
	return counters{
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "rsm_attempts_total",
			Help: "Attempts that have ended."}, []string{"cluster", "trigger", "result"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "rsm_attempt_duration_seconds",
			Help: "How long attempts took.", Buckets: []float64{.1, .3, 1, 3, 10, 30, 100, 300}}, []string{"cluster"}),
	}
}

// count counts an attempt that has ended.
func (c *Controller) count(a *ledger.Attempt) {
	c.attempts.WithLabelValues(a.Cluster, a.Trigger, a.Result).Inc()
	c.seconds.WithLabelValues(a.Cluster).Observe(a.Duration.Seconds())
}

// metrics answers in the text format of Prometheus.
func (c *Controller) metrics(receiver *hook.Receiver) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector{c, receiver}, c.attempts, c.seconds, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 4})
}

// collector reads the state at each scrape.
type collector struct {
	c        *Controller
	receiver *hook.Receiver // nil when there are no webhooks
}

var descs = sync.OnceValue(func() map[string]*prometheus.Desc {
	of := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("rsm_"+name, help, labels, nil)
	}
	return map[string]*prometheus.Desc{
		"webhooks":  of("webhooks_total", "Webhooks that were received.", "result"),
		"age":       of("source_age_seconds", "Time since the source answered last."),
		"error":     of("source_error", "1 while the source cannot be read."),
		"refused":   of("source_refused", "1 while the branch's commit is not accepted."),
		"info":      of("source_info", "The branch's commit, and the newest that was accepted.", "head", "accepted"),
		"health":    of("cluster_health", "1 for the health that a cluster has.", "cluster", "health"),
		"commit":    of("cluster_commit_info", "The commit that is in force.", "cluster", "commit"),
		"drift":     of("cluster_drift", "Differences between spec and servers.", "cluster"),
		"held":      of("cluster_held", "Differences that rsm does not touch unasked.", "cluster"),
		"behind":    of("cluster_behind", "1 while a newer commit is not in force.", "cluster"),
		"suspended": of("cluster_suspended", "1 while rsm only looks.", "cluster"),
		"leased":    of("cluster_leased", "1 while this service may touch the cluster.", "cluster"),
		"seen":      of("cluster_seen_age_seconds", "Time since the cluster was looked at.", "cluster"),
	}
})

// Describe tells nothing beforehand, as labels come and go.
func (collector) Describe(chan<- *prometheus.Desc) {}

// Collect sends every figure.
func (k collector) Collect(out chan<- prometheus.Metric) {
	send := func(name string, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(descs()[name], prometheus.GaugeValue, value, labels...)
	}
	k.webhooks(out)
	now := k.c.Now()
	if control, err := k.c.Ledger.Read(); err == nil {
		source := control.Source
		if !source.Reached.IsZero() {
			send("age", max(0, now.Sub(source.Reached)-ledgerTime).Seconds())
		}
		send("error", flag(source.Error != ""))
		send("refused", flag(source.Refused != ""))
		send("info", 1, source.Head, source.Accepted)
		for _, s := range k.c.Status() {
			known := control.Cluster(s.Name)
			send("commit", 1, s.Name, known.Applied)
			send("behind", flag(source.Head != "" && known.Applied != source.Head), s.Name)
			send("suspended", flag(known.Suspended.Active(now)), s.Name)
		}
	}
	for _, s := range k.c.Status() {
		for _, word := range healths {
			send("health", flag(s.Health == word), s.Name, word)
		}
		if s.Plan != nil {
			send("drift", float64(len(s.Plan.Drift)), s.Name)
			send("held", float64(len(s.Plan.Held)), s.Name)
		}
		send("leased", flag(s.Leased), s.Name)
		if !s.Seen.IsZero() {
			send("seen", now.Sub(s.Seen).Round(time.Millisecond).Seconds(), s.Name)
		}
	}
}

// webhooks sends what became of deliveries.
func (k collector) webhooks(out chan<- prometheus.Metric) {
	if k.receiver == nil {
		return
	}
	s := k.receiver.Stats()
	for result, n := range map[string]uint64{"asked": s.Asked, "ignored": s.Ignored, "repeated": s.Repeated, "forged": s.Forged,
		"malformed": s.Malformed, "limited": s.Limited, "crashed": s.Crashed} {
		out <- prometheus.MustNewConstMetric(descs()["webhooks"], prometheus.CounterValue, float64(n), result)
	}
}

func flag(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
