package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"rsm/reconcile"
)

// writeStatus shows one cluster as text.
func writeStatus(w io.Writer, paint func(reconcile.Style, string) string, s *clusterStatus) {
	if paint == nil {
		paint = func(_ reconcile.Style, text string) string { return text }
	}
	fmt.Fprintf(w, "%s  %s\n", paint(reconcile.StyleBold, "cluster "+s.Name), paint(healthStyle(s.Health), s.Health))
	if a := s.Authority; a != nil {
		fmt.Fprintf(w, "  master %s at %s, epoch %d, named by %d of %d sentinels\n", a.Node, a.Address, a.Epoch, a.Votes, s.Quorum.Total)
	}
	writeCommit(w, paint, s.Commit, time.Now())
	table := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "  REDIS\tADDRESS\tROLE\tLINK\tLAG\tKEYS\tOFFSET\tVERSION\tPID")
	for _, r := range s.Redis {
		if r.Reach != reconcile.Up {
			fmt.Fprintf(table, "  %s\t%s\t%s\t\t\t\t\t\t%s\n", r.Name, r.Address, r.Reach, pid(r.PID))
			continue
		}
		lag := ""
		if r.Role == reconcile.Replica {
			lag = fmt.Sprintf("%d B", r.LagBytes)
		}
		fmt.Fprintf(table, "  %s\t%s\t%s\t%s\t%s\t%d\t%d\t%s\t%s\n", r.Name, r.Address, r.Role, r.Link, lag, r.Keys, r.Offset, r.Version, pid(r.PID))
	}
	_ = table.Flush()
	fmt.Fprintln(table, "  SENTINEL\tADDRESS\tMASTER\tEPOCH\tREPLICAS\tPEERS\tFLAGS\tPID")
	for _, r := range s.Sentinels {
		if r.Reach != reconcile.Up {
			fmt.Fprintf(table, "  %s\t%s\t%s\t\t\t\t\t%s\n", r.Name, r.Address, r.Reach, pid(r.PID))
			continue
		}
		fmt.Fprintf(table, "  %s\t%s\t%s\t%d\t%d\t%d\t%s\t%s\n", r.Name, r.Address, orDash(string(r.Master)), r.Epoch,
			r.Replicas, r.Peers, orDash(strings.Join(r.Flags, ",")), pid(r.PID))
	}
	_ = table.Flush()
	if len(s.Proxies) > 0 {
		fmt.Fprintln(table, "  PROXY\tADDRESS\tSTATE\tSETTINGS\tVERSION\tPID")
	}
	for _, r := range s.Proxies {
		fmt.Fprintf(table, "  %s\t%s\t%s\t%s\t%s\t%s\n", r.Name, r.Address, r.Reach, orDash(r.Settings), orDash(r.Version), pid(r.PID))
	}
	_ = table.Flush()
	if len(s.Roles) > 0 {
		fmt.Fprintln(table, "  ROLE\tKIND\tHOST\tSTATE\tSETTINGS\tVERSION\tPID")
	}
	for _, r := range s.Roles {
		host, _ := r.Address.Split()
		fmt.Fprintf(table, "  %s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Name, r.Kind, host, r.Reach, orDash(r.Settings), orDash(r.Version), pid(r.PID))
	}
	_ = table.Flush()
	if o := s.Operations; o != nil {
		fmt.Fprintf(w, "  published: %s, %s, %s, %s\n", counted(len(o.Queues), "queue"), counted(len(o.Handlers), "handler"), counted(len(o.Rules), "rule"), o.Settings)
		if o.Firing > 0 {
			fmt.Fprintf(w, "  %s\n", paint(reconcile.StyleHeld, fmt.Sprintf("alerts: %d firing, see rsm alerts", o.Firing)))
		}
	}
	for _, r := range s.Roles {
		if r.Behind != "" {
			fmt.Fprintf(w, "  %s %s does not follow what is published: %s\n", paint(reconcile.StyleHeld, "!"), r.Name, plain(r.Behind))
		}
	}
	fmt.Fprintf(w, "  quorum %d, majority %d: %d of %d sentinels up, %s\n", s.Quorum.Quorum, s.Quorum.Majority, s.Quorum.Up, s.Quorum.Total, failoverText(s.Quorum.OK))
	writeDifferences(w, paint, s)
}

func writeDifferences(w io.Writer, paint func(reconcile.Style, string) string, s *clusterStatus) {
	for _, bad := range s.Invalid {
		fmt.Fprintf(w, "  %s %s: %s\n", paint(reconcile.StyleHeld, "!"), bad.Path, bad.Message)
	}
	for _, d := range s.Drift {
		fmt.Fprintf(w, "  %s %s\n", paint(reconcile.StyleChange, "~"), d)
	}
	for _, h := range s.Held {
		fmt.Fprintf(w, "  %s held %s: %s", paint(reconcile.StyleHeld, "!"), h.Subject, h.Reason)
		if h.Flag != "" {
			fmt.Fprintf(w, " (%s)", h.Flag)
		}
		fmt.Fprintln(w)
	}
}

func healthStyle(health string) reconcile.Style {
	switch health {
	case "in sync":
		return reconcile.StyleAdd
	case "drifted":
		return reconcile.StyleChange
	}
	return reconcile.StyleHeld
}

func failoverText(ok bool) string {
	if ok {
		return "a failover is possible"
	}
	return "no failover is possible"
}

func pid(n int) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprint(n)
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
