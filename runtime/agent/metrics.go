package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// listen opens the port of the metrics, if there is one.
func (a *Agent) listen() (net.Listener, error) {
	if a.Role.Agent.Metrics == "" {
		return nil, nil
	}
	l, err := net.Listen("tcp", string(a.Role.Agent.Metrics))
	if err != nil {
		return nil, fmt.Errorf("listen for Prometheus: %w", err)
	}
	return l, nil
}

// serveMetrics answers GET /metrics until ctx ends.
func (a *Agent) serveMetrics(ctx context.Context, l net.Listener) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		_, _ = io.WriteString(w, a.metrics())
		select {
		case a.stirred <- struct{}{}:
		default:
		}
	})
	server := &http.Server{Handler: mux, ReadTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 8 << 10}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		a.Log.Error("metrics are no longer served", "error", err)
	}
}

// metrics is what was seen last, in the text format of Prometheus.
func (a *Agent) metrics() string {
	sample, nodes := a.seen.get()
	m := exposition{}
	if sample != nil {
		a.hostMetrics(&m, sample)
	}
	for _, n := range nodes {
		labels := []string{"cluster", n.cluster, "node", n.name}
		m.add("rsm_redis_up", "Whether the server answers.", "gauge", number(n.up), labels...)
	}
	for _, f := range figures {
		for _, n := range nodes {
			if value, ok := n.numbers[f.name]; ok {
				m.add("rsm_redis_"+f.name, "INFO "+f.section+" "+f.name+".", "untyped", value, "cluster", n.cluster, "node", n.name)
			}
		}
	}
	return m.String()
}

func (a *Agent) hostMetrics(m *exposition, s *Sample) {
	for _, f := range hostFigures(s) {
		kind := "gauge"
		if strings.HasSuffix(f.name, "_total") {
			kind = "counter"
		}
		m.add("rsm_host_"+f.name, f.help, kind, f.value, "host", s.Host)
	}
	for _, one := range []struct {
		name, help string
		value      func(Mount) float64
	}{
		{"usage", "Percent in use.", func(d Mount) float64 { return d.Usage }},
		{"inodes_usage", "Percent of inodes in use.", func(d Mount) float64 { return d.Inodes }},
		{"free_bytes", "Bytes that are free.", func(d Mount) float64 { return float64(d.Free) }},
	} {
		for _, d := range s.Disks {
			m.add("rsm_host_mount_"+one.name, one.help, "gauge", one.value(d), "host", s.Host, "mount", d.Mount)
		}
	}
	for _, one := range []struct {
		name, help string
		value      func(Net) float64
	}{
		{"receive", "Bytes received per second.", func(n Net) float64 { return n.Receive }},
		{"send", "Bytes sent per second.", func(n Net) float64 { return n.Send }},
	} {
		for _, n := range s.Net {
			m.add("rsm_host_net_"+one.name+"_bytes_per_second", one.help, "gauge", one.value(n), "host", s.Host, "interface", n.Name)
		}
	}
	for _, one := range []struct {
		name, help string
		value      func(DiskIO) float64
	}{
		{"read_bytes_per_second", "Bytes read per second.", func(d DiskIO) float64 { return d.Read }},
		{"write_bytes_per_second", "Bytes written per second.", func(d DiskIO) float64 { return d.Write }},
		{"busy", "Percent of time in which the disk worked.", func(d DiskIO) float64 { return d.Busy }},
	} {
		for _, d := range s.DiskIO {
			m.add("rsm_host_disk_"+one.name, one.help, "gauge", one.value(d), "host", s.Host, "disk", d.Name)
		}
	}
}

// exposition writes the text format of Prometheus (prometheus.io, "Exposition
// formats"). Metrics of one name come one after the other.
type exposition struct {
	strings.Builder
	last string
}

var escape = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// add writes one value; labels are names and values in turn.
func (e *exposition) add(name, help, kind string, value float64, labels ...string) {
	if name != e.last {
		fmt.Fprintf(e, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
		e.last = name
	}
	e.WriteString(name)
	for i := 0; i+1 < len(labels); i += 2 {
		e.WriteByte("{,"[min(i, 1)])
		fmt.Fprintf(e, `%s="%s"`, labels[i], escape.Replace(labels[i+1]))
	}
	if len(labels) > 1 {
		e.WriteByte('}')
	}
	fmt.Fprintf(e, " %s\n", text(value))
}
