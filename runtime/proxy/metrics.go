package proxy

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"rsm/runtime/proxy/relay"
	"rsm/schema"
)

// metricsHandler answers with what the proxy counts, and the usual figures of the
// process, in the text format of Prometheus.
func (p *Proxy) metricsHandler() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector{p}, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError, // the process's own figures tell something even then
		ErrorLog:      slog.NewLogLogger(p.log.Handler(), slog.LevelWarn),
		// Each asks the loops.
		MaxRequestsInFlight: 4,
	})
}

// collector asks the proxy at each scrape. Nothing is counted twice.
type collector struct{ proxy *Proxy }

// Describe tells nothing beforehand, as labels come and go.
func (collector) Describe(chan<- *prometheus.Desc) {}

// Collect sends every figure.
func (c collector) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), askTime)
	defer cancel()
	report, err := c.proxy.relay.Report(ctx)
	if err != nil {
		out <- prometheus.NewInvalidMetric(prometheus.NewInvalidDesc(err), err)
		return
	}
	s := scrape{out: out, descs: map[string]*prometheus.Desc{}}
	s.clients(report, c.proxy.role.Load())
	s.servers(report)
	s.counters(report.Counters)
	s.commands(report.Commands)
	s.follow(c.proxy, time.Now())
}

// scrape is one answer in the making.
type scrape struct {
	out   chan<- prometheus.Metric
	descs map[string]*prometheus.Desc
}

// label is a label with its value.
type label struct{ name, value string }

func (s scrape) desc(name, help string, labels []label) (desc *prometheus.Desc, values []string) {
	names := make([]string, len(labels))
	values = make([]string, len(labels))
	for i, l := range labels {
		names[i], values[i] = l.name, l.value
	}
	if s.descs[name] == nil {
		s.descs[name] = prometheus.NewDesc("rsm_proxy_"+name, help, names, nil)
	}
	return s.descs[name], values
}

func (s scrape) gauge(name, help string, value float64, labels ...label) {
	s.put(prometheus.GaugeValue, name, help, value, labels)
}

func (s scrape) counter(name, help string, value uint64, labels ...label) {
	s.put(prometheus.CounterValue, name, help, float64(value), labels)
}

func (s scrape) put(kind prometheus.ValueType, name, help string, value float64, labels []label) {
	desc, values := s.desc(name, help, labels)
	metric, err := prometheus.NewConstMetric(desc, kind, value, values...)
	s.send(desc, metric, err)
}

func (s scrape) send(desc *prometheus.Desc, metric prometheus.Metric, err error) {
	if err != nil { // a label that is no UTF-8
		metric = prometheus.NewInvalidMetric(desc, err)
	}
	s.out <- metric
}

func (s scrape) clients(report relay.Report, role *schema.ProxyRole) {
	for _, l := range report.Listeners {
		at := label{"listener", l.Name}
		s.gauge("clients", "Clients that are connected.", float64(l.Clients), at)
		s.counter("clients_accepted_total", "Clients that were served.", l.Accepted, at)
		s.counter("received_bytes_total", "Bytes from clients.", l.Received, at)
		s.counter("sent_bytes_total", "Bytes to clients.", l.Sent, at)
	}
	for state, n := range report.States {
		s.gauge("clients_by_state", "Clients by what they do.", float64(n), label{"state", state})
	}
	s.gauge("clients_limit", "How many clients may be connected.", float64(role.Proxy.MaxClients))
	s.gauge("held_clients", "Clients that wait for a master.", float64(report.Held.Clients))
	s.gauge("held_bytes", "Bytes of the requests that wait for a master.", float64(report.Held.Bytes))
	s.gauge("held_longest_seconds", "How long the first of them waits.", report.Held.Longest)
	for i, l := range report.Loops {
		at := label{"loop", strconv.Itoa(i)}
		s.counter("loop_turns_total", "Turns of an event loop.", l.Turns, at)
	}
}

func (s scrape) servers(report relay.Report) {
	const help = "Connections to servers."
	for _, v := range report.Servers {
		at := label{"server", string(v.Addr)}
		for state, n := range map[string]int{
			"shared": v.Shared, "pinned": v.Pinned, "idle": v.Idle, "opening": v.Opening, "retired": v.Retired,
		} {
			s.gauge("backends", help, float64(n), at, label{"state", state})
		}
		s.gauge("in_flight", "Requests that are not answered yet.", float64(v.InFlight), at)
		s.gauge("server_failures", "Attempts to connect that came to nothing since the last success.", float64(v.Failures), at)
	}
}

func (s scrape) counters(c relay.Counters) {
	s.counter("backends_opened_total", "Connections to servers that were opened.", c.Opened)
	s.counter("clients_rejected_total", "Clients for which there was no place.", c.Rejected)
	s.counter("holds_total", "Times that a client had to wait for a master.", c.Holds)
	s.counter("hold_refusals_total", "Waits for a master that ended with an error.", c.Refusals)
	s.counter("retries_total", "Requests that were sent again, to another master.", c.Retries)
	s.counter("doubts_total", "Requests that may have been executed or not: their client got INDOUBT.", c.Doubts)
	s.counter("unconfirmed_total", "Writes of durable listeners that no replica confirmed: their client got an error.", c.Unconfirmed)
	s.counter("denied_total", "Requests that the rules of a listener refused.", c.Denied)
}

// commands makes a histogram of what each command took.
func (s scrape) commands(commands []relay.CommandReport) {
	for _, c := range commands {
		of := []label{{"command", c.Name}}
		buckets, sum := map[float64]uint64{}, uint64(0)
		for i, n := range c.Counts {
			sum += n
			if bound := relay.Bound(i); bound > 0 {
				buckets[bound.Seconds()] = sum
			}
		}
		desc, values := s.desc("command_duration_seconds", "Time from a request's being passed on to its answer.", of)
		metric, err := prometheus.NewConstHistogram(desc, c.Count, c.Seconds(), buckets, values...)
		s.send(desc, metric, err)
		s.counter("command_errors_total", "Errors that servers answered.", c.Errors, of...)
	}
}

// follow tells of the master and those who vouch for it.
func (s scrape) follow(p *Proxy, now time.Time) {
	status := p.follower.Load().Status()
	role, t := p.role.Load(), status.Target
	version := ""
	if v := p.version.Load(); v != nil {
		version = *v
	}
	s.gauge("info", "Always 1.", 1, label{"proxy", role.Proxy.Name}, label{"cluster", role.Cluster.Name},
		label{"version", version}, label{"config", role.Digest()})
	s.gauge("ready", "Whether requests can be served.", truth(p.unready(now) == ""))
	s.gauge("epoch", "The epoch of the Sentinels at which the master was named.", float64(t.Epoch))
	s.gauge("hold", "Whether requests wait.", truth(t.Hold || t.Master == ""))
	if t.Master != "" {
		s.gauge("master", "The server that requests go to; always 1.", 1, label{"server", string(t.Master)})
		s.gauge("master_proof_age_seconds", "How long ago it last proved to be the master.", now.Sub(t.Proof).Seconds())
	}
	for _, r := range t.Replicas {
		if !r.FreshAsOf.IsZero() {
			s.gauge("replica_stale_seconds", "How old the data of a replica is at most.",
				max(0, now.Sub(r.FreshAsOf).Seconds()), label{"server", string(r.Addr)})
		}
	}
	for _, v := range status.Sentinels {
		at := label{"sentinel", string(v.Addr)}
		s.gauge("sentinel_reachable", "Whether a Sentinel answers.", truth(v.Reachable), at)
		s.gauge("sentinel_subscribed", "Whether its events are heard.", truth(v.Subscribed), at)
	}
	if n := len(status.Switches); n > 0 {
		last := status.Switches[n-1]
		s.gauge("last_switch_timestamp_seconds", "When requests went to another master last.", float64(last.At.UnixMilli())/1e3)
		s.gauge("last_switch_duration_seconds", "For how long there was none before.", last.At.Sub(last.Since).Seconds())
	}
}

func truth(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
