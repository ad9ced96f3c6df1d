package main

import (
	"fmt"
	"sync"
	"time"

	"rsm/reconcile"
)

// heartbeat is how often a long wait shows a sign of life off a terminal.
const heartbeat = 30 * time.Second

// progress shows an apply on stderr while it runs: on a terminal the step that is
// waited for is a line that is redrawn, elsewhere every change is a line.
type progress struct {
	con   *console
	paint func(reconcile.Style, string) string
	many  bool // name the cluster in each line
	stamp bool // put the time in front, as a log does

	mu    sync.Mutex
	drawn bool // an unfinished line stands on the terminal
	told  map[string]time.Time
}

func newProgress(con *console, many, stamp bool) *progress {
	paint := painter(con.err)
	if paint == nil {
		paint = func(_ reconcile.Style, text string) string { return text }
	}
	return &progress{con: con, paint: paint, many: many, stamp: stamp, told: map[string]time.Time{}}
}

// event is a reconcile.Applier's Notify.
func (p *progress) event(e reconcile.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e.Type {
	case "start":
		p.told[e.Cluster] = e.Time
		if p.con.live() {
			p.draw(e, "…")
		}
	case "waiting":
		if p.con.live() {
			p.draw(e, fmt.Sprintf("… %s", e.Elapsed.Round(time.Second)))
		} else if e.Time.Sub(p.told[e.Cluster]) >= heartbeat {
			p.told[e.Cluster] = e.Time
			p.line(e, p.text(e)+fmt.Sprintf(" … %s", e.Elapsed.Round(time.Second)))
		}
	case "done":
		p.line(e, p.text(e)+p.paint(reconcile.StyleDim, fmt.Sprintf("  (%s)", round(e.Elapsed))))
	case "skipped":
		p.line(e, p.text(e)+p.paint(reconcile.StyleDim, "  (already so)"))
	case "failed":
		p.line(e, p.text(e)+p.paint(reconcile.StyleHeld, "  failed: "+e.Err.Error()))
	case "held":
		p.line(e, p.paint(reconcile.StyleWait, "  waiting: "+e.Text))
	case "replanned":
		p.line(e, p.paint(reconcile.StyleWait, "  the deployment moved: planned anew, "+count(e.Total, "step")))
	}
}

func (p *progress) text(e reconcile.Event) string {
	symbol, style := reconcile.Symbol(e.Step.Action)
	return fmt.Sprintf("  %s %s %s: %s", p.paint(reconcile.StyleDim, fmt.Sprintf("[%d/%d]", e.Index, e.Total)),
		p.paint(style, symbol), e.Step.Action.Subject(), e.Step.Action)
}

func (p *progress) draw(e reconcile.Event, suffix string) {
	fmt.Fprintf(p.con.err, "\r\x1b[K%s%s %s", p.prefix(e.Cluster), p.text(e), suffix)
	p.drawn = true
}

func (p *progress) line(e reconcile.Event, text string) {
	if p.drawn {
		fmt.Fprint(p.con.err, "\r\x1b[K")
		p.drawn = false
	}
	fmt.Fprintln(p.con.err, p.prefix(e.Cluster)+text)
}

func (p *progress) prefix(cluster string) string {
	prefix := ""
	if p.stamp {
		prefix = time.Now().Format(time.TimeOnly) + " "
	}
	if p.many {
		prefix += cluster
	}
	return prefix
}

// say prints one line about a cluster.
func (p *progress) say(cluster, format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.line(reconcile.Event{Cluster: cluster}, "  "+fmt.Sprintf(format, args...))
}

// end finishes an unfinished line.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.drawn {
		fmt.Fprintln(p.con.err)
		p.drawn = false
	}
}

func round(d time.Duration) time.Duration {
	if d > time.Second {
		return d.Round(100 * time.Millisecond)
	}
	return d.Round(time.Millisecond)
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
