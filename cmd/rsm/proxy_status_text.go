package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"rsm/reconcile"
	"rsm/runtime/proxy"
	"rsm/runtime/proxy/relay"
)

// writeProxyStatus shows one proxy as text.
func writeProxyStatus(w io.Writer, paint func(reconcile.Style, string) string, s *proxyReport) {
	if paint == nil {
		paint = func(_ reconcile.Style, text string) string { return text }
	}
	health := paint(reconcile.StyleAdd, "ready")
	if !s.Ready {
		health = paint(reconcile.StyleHeld, "not ready: "+s.Why)
	}
	fmt.Fprintf(w, "%s  %s\n", paint(reconcile.StyleBold, "proxy "+s.Proxy), health)
	fmt.Fprintf(w, "  cluster %s, settings %s, version %s, up %s\n", s.Cluster, s.Settings, orDash(s.Version), span(s.Uptime))
	writeProxyMaster(w, paint, s)
	writeProxyTraffic(w, s)
	table := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	writeProxyTables(table, s)
	_ = table.Flush()
}

func writeProxyMaster(w io.Writer, paint func(reconcile.Style, string) string, s *proxyReport) {
	m := s.Master
	switch {
	case m.Addr == "":
		fmt.Fprintf(w, "  %s\n", paint(reconcile.StyleHeld, "no master: "+m.Why))
	default:
		since := ""
		if m.Since != nil {
			since = fmt.Sprintf(" since %s (%s)", m.Since.Format(time.RFC3339), span(s.Time.Sub(*m.Since).Seconds()))
		}
		fmt.Fprintf(w, "  master %s at %s, epoch %d%s, proved %s ago\n", orDash(m.Node), m.Addr, m.Epoch, since, span(m.Proof))
		if m.Hold {
			fmt.Fprintf(w, "  %s\n", paint(reconcile.StyleWait, "requests are held: "+m.Why))
		}
	}
	if n := len(s.Switches); n > 0 && s.Switches[n-1].From != "" {
		last := s.Switches[n-1]
		fmt.Fprintf(w, "  last switch %s from %s to %s, %s without a master\n", last.At.Format(time.RFC3339), last.From, last.To, span(last.Seconds))
	}
}

func writeProxyTraffic(w io.Writer, s *proxyReport) {
	states := ""
	for _, state := range slices.Sorted(maps.Keys(s.Clients.States)) {
		states += fmt.Sprintf(", %d %s", s.Clients.States[state], state)
	}
	fmt.Fprintf(w, "  %d of %d clients%s; %d requests in flight\n", s.Clients.Total, s.Clients.Limit, states, s.InFlight)
	if h := s.Held; h.Clients > 0 {
		fmt.Fprintf(w, "  %d clients held with %s, the first for %s\n", h.Clients, bytesText(uint64(h.Bytes)), span(h.Longest))
	}
	if r := s.Recent; r != nil {
		fmt.Fprintf(w, "  %.0f requests/s, %.0f errors/s%s\n", r.Requests, r.Errors, quantiles(r.P50, r.P99))
	}
	l, c := s.Latency, s.Counters
	fmt.Fprintf(w, "  since the start: %d answers, %d errors%s\n", l.Count, l.Errors, quantiles(l.Quantile(0.5).Seconds(), l.Quantile(0.99).Seconds()))
	fmt.Fprintf(w, "  %d holds (%d refused), %d sent again, %d in doubt, %d denied, %d clients turned away\n",
		c.Holds, c.Refusals, c.Retries, c.Doubts, c.Denied, c.Rejected)
}

func quantiles(p50, p99 float64) string {
	if p99 == 0 {
		return ""
	}
	return fmt.Sprintf(", p50 %s, p99 %s", span(p50), span(p99))
}

func writeProxyTables(table io.Writer, s *proxyReport) {
	fmt.Fprintln(table, "  LISTENER\tADDRESS\tCLIENTS\tACCEPTED\tIN\tOUT")
	for _, l := range s.Listeners {
		address := cmp.Or(string(l.Addr), l.Socket)
		if !l.Open {
			address = "closed"
		}
		fmt.Fprintf(table, "  %s\t%s\t%d\t%d\t%s\t%s\n", l.Name, address, l.Clients, l.Accepted, bytesText(l.Received), bytesText(l.Sent))
	}
	fmt.Fprintln(table, "  SERVER\tADDRESS\tROLE\tLINK\tSHARED\tPINNED\tIDLE\tIN FLIGHT\tERROR")
	for _, n := range s.Nodes {
		role, link := orDash(n.Role), "-"
		if n.Role == "replica" {
			link = map[bool]string{true: "up", false: "down"}[n.LinkUp]
		}
		i := slices.IndexFunc(s.Backends, func(b relay.ServerReport) bool { return b.Addr == n.Addr })
		var b relay.ServerReport
		if i >= 0 {
			b = s.Backends[i]
		}
		fmt.Fprintf(table, "  %s\t%s\t%s\t%s\t%d\t%d\t%d\t%d\t%s\n", n.Name, n.Addr, role, link, b.Shared, b.Pinned, b.Idle, b.InFlight, orDash(n.Error))
	}
	fmt.Fprintln(table, "  SENTINEL\tADDRESS\tANSWERS\tEVENTS\tMASTER\tEPOCH\tERROR")
	for _, v := range s.Sentinels {
		fmt.Fprintf(table, "  %s\t%s\t%s\t%s\t%s\t%d\t%s\n", v.Name, v.Addr, yesNo(v.Reachable), yesNo(v.Subscribed), orDash(string(v.Master)), v.Epoch,
			orDash(cmp.Or(v.Error, v.EarError)))
	}
	fmt.Fprintln(table, "  COMMAND\tANSWERS\tERRORS\tP50\tP99")
	for _, c := range busiest(s.Commands) {
		fmt.Fprintf(table, "  %s\t%d\t%d\t%s\t%s\n", strings.ToUpper(c.Name), c.Count, c.Errors, span(c.P50), span(c.P99))
	}
}

// busiest are the commands with the most answers.
func busiest(all []proxy.CommandStatus) []proxy.CommandStatus {
	const most = 10
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b proxy.CommandStatus) int { return cmp.Compare(b.Count, a.Count) })
	return all[:min(most, len(all))]
}

// span is a duration for people: two or three digits that matter.
func span(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case d >= 10*time.Second:
		return d.Round(time.Second).String()
	case d >= time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d >= 10*time.Millisecond:
		return d.Round(time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	}
	return d.Round(time.Microsecond).String()
}

func bytesText(n uint64) string {
	value, unit := float64(n), 0
	for value >= 1000 && unit < 4 {
		value, unit = value/1000, unit+1
	}
	if unit == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", value, []string{"", "kB", "MB", "GB", "TB"}[unit])
}

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}
